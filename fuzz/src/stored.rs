//! What lies on a disk, and may have been damaged or forged.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use mcp_client_oauth::{
    Secret, TokenStore,
    store::{Backend, EncryptedFileStore, KeySource, LoginKey, MemoryBackend},
};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// The name under which the store keeps the login at [`SERVER`].
const NAME: &str = "login https://mcp.example/mcp";
const SERVER: &str = "https://mcp.example/mcp";
const CONTENT: &[u8] = b"what was kept";

fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

/// Any bytes in the place of a record: what is read can be kept, and is read again as it was.
pub fn record(bytes: &[u8]) {
    runtime().block_on(async {
        let backend = std::sync::Arc::new(MemoryBackend::default());
        let content = Secret::new(bytes.to_vec());
        backend.put(NAME, None, &content).await.expect("memory");
        let store = TokenStore::new(backend.clone());
        let key = LoginKey::new(SERVER.parse().expect("a server URL"));
        let mut lock = match store.lock(&key).await {
            Ok(lock) => lock,
            Err(error) => return assert!(error.to_string().len() < 1024),
        };
        let Some(record) = lock.record().cloned() else {
            panic!("something was kept under that name");
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

/// A sealed store with one record, as files.
struct Genuine {
    place: TempDir,
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
        let place = tempfile::tempdir().expect("a directory");
        let kept = runtime().block_on(async {
            let files = open(place.path()).expect("a new store");
            files.put(NAME, None, &Secret::new(CONTENT.to_vec())).await
        });
        kept.expect("a new record");
        let entries = fs::read_dir(place.path()).expect("the directory");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let mut files: Vec<_> = paths
            .filter(|path| path.is_file())
            .map(|path| (path.clone(), fs::read(path).expect("a file of ours")))
            .collect();
        files.sort();
        Genuine { place, files }
    })
}

/// Flips the bits that `edits` names, three bytes each: where, as far as there is such a place, and
/// which; an odd number of bytes at the end cuts the file.
fn edited(genuine: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut bytes = genuine.to_vec();
    for edit in edits.chunks(3) {
        match *edit {
            [high, low, bits] => {
                let place = usize::from(u16::from_be_bytes([high, low])) % bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= bits;
                }
            }
            [by, ..] => bytes.truncate(bytes.len().saturating_sub(usize::from(by) + 1)),
            [] => {}
        }
    }
    bytes
}

/// Any bytes in the place of a file of a sealed store, or any change to one. The first byte chooses
/// the file, and which of the two. What is read is what was kept: the file of another store, another
/// record or a forged one never is.
pub fn sealed_file(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else {
        return;
    };
    let Genuine { place, files } = genuine();
    let (path, before) = &files[usize::from(first / 2) % files.len()];
    let forged = if first % 2 == 0 {
        rest.to_vec()
    } else {
        edited(before, rest)
    };
    // The store is on a disk of its own, and nobody else reads it.
    write(path, &forged);
    runtime().block_on(async {
        let Ok(files) = open(place.path()) else {
            return;
        };
        if let Ok(Some(stored)) = files.get(NAME).await {
            assert_eq!(stored.bytes.expose().as_slice(), CONTENT);
        }
        for name in files.names().await.unwrap_or_default() {
            let _ = files.get(&name).await;
        }
    });
    write(path, before);
}

#[allow(clippy::disallowed_methods, reason = "it damages files on purpose")]
fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("a file of ours");
}
