//! The automatic selection of a local store: it is made once, reported and remembered.

use std::path::Path;

use mcp_client_oauth::{Secret, error::TokenStorageError};
use mcp_oauth_store::{
    AutoOptions, Backend as _, EncryptedFileStore, KeyKind, KeySource, KeychainErrorKind,
    SelectionReason, StoreSelection,
};

use test_support::{
    in_session,
    keychain::{Session, entries, lock, role, same_test},
};

use crate::encrypted::{Home, contents, password, put};

fn at(directory: &Path) -> AutoOptions {
    let mut options = AutoOptions::default();
    options.directory = Some(directory.to_owned());
    options
}

fn with_password(directory: &Path) -> AutoOptions {
    let mut options = at(directory);
    options.password = Some(Secret::new("right".to_owned()));
    options
}

/// Selects a store, which must be writable.
async fn select(options: &AutoOptions) -> StoreSelection {
    let (store, selection) = mcp_oauth_store::auto(options).await.unwrap();
    store.check_writable().await.unwrap();
    let directory = options.directory.as_ref().unwrap();
    assert_eq!(selection.directory, *directory);
    assert_eq!(
        EncryptedFileStore::key_kind(directory).unwrap(),
        Some(selection.key)
    );
    selection
}

async fn created_with(source: KeySource) -> Home {
    let home = Home::new();
    let files = EncryptedFileStore::open(home.path(), source).unwrap();
    put(&files, "a", None, "content").await.unwrap();
    home
}

#[tokio::test]
async fn an_available_keychain_is_selected_and_remembered() {
    in_session!(Session::Unlocked);
    let home = Home::new();
    let mut options = at(&home.path());
    options.service = Some("example application".to_owned());
    let (_, selection) = mcp_oauth_store::auto(&options).await.unwrap();
    assert!(!home.path().exists(), "the selection created files");
    assert_eq!(entries().await, []);
    assert_eq!(
        selection.to_string(),
        format!(
            "tokens are stored in {}, encrypted with a key in the keychain of the system: \
             the keychain is available",
            home.path().display()
        )
    );

    let selection = select(&options).await;
    assert_eq!(selection.key, KeyKind::Keychain);
    assert!(matches!(
        selection.reason,
        SelectionReason::KeychainAvailable
    ));
    assert_eq!(entries().await[0].service, "example application");

    let selection = select(&at(&home.path())).await;
    assert_eq!(selection.key, KeyKind::Keychain);
    assert!(matches!(selection.reason, SelectionReason::Existing));
    assert_eq!(entries().await.len(), 1);
}

#[tokio::test]
async fn a_password_has_priority_over_the_keychain() {
    in_session!(Session::Unlocked);
    let home = Home::new();
    let selection = select(&with_password(&home.path())).await;
    assert_eq!(selection.key, KeyKind::Password);
    assert!(matches!(selection.reason, SelectionReason::PasswordGiven));
    assert_eq!(entries().await, []);
}

#[tokio::test]
async fn an_existing_store_keeps_its_key_beside_a_keychain() {
    in_session!(Session::Unlocked);
    for (source, options) in [
        (KeySource::KeyFile, at as fn(&Path) -> AutoOptions),
        (password("right"), with_password),
    ] {
        let kind = source.kind();
        let home = created_with(source).await;
        let selection = select(&options(&home.path())).await;
        assert_eq!(selection.key, kind);
        assert!(matches!(selection.reason, SelectionReason::Existing));
    }
    assert_eq!(entries().await, []);
}

#[tokio::test]
async fn without_a_keychain_a_key_file_is_selected_and_reported() {
    in_session!(Session::NoBus);
    let home = Home::new();
    let selection = select(&at(&home.path())).await;
    assert_eq!(selection.key, KeyKind::KeyFile);
    assert!(matches!(selection.reason, SelectionReason::NoKeychain(_)));
    let report = selection.to_string();
    assert!(
        report.contains("a key file in the same directory: no keychain is available ("),
        "{report}"
    );
    assert!(home.file("key").exists());

    let other = Home::new();
    let selection = select(&with_password(&other.path())).await;
    assert_eq!(selection.key, KeyKind::Password);
}

/// The store is never replaced by a weaker one without an error.
#[tokio::test]
async fn a_store_with_a_keychain_key_is_not_replaced_when_the_keychain_is_gone() {
    let name = in_session!(Session::Unlocked);
    if let Some((_, directory)) = role() {
        let (store, selection) = mcp_oauth_store::auto(&at(directory.as_ref()))
            .await
            .unwrap();
        assert_eq!(selection.key, KeyKind::Keychain);
        let refused = store.check_writable().await.unwrap_err();
        assert!(
            matches!(
                &refused,
                TokenStorageError::Keychain { store, cause: KeychainErrorKind::Absent(_) }
                    if store == Path::new(&directory)
            ),
            "{refused}"
        );
        return;
    }
    let home = created_with(KeySource::keychain()).await;
    let before = contents(&home.path());
    let mut elsewhere = same_test(name, "no keychain", &home.path());
    elsewhere.env_remove("DBUS_SESSION_BUS_ADDRESS");
    let other = elsewhere.output().unwrap();
    assert!(
        other.status.success(),
        "{}",
        String::from_utf8_lossy(&other.stderr)
    );
    assert_eq!(contents(&home.path()), before);
}

#[tokio::test]
async fn a_locked_keychain_is_not_replaced_by_a_key_file() {
    in_session!(Session::Unlocked);
    lock().await;
    let home = Home::new();
    let (store, selection) = mcp_oauth_store::auto(&at(&home.path())).await.unwrap();
    assert_eq!(selection.key, KeyKind::Keychain);
    let refused = store.check_writable().await.unwrap_err();
    assert!(
        matches!(
            refused,
            TokenStorageError::Keychain {
                cause: KeychainErrorKind::Locked(_),
                ..
            }
        ),
        "{refused}"
    );
    assert_eq!(EncryptedFileStore::key_kind(home.path()).unwrap(), None);
    assert!(!home.file("key").exists());
}

#[tokio::test]
async fn a_keychain_that_refuses_is_not_replaced_by_a_key_file() {
    in_session!(Session::Denied);
    let home = Home::new();
    let refused = mcp_oauth_store::auto(&at(&home.path())).await.unwrap_err();
    assert!(
        matches!(
            refused,
            TokenStorageError::Keychain {
                cause: KeychainErrorKind::Denied(_),
                ..
            }
        ),
        "{refused}"
    );
    assert!(!home.path().exists());
}

/// A password must not open a store without one, and a store with a password needs one.
#[tokio::test]
async fn a_password_must_match_the_store() {
    let home = created_with(KeySource::KeyFile).await;
    let refused = mcp_oauth_store::auto(&with_password(&home.path())).await;
    assert!(matches!(refused, Err(TokenStorageError::OtherKey(path)) if path == home.path()));

    let home = created_with(KeySource::Provided(Secret::new([7; 32]))).await;
    let refused = mcp_oauth_store::auto(&at(&home.path())).await;
    assert!(matches!(refused, Err(TokenStorageError::OtherKey(path)) if path == home.path()));

    let home = created_with(password("right")).await;
    let refused = mcp_oauth_store::auto(&at(&home.path())).await;
    assert!(matches!(refused, Err(TokenStorageError::PasswordNeeded(path)) if path == home.path()));

    let home = created_with(password("another")).await;
    let (store, _) = mcp_oauth_store::auto(&with_password(&home.path()))
        .await
        .unwrap();
    let refused = store.check_writable().await;
    assert!(matches!(refused, Err(TokenStorageError::WrongPassword(path)) if path == home.path()));
}
