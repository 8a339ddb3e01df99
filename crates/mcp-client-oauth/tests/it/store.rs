//! The contract tests for each backend.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic, with the location of the failure"
)]

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use mcp_client_oauth::{Secret, ServerUrl, TokenStore, error::TokenStorageError, store::LoginKey};
use mcp_oauth_store::{
    Backend as _, EncryptedFileStore, Entry, KeySource, MemoryBackend, OneProcess, SimpleStore,
};
use mcp_oauth_testing::contract;

use crate::support::lock;

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::test(flavor = "multi_thread")]
async fn memory_keeps_the_contract() {
    contract::check(Arc::new(MemoryBackend::default())).await;
}

async fn check_encrypted_with(source: KeySource) {
    let home = tempfile::tempdir().unwrap();
    let files = EncryptedFileStore::open(home.path().join("store"), source).unwrap();
    contract::check(Arc::new(files)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_encrypted_with_a_password_keep_the_contract() {
    check_encrypted_with(KeySource::Password(Secret::new("correct horse".to_owned()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_encrypted_with_a_key_file_keep_the_contract() {
    check_encrypted_with(KeySource::KeyFile).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_encrypted_with_a_provided_key_keep_the_contract() {
    check_encrypted_with(KeySource::Provided(Secret::new([7; 32]))).await;
}

/// A runtime with one thread must be enough: nothing may block it.
#[tokio::test]
async fn encrypted_files_keep_the_contract_on_one_thread() {
    check_encrypted_with(KeySource::KeyFile).await;
}

#[tokio::test]
async fn a_store_is_opened_by_its_name() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("store");
    let store = TokenStore::open(&format!("file:{}", directory.display())).unwrap();
    assert_eq!(store.keys().await.unwrap(), []);
    assert!(!directory.exists(), "opening created a file");
    TokenStore::open("memory:").unwrap();
    let unknown = TokenStore::open("keyring:").unwrap_err();
    assert!(matches!(unknown, TokenStorageError::UnknownBackend(name) if name == "keyring"));
}

#[tokio::test]
async fn a_store_with_a_password_is_not_opened_by_its_name_alone() {
    let home = tempfile::tempdir().unwrap();
    let source = KeySource::Password(Secret::new("correct horse".to_owned()));
    let files = EncryptedFileStore::open(home.path(), source).unwrap();
    let entry = Entry::new(Secret::new(b"one".to_vec()));
    files.put("a", None, &entry).await.unwrap();
    let refused = TokenStore::open(&format!("file:{}", home.path().display())).unwrap_err();
    assert!(matches!(refused, TokenStorageError::PasswordNeeded(path) if path == home.path()));
}

/// A map with the four functions of a simple store.
#[derive(Clone, Debug, Default)]
struct Map(Arc<Mutex<BTreeMap<String, Secret<Vec<u8>>>>>);

#[async_trait]
impl SimpleStore for Map {
    async fn get(&self, name: &str) -> Result<Option<Secret<Vec<u8>>>, BoxError> {
        Ok(lock(&self.0).get(name).cloned())
    }

    async fn put(&self, name: &str, bytes: &Secret<Vec<u8>>) -> Result<(), BoxError> {
        // Other tasks run between the comparison and the write, as with a real store.
        tokio::task::yield_now().await;
        lock(&self.0).insert(name.to_owned(), bytes.clone());
        Ok(())
    }

    async fn delete(&self, name: &str) -> Result<(), BoxError> {
        if name == "broken" {
            return Err("the disk is full".into());
        }
        lock(&self.0).remove(name);
        Ok(())
    }

    async fn names(&self) -> Result<Vec<String>, BoxError> {
        Ok(lock(&self.0).keys().cloned().collect())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simple_store_keeps_the_contract_within_one_process() {
    contract::check(Arc::new(OneProcess::new(Map::default()))).await;
}

#[tokio::test]
async fn a_simple_store_keeps_its_contents_and_revisions_when_it_is_opened_again() {
    let map = Map::default();
    let entry = Entry::new(Secret::new(b"one".to_vec()));
    let before = OneProcess::new(map.clone());
    let first = before.put("a", None, &entry).await.unwrap();
    let deleted = before.put("b", None, &entry).await.unwrap();
    assert!(before.delete("b", Some(deleted)).await.unwrap());
    drop(before);

    let after = OneProcess::new(map);
    let found = after.get("a").await.unwrap().unwrap();
    assert_eq!(found.revision, first);
    assert_eq!(found.entry.bytes.expose(), b"one");
    assert!(after.put("a", Some(first), &entry).await.unwrap() > first);
    let created = after.put("b", None, &entry).await.unwrap();
    assert_ne!(created, deleted, "a revision was used again");
}

#[tokio::test]
async fn a_simple_store_reports_what_it_did_not_write_and_its_own_errors() {
    let map = Map::default();
    for invalid in [&b""[..], b"\x01short", &[2; 40]] {
        lock(&map.0).insert("a".to_owned(), Secret::new(invalid.to_vec()));
        let store = OneProcess::new(map.clone());
        let error = store.get("a").await.unwrap_err();
        assert!(
            matches!(error, TokenStorageError::Corrupt { .. }),
            "{error}"
        );
        assert!(store.delete("a", None).await.unwrap());
        assert!(store.get("a").await.unwrap().is_none());
    }
    let error = OneProcess::new(map).delete("broken", None).await;
    let shown = error.unwrap_err().to_string();
    assert_eq!(shown, "the record `broken`: the disk is full");
}

#[tokio::test]
async fn the_logins_of_an_account_are_listed() {
    let store = TokenStore::memory();
    let server = |text: &str| text.parse::<ServerUrl>().unwrap();
    let (one, two) = (
        server("https://one.example/"),
        server("https://two.example/"),
    );
    let keys = [
        LoginKey::from(one.clone()),
        LoginKey::from(one).with_account("work"),
        LoginKey::from(two.clone()).with_account("home"),
        LoginKey::from(two).with_account("work"),
    ];
    let entry = Entry::new(Secret::new(b"one".to_vec()));
    for key in &keys {
        let account = key.account().map(|account| format!("#{account}"));
        let name = format!("login {}{}", key.server(), account.unwrap_or_default());
        store.backend().put(&name, None, &entry).await.unwrap();
    }
    // More than a page.
    for number in 0..1200 {
        let name = format!("login https://{number}.example/#other");
        store.backend().put(&name, None, &entry).await.unwrap();
    }
    let found = store.keys_of("work").await.unwrap();
    assert_eq!(found, [keys[1].clone(), keys[3].clone()]);
    assert_eq!(store.keys_of("other").await.unwrap().len(), 1200);
    assert_eq!(store.keys().await.unwrap().len(), 1204);
    assert_eq!(store.keys_of("").await.unwrap(), []);
}
