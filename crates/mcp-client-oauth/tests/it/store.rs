//! The contract tests for each backend.

#![allow(
    clippy::unwrap_used,
    reason = "a test may panic, with the location of the failure"
)]

use std::sync::Arc;

use mcp_client_oauth::{
    Secret, TokenStore,
    error::TokenStorageError,
    store::{Backend as _, EncryptedFileStore, KeySource, MemoryBackend, contract},
};

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
    files
        .put("a", None, &Secret::new(b"one".to_vec()))
        .await
        .unwrap();
    let refused = TokenStore::open(&format!("file:{}", home.path().display())).unwrap_err();
    assert!(matches!(refused, TokenStorageError::PasswordNeeded(path) if path == home.path()));
}
