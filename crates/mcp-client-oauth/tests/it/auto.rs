//! The choice of the best local store: once, said, and remembered.

use std::path::Path;

use mcp_client_oauth::{
    Secret, TokenStore,
    error::{KeychainErrorKind, TokenStorageError},
    store::{AutoOptions, EncryptedFileStore, KeyKind, KeySource, SelectionReason, StoreSelection},
};

use test_support::{
    in_session,
    keychain::{Session, again, entries, lock, role},
};

use crate::sealed::{Home, contents, password, put};

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

/// The choice, which must be good to keep something with.
async fn choose(options: &AutoOptions) -> StoreSelection {
    let (store, choice) = TokenStore::auto(options).await.unwrap();
    store.check_writable().await.unwrap();
    let directory = options.directory.as_ref().unwrap();
    assert_eq!(choice.directory, *directory);
    assert_eq!(
        EncryptedFileStore::key_kind(directory).unwrap(),
        Some(choice.key)
    );
    choice
}

async fn made_with(source: KeySource) -> Home {
    let home = Home::new();
    let files = EncryptedFileStore::open(home.path(), source).unwrap();
    put(&files, "a", None, "content").await.unwrap();
    home
}

#[tokio::test]
async fn a_keychain_that_answers_is_chosen_and_remembered() {
    in_session!(Session::Unlocked);
    let home = Home::new();
    let mut options = at(&home.path());
    options.service = Some("example application".to_owned());
    let (_, choice) = TokenStore::auto(&options).await.unwrap();
    assert!(!home.path().exists(), "choosing made something");
    assert_eq!(entries().await, []);
    assert_eq!(
        choice.to_string(),
        format!(
            "tokens are kept in {}, sealed with a key in the keychain of the system: \
             the keychain answers",
            home.path().display()
        )
    );

    let choice = choose(&options).await;
    assert_eq!(choice.key, KeyKind::Keychain);
    assert!(matches!(choice.reason, SelectionReason::KeychainAnswers));
    assert_eq!(entries().await[0].service, "example application");

    let choice = choose(&at(&home.path())).await;
    assert_eq!(choice.key, KeyKind::Keychain);
    assert!(matches!(choice.reason, SelectionReason::Existing));
    assert_eq!(entries().await.len(), 1);
}

#[tokio::test]
async fn a_password_goes_before_the_keychain() {
    in_session!(Session::Unlocked);
    let home = Home::new();
    let choice = choose(&with_password(&home.path())).await;
    assert_eq!(choice.key, KeyKind::Password);
    assert!(matches!(choice.reason, SelectionReason::PasswordGiven));
    assert_eq!(entries().await, []);
}

#[tokio::test]
async fn a_store_that_is_there_keeps_its_key_beside_a_keychain() {
    in_session!(Session::Unlocked);
    for (source, options) in [
        (KeySource::KeyFile, at as fn(&Path) -> AutoOptions),
        (password("right"), with_password),
    ] {
        let kind = source.kind();
        let home = made_with(source).await;
        let choice = choose(&options(&home.path())).await;
        assert_eq!(choice.key, kind);
        assert!(matches!(choice.reason, SelectionReason::Existing));
    }
    assert_eq!(entries().await, []);
}

#[tokio::test]
async fn without_a_keychain_a_key_file_is_chosen_and_said() {
    in_session!(Session::NoBus);
    let home = Home::new();
    let choice = choose(&at(&home.path())).await;
    assert_eq!(choice.key, KeyKind::KeyFile);
    assert!(matches!(choice.reason, SelectionReason::NoKeychain(_)));
    let said = choice.to_string();
    assert!(
        said.contains("a key in a file beside them: no keychain answers ("),
        "{said}"
    );
    assert!(home.file("key").exists());

    let other = Home::new();
    let choice = choose(&with_password(&other.path())).await;
    assert_eq!(choice.key, KeyKind::Password);
}

/// Never a silent step down: neither now, nor by making a second store in its place.
#[tokio::test]
async fn a_store_of_the_keychain_stays_one_when_the_keychain_is_gone() {
    let name = in_session!(Session::Unlocked);
    if let Some((_, directory)) = role() {
        let (store, choice) = TokenStore::auto(&at(directory.as_ref())).await.unwrap();
        assert_eq!(choice.key, KeyKind::Keychain);
        let refused = store.check_writable().await.unwrap_err();
        assert!(
            matches!(
                &refused,
                TokenStorageError::Keychain { store, cause: KeychainErrorKind::Absent(_) }
                    if *store == Path::new(&directory)
            ),
            "{refused}"
        );
        return;
    }
    let home = made_with(KeySource::keychain()).await;
    let before = contents(&home.path());
    let mut elsewhere = again(name, "no keychain", &home.path());
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
async fn a_locked_keychain_is_not_stepped_down_from() {
    in_session!(Session::Unlocked);
    lock().await;
    let home = Home::new();
    let (store, choice) = TokenStore::auto(&at(&home.path())).await.unwrap();
    assert_eq!(choice.key, KeyKind::Keychain);
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
async fn a_keychain_that_refuses_is_not_stepped_down_from() {
    in_session!(Session::Denied);
    let home = Home::new();
    let refused = TokenStore::auto(&at(&home.path())).await.unwrap_err();
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

/// Who gives a password must not be served by a store without one, nor asked for none.
#[tokio::test]
async fn a_password_and_a_store_must_fit() {
    let home = made_with(KeySource::KeyFile).await;
    let refused = TokenStore::auto(&with_password(&home.path())).await;
    assert!(matches!(refused, Err(TokenStorageError::OtherKey(path)) if path == home.path()));

    let home = made_with(KeySource::Provided(Secret::new([7; 32]))).await;
    let refused = TokenStore::auto(&at(&home.path())).await;
    assert!(matches!(refused, Err(TokenStorageError::OtherKey(path)) if path == home.path()));

    let home = made_with(password("right")).await;
    let refused = TokenStore::auto(&at(&home.path())).await;
    assert!(matches!(refused, Err(TokenStorageError::PasswordNeeded(path)) if path == home.path()));

    let home = made_with(password("another")).await;
    let (store, _) = TokenStore::auto(&with_password(&home.path()))
        .await
        .unwrap();
    let refused = store.check_writable().await;
    assert!(matches!(refused, Err(TokenStorageError::WrongPassword(path)) if path == home.path()));
}
