//! Each back end keeps the contract.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where it stopped"
)]

use std::sync::Arc;

use mcp_client_oauth::{
    Secret, ServerUrl, TokenStore,
    error::TokenStorageError,
    store::{Backend as _, KeySource, MemoryBackend, RecordKey, SealedFiles, contract},
};

#[tokio::test(flavor = "multi_thread")]
async fn memory_keeps_the_contract() {
    contract::check(Arc::new(MemoryBackend::default())).await;
}

async fn check_sealed_with(source: KeySource) {
    let home = tempfile::tempdir().unwrap();
    let files = SealedFiles::open(home.path().join("store"), source).unwrap();
    contract::check(Arc::new(files)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_sealed_with_a_password_keep_the_contract() {
    check_sealed_with(KeySource::Password(Secret::new("correct horse".to_owned()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_sealed_with_a_key_file_keep_the_contract() {
    check_sealed_with(KeySource::KeyFile).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_sealed_with_a_given_key_keep_the_contract() {
    check_sealed_with(KeySource::Given(Secret::new([7; 32]))).await;
}

/// A runtime with one thread must do as well: nothing may block it.
#[tokio::test]
async fn sealed_files_keep_the_contract_on_one_thread() {
    check_sealed_with(KeySource::KeyFile).await;
}

#[tokio::test]
async fn a_store_is_opened_by_its_name() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("store");
    let store = TokenStore::open(&format!("file:{}", directory.display())).unwrap();
    assert_eq!(store.keys().await.unwrap(), []);
    assert!(!directory.exists(), "opening made something");
    TokenStore::open("memory:").unwrap();
    let unknown = TokenStore::open("keyring:").unwrap_err();
    assert!(matches!(unknown, TokenStorageError::UnknownBackend(name) if name == "keyring"));
}

#[tokio::test]
async fn a_store_with_a_password_is_not_opened_by_its_name_alone() {
    let home = tempfile::tempdir().unwrap();
    let source = KeySource::Password(Secret::new("correct horse".to_owned()));
    let files = SealedFiles::open(home.path(), source).unwrap();
    files
        .put("a", None, &Secret::new(b"one".to_vec()))
        .await
        .unwrap();
    let refused = TokenStore::open(&format!("file:{}", home.path().display())).unwrap_err();
    assert!(matches!(refused, TokenStorageError::PasswordNeeded(path) if path == home.path()));
}

/// A record as the first version wrote it.
const VERSION_1: &str = include_str!("fixtures/record-1.json");

async fn store_with(record: &str) -> (TokenStore, RecordKey) {
    let server: ServerUrl = "https://mcp.example/mcp".parse().unwrap();
    let backend = MemoryBackend::default();
    let name = format!("login {server}");
    let bytes = Secret::new(record.as_bytes().to_vec());
    backend.put(&name, None, &bytes).await.unwrap();
    (TokenStore::new(Arc::new(backend)), RecordKey::new(server))
}

/// H150.
#[tokio::test]
async fn a_record_of_an_older_version_is_read_and_written_as_one_of_ours() {
    let (store, key) = store_with(VERSION_1).await;
    let (record, _) = store.load(&key).await.unwrap().unwrap();
    assert_eq!(record.tokens.access_token.expose(), "at-1");
    assert_eq!(record.requested.as_ref().unwrap().to_string(), "notes:read");
    assert_eq!(record.lender, None);
    let mut lock = store.lock(&key).await.unwrap();
    store.save(&mut lock, &record).await.unwrap();
    let (again, _) = store.load(&key).await.unwrap().unwrap();
    assert_eq!(again, record);
}

#[tokio::test]
async fn a_record_of_a_newer_version_is_refused_and_left_as_it_is() {
    let newer = VERSION_1.replacen("\"version\": 1", "\"version\": 99", 1);
    let (store, key) = store_with(&newer).await;
    for refused in [
        store.load(&key).await.unwrap_err(),
        store.lock(&key).await.unwrap_err(),
    ] {
        assert!(
            matches!(refused, TokenStorageError::Newer { version: 99, .. }),
            "{refused}"
        );
    }
    assert_eq!(store.keys().await.unwrap(), [key]);
}
