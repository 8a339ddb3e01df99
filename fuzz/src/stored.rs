//! Files of a store, which may be corrupt or forged.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use mcp_client_oauth::{Secret, TokenStore, store::LoginKey};
use mcp_oauth_store::{Backend, EncryptedFileStore, Entry, KeySource, MemoryBackend, NameQuery};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// The name under which the store keeps the login at [`SERVER`].
const NAME: &str = "login https://mcp.example/mcp";
const SERVER: &str = "https://mcp.example/mcp";
const CONTENT: &[u8] = b"the stored content";

fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

/// Any bytes instead of a record: what can be read can be stored, and is then read unchanged.
pub fn record(bytes: &[u8]) {
    runtime().block_on(async {
        let backend = std::sync::Arc::new(MemoryBackend::default());
        let content = Entry::new(Secret::new(bytes.to_vec()));
        backend.put(NAME, None, &content).await.expect("memory");
        let store = TokenStore::new(backend.clone());
        let key = LoginKey::try_from(SERVER).expect("a server URL");
        let mut lock = match store.lock(&key).await {
            Ok(lock) => lock,
            Err(error) => return assert!(error.to_string().len() < 1024),
        };
        let Some(record) = lock.record().cloned() else {
            panic!("a record is stored under that name");
        };
        store
            .save(&mut lock, &record)
            .await
            .expect("a record that was read");
        let again = store.load(&key).await.expect("a record that was written");
        let (again, _) = again.expect("a record that was written");
        assert_eq!(format!("{record:?}"), format!("{again:?}"));
    });
}

/// An encrypted store with one record, as files.
struct Genuine {
    directory: TempDir,
    files: Vec<(PathBuf, Vec<u8>)>,
}

fn source() -> KeySource {
    KeySource::Provided(Secret::new([7; 32]))
}

fn open(
    directory: &Path,
) -> Result<EncryptedFileStore, mcp_client_oauth::error::TokenStorageError> {
    EncryptedFileStore::open(directory, source())
}

fn genuine() -> &'static Genuine {
    static GENUINE: OnceLock<Genuine> = OnceLock::new();
    GENUINE.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let kept = runtime().block_on(async {
            let files = open(directory.path()).expect("a new store");
            let content = Entry::new(Secret::new(CONTENT.to_vec()));
            files.put(NAME, None, &content).await
        });
        kept.expect("a new record");
        let entries = fs::read_dir(directory.path()).expect("the directory");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let mut files: Vec<_> = paths
            .filter(|path| path.is_file())
            .map(|path| (path.clone(), fs::read(path).expect("a file of the store")))
            .collect();
        files.sort();
        Genuine { directory, files }
    })
}

/// Flips bits: three bytes of `edits` are a position, modulo the length, and the bits to flip there;
/// one or two bytes at the end cut the file.
fn edited(genuine: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut bytes = genuine.to_vec();
    for edit in edits.chunks(3) {
        match *edit {
            [high, low, bits] => {
                let position = usize::from(u16::from_be_bytes([high, low])) % bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(position) {
                    *byte ^= bits;
                }
            }
            [by, ..] => bytes.truncate(bytes.len().saturating_sub(usize::from(by) + 1)),
            [] => {}
        }
    }
    bytes
}

/// Any bytes instead of a file of an encrypted store, or any change to one. The first byte selects
/// the file, and which of the two. Only the stored content is ever read: the file of another store,
/// another record or a forged file never is.
pub fn encrypted_file(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else {
        return;
    };
    let Genuine { directory, files } = genuine();
    let (path, before) = &files[usize::from(first / 2) % files.len()];
    let forged = if first % 2 == 0 {
        rest.to_vec()
    } else {
        edited(before, rest)
    };
    // The store is in its own directory, which no other test reads.
    write(path, &forged);
    runtime().block_on(async {
        let Ok(files) = open(directory.path()) else {
            return;
        };
        if let Ok(Some(stored)) = files.get(NAME).await {
            assert_eq!(stored.entry.bytes.expose().as_slice(), CONTENT);
        }
        let names = files.names(&NameQuery::new(100)).await;
        for name in names.unwrap_or_default().names {
            let _ = files.get(&name).await;
        }
    });
    write(path, before);
}

#[allow(clippy::disallowed_methods, reason = "it corrupts files on purpose")]
fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("a file of the store");
}
