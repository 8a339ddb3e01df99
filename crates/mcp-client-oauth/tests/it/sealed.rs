//! Sealed files: what is on the disk, and what becomes of it when somebody meddles.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where it stopped"
)]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    pin::{Pin, pin},
    time::Duration,
};

use mcp_client_oauth::{
    Secret,
    error::TokenStorageError,
    store::{Backend as _, EncryptedFileStore, KeySource, Revision},
};
use tempfile::TempDir;

mod damage;
mod keys;
mod killed;
mod names;
#[cfg(unix)]
mod permissions;
mod processes;
mod rekey;
mod rollback;

/// A store in a directory of its own, which goes away with it.
pub(crate) struct Home {
    directory: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// Where the store is. It does not exist at first.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    /// What it lies in, with nothing else.
    pub(crate) fn parent(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn open(&self) -> EncryptedFileStore {
        EncryptedFileStore::open(self.path(), KeySource::KeyFile).unwrap()
    }

    /// The files of the records.
    pub(crate) fn records(&self) -> Vec<PathBuf> {
        let files = contents(&self.path()).into_keys();
        files
            .filter(|path| path.extension().is_some_and(|end| end == "sealed"))
            .collect()
    }

    /// The file of the only record.
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
    files
        .put(name, expected, &Secret::new(content.as_bytes().to_vec()))
        .await
}

pub(crate) async fn get(
    files: &EncryptedFileStore,
    name: &str,
) -> Result<Option<String>, TokenStorageError> {
    let stored = files.get(name).await?;
    Ok(stored.map(|stored| String::from_utf8(stored.bytes.expose().clone()).unwrap()))
}

pub(crate) async fn sorted_names(files: &EncryptedFileStore) -> Vec<String> {
    let mut names = files.names().await.unwrap();
    names.sort_unstable();
    names
}

/// Every file below a directory, and what is in it.
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

/// Whether a lock is still waited for after another one was had.
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
        Err(TokenStorageError::Corrupt { place, .. }) => {
            assert_eq!(place, path.display().to_string());
        }
        other => panic!("not taken for damaged: {other:?}"),
    }
}

#[tokio::test]
async fn reading_makes_nothing() {
    let home = Home::new();
    let files = home.open();
    assert_eq!(get(&files, "a").await.unwrap(), None);
    assert_eq!(files.names().await.unwrap(), Vec::<String>::new());
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
    let sealed = |file: &[u8]| file[file.len() - 23..].to_vec();
    assert_ne!(sealed(&first), sealed(&second));
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
    // Six characters of JSON for each: more than a first line may have.
    let refused = put(&files, &"\0".repeat(64 * 1024), None, "small")
        .await
        .unwrap_err();
    assert!(
        matches!(refused, TokenStorageError::TooLarge { .. }),
        "{refused}"
    );
    assert!(
        refused.to_string().len() < 4096,
        "the message has all of the name in it"
    );
    assert_eq!(home.records().len(), 1);
}

#[tokio::test]
async fn what_is_too_large_to_be_ours_is_not_read() {
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
    assert_eq!(files.names().await.unwrap(), ["a"]);
    overwrite(&record, &vec![b' '; 300 * 1024]);
    assert_corrupt(get(&files, "a").await, &record);
    File::options()
        .write(true)
        .open(&record)
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    assert_corrupt(get(&files, "a").await, &record);
    assert_eq!(files.names().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_directory_that_went_away_is_made_anew() {
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

/// Whenever that is: the record is the old one or the new one, and nothing stays locked.
#[tokio::test]
async fn a_writer_that_gives_up_leaves_a_whole_record() {
    let home = Home::new();
    let files = home.open();
    put(&files, "a", None, "first").await.unwrap();
    for number in 0..100 {
        let before = files.get("a").await.unwrap().unwrap();
        let new = number.to_string();
        let writing = put(&files, "a", Some(before.revision), &new);
        // The result is not asked for: it may come too late.
        drop(tokio::time::timeout(Duration::from_micros(number * 20), writing).await);
        let found = home.open().get("a").await.unwrap().unwrap().bytes;
        assert!(
            found == before.bytes || *found.expose() == new.into_bytes(),
            "something else than the old or the new record is there"
        );
        drop(home.open().lock("a").await.unwrap());
        put(&home.open(), "b", None, "content").await.unwrap();
        files.delete("b", None).await.unwrap();
    }
}
