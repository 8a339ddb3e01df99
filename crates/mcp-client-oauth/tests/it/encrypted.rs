//! Encrypted files: their content on disk, and the effect of changes by others.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic, with the location of the failure"
)]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    pin::{Pin, pin},
    time::Duration,
};

use mcp_client_oauth::{Secret, error::TokenStorageError};
use mcp_oauth_store::{Backend, EncryptedFileStore, Entry, KeySource, NameQuery, Revision};
use tempfile::TempDir;

mod corruption;
mod expiry;
mod keys;
mod killed;
mod names;
#[cfg(unix)]
mod permissions;
mod processes;
mod rekey;
mod rollback;

/// A store in a temporary directory, which is deleted with the value.
pub(crate) struct Home {
    directory: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// Returns the path of the store, which does not exist at first.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    /// Returns the parent directory, which contains nothing else.
    pub(crate) fn parent(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn open(&self) -> EncryptedFileStore {
        EncryptedFileStore::open(self.path(), KeySource::KeyFile).unwrap()
    }

    /// Returns the files of the records.
    pub(crate) fn records(&self) -> Vec<PathBuf> {
        let files = contents(&self.path()).into_keys();
        files
            .filter(|path| path.extension().is_some_and(|end| end == "enc"))
            .collect()
    }

    /// Returns the file of the only record.
    fn only_record(&self) -> PathBuf {
        let [record] = self.records().try_into().unwrap();
        record
    }
}

pub(crate) fn password(text: &str) -> KeySource {
    KeySource::Password(Secret::new(text.to_owned()))
}

pub(crate) async fn put(
    files: &EncryptedFileStore,
    name: &str,
    expected: Option<Revision>,
    content: &str,
) -> Result<Revision, TokenStorageError> {
    let entry = Entry::new(Secret::new(content.as_bytes().to_vec()));
    files.put(name, expected, &entry).await
}

pub(crate) async fn get(
    files: &EncryptedFileStore,
    name: &str,
) -> Result<Option<String>, TokenStorageError> {
    let stored = files.get(name).await?;
    Ok(stored.map(|stored| String::from_utf8(stored.entry.bytes.expose().clone()).unwrap()))
}

/// Returns all names, sorted.
pub(crate) async fn sorted_names(backend: &dyn Backend) -> Vec<String> {
    names(backend).await.unwrap()
}

pub(crate) async fn names(backend: &dyn Backend) -> Result<Vec<String>, TokenStorageError> {
    let mut page = backend.names(&NameQuery::new(u32::MAX)).await?;
    page.names.sort_unstable();
    Ok(page.names)
}

/// Returns every file below a directory, with its content.
pub(crate) fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

fn overwrite(path: &Path, bytes: &[u8]) {
    File::create(path).unwrap().write_all(bytes).unwrap();
}

/// Says whether a lock is still pending after another one was acquired.
async fn waits<T>(
    files: &EncryptedFileStore,
    mut waiting: Pin<&mut impl Future<Output = T>>,
) -> bool {
    tokio::select! {
        biased;
        _ = &mut waiting => false,
        _ = files.lock("another name") => true,
    }
}

fn assert_corrupt<T: std::fmt::Debug>(result: Result<T, TokenStorageError>, path: &Path) {
    match result {
        Err(TokenStorageError::Corrupt { location, .. }) => {
            assert_eq!(location, path.display().to_string());
        }
        other => panic!("not reported as corrupt: {other:?}"),
    }
}

#[tokio::test]
async fn reading_creates_no_files() {
    let home = Home::new();
    let files = home.open();
    assert_eq!(get(&files, "a").await.unwrap(), None);
    assert_eq!(sorted_names(&files).await, Vec::<String>::new());
    assert!(!files.delete("a", None).await.unwrap());
    let refused = files.delete("a", Some(Revision::new(1))).await.unwrap_err();
    assert!(
        matches!(refused, TokenStorageError::Conflict { .. }),
        "{refused}"
    );
    assert!(!home.path().exists());
}

#[tokio::test]
async fn no_secret_is_in_any_file() {
    let secrets = ["planted-token", "planted-password"];
    let key = *b"planted-key-of-thirty-two-bytes!";
    for source in [
        password(secrets[1]),
        KeySource::KeyFile,
        KeySource::Provided(Secret::new(key)),
    ] {
        let home = Home::new();
        let files = EncryptedFileStore::open(home.path(), source).unwrap();
        let revision = put(&files, "a", None, secrets[0]).await.unwrap();
        put(&files, "a", Some(revision), secrets[0]).await.unwrap();
        let _held = files.lock("a").await.unwrap();
        for (path, bytes) in contents(&home.path()) {
            let text = String::from_utf8_lossy(&bytes);
            assert!(
                !text.contains("planted"),
                "{} has a secret in it",
                path.display()
            );
        }
    }
}

#[tokio::test]
async fn the_first_line_of_a_file_is_plain() {
    let home = Home::new();
    let revision = put(&home.open(), "https://a.example/mcp", None, "content")
        .await
        .unwrap();
    let file = fs::read(home.only_record()).unwrap();
    let line = file.split(|byte| *byte == b'\n').next().unwrap();
    let header: serde_json::Value = serde_json::from_slice(line).unwrap();
    assert_eq!(header["format"], "mcp-oauth sealed record");
    assert_eq!(header["version"], 1);
    assert_eq!(header["name"], "https://a.example/mcp");
    assert_eq!(header["revision"], revision.number());
    assert_eq!(header["cipher"], "aes-256-gcm");
}

#[tokio::test]
async fn equal_contents_look_different_each_time() {
    let home = Home::new();
    let files = home.open();
    let revision = put(&files, "a", None, "content").await.unwrap();
    let first = fs::read(home.only_record()).unwrap();
    files.delete("a", Some(revision)).await.unwrap();
    put(&files, "a", None, "content").await.unwrap();
    let second = fs::read(home.only_record()).unwrap();
    let ciphertext = |file: &[u8]| file[file.len() - 23..].to_vec();
    assert_ne!(ciphertext(&first), ciphertext(&second));
}

#[tokio::test]
async fn a_record_has_at_most_a_megabyte() {
    let home = Home::new();
    let files = home.open();
    let revision = put(&files, "a", None, "small").await.unwrap();
    let large = "x".repeat(1024 * 1024);
    let refused = put(&files, "a", Some(revision), &large).await.unwrap_err();
    assert!(
        matches!(refused, TokenStorageError::TooLarge { .. }),
        "{refused}"
    );
    assert_eq!(get(&files, "a").await.unwrap().unwrap(), "small");
    // Each takes six characters of JSON: more than the limit for a first line.
    let refused = put(&files, &"\0".repeat(64 * 1024), None, "small")
        .await
        .unwrap_err();
    assert!(
        matches!(refused, TokenStorageError::TooLarge { .. }),
        "{refused}"
    );
    assert!(
        refused.to_string().len() < 4096,
        "the message contains the whole name"
    );
    assert_eq!(home.records().len(), 1);
}

#[tokio::test]
async fn a_file_that_is_too_large_is_not_read() {
    let home = Home::new();
    let files = home.open();
    put(&files, "a", None, "content").await.unwrap();
    let record = home.only_record();
    File::options()
        .write(true)
        .open(&record)
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    assert_corrupt(get(&files, "a").await, &record);
    assert_eq!(sorted_names(&files).await, ["a"]);
    overwrite(&record, &vec![b' '; 300 * 1024]);
    assert_corrupt(get(&files, "a").await, &record);
    File::options()
        .write(true)
        .open(&record)
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    assert_corrupt(get(&files, "a").await, &record);
    assert_eq!(sorted_names(&files).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_deleted_directory_is_created_again() {
    let home = Home::new();
    let files = home.open();
    put(&files, "a", None, "content").await.unwrap();
    fs::remove_dir_all(home.path()).unwrap();
    assert_eq!(get(&files, "a").await.unwrap(), None);
    put(&files, "b", None, "content").await.unwrap();
    assert_eq!(get(&home.open(), "b").await.unwrap().unwrap(), "content");
}

#[tokio::test]
async fn two_handles_in_one_process_exclude_each_other() {
    let home = Home::new();
    let (one, other) = (home.open(), home.open());
    let held = one.lock("a").await.unwrap();
    let mut waiting = pin!(other.lock("a"));
    assert!(
        waits(&other, waiting.as_mut()).await,
        "two handles hold the same name"
    );
    drop(held);
    waiting.await.unwrap();
}

/// At any moment: the record is the old one or the new one, and nothing stays locked.
#[tokio::test]
async fn a_cancelled_write_leaves_the_old_or_the_new_record() {
    let home = Home::new();
    let files = home.open();
    put(&files, "a", None, "first").await.unwrap();
    for number in 0..100 {
        let before = files.get("a").await.unwrap().unwrap();
        let new = number.to_string();
        let writing = put(&files, "a", Some(before.revision), &new);
        // The result is ignored: the write may be cancelled first.
        drop(tokio::time::timeout(Duration::from_micros(number * 20), writing).await);
        let found = home.open().get("a").await.unwrap().unwrap().entry.bytes;
        assert!(
            found == before.entry.bytes || *found.expose() == new.into_bytes(),
            "the record is neither the old nor the new one"
        );
        drop(home.open().lock("a").await.unwrap());
        put(&home.open(), "b", None, "content").await.unwrap();
        files.delete("b", None).await.unwrap();
    }
}
