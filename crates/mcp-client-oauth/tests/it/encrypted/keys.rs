//! The right key, the wrong key, and no key.

use serde_json::{Value, json};

use super::*;
use mcp_oauth_store::KeyKind;

#[tokio::test]
async fn a_wrong_password_is_reported_and_changes_nothing() {
    let home = Home::new();
    put(
        &EncryptedFileStore::open(home.path(), password("right")).unwrap(),
        "a",
        None,
        "content",
    )
    .await
    .unwrap();
    let before = contents(&home.path());
    let wrong = EncryptedFileStore::open(home.path(), password("wrong")).unwrap();
    let message = format!(
        "wrong password for the token store {}",
        home.path().display()
    );
    for refused in [
        get(&wrong, "a").await.map(drop),
        get(&wrong, "absent").await.map(drop),
        put(&wrong, "a", None, "other").await.map(drop),
        put(&wrong, "b", None, "other").await.map(drop),
    ] {
        assert_eq!(refused.unwrap_err().to_string(), message);
    }
    assert_eq!(contents(&home.path()), before);
    let right = EncryptedFileStore::open(home.path(), password("right")).unwrap();
    assert_eq!(get(&right, "a").await.unwrap().unwrap(), "content");
}

#[tokio::test]
async fn names_are_listed_and_records_deleted_without_the_key() {
    let home = Home::new();
    let files = EncryptedFileStore::open(home.path(), password("right")).unwrap();
    put(&files, "a", None, "content").await.unwrap();
    put(&files, "b", None, "content").await.unwrap();
    let wrong = EncryptedFileStore::open(home.path(), password("wrong")).unwrap();
    assert_eq!(sorted_names(&wrong).await, ["a", "b"]);
    assert!(wrong.delete("a", None).await.unwrap());
    assert_eq!(sorted_names(&wrong).await, ["b"]);
}

#[tokio::test]
async fn a_store_is_opened_with_the_kind_of_key_that_it_was_created_with() {
    let sources = [
        password("right"),
        KeySource::KeyFile,
        KeySource::Provided(Secret::new([7; 32])),
    ];
    for created_with in &sources {
        let home = Home::new();
        assert_eq!(EncryptedFileStore::key_kind(home.path()).unwrap(), None);
        let files = EncryptedFileStore::open(home.path(), created_with.clone()).unwrap();
        put(&files, "a", None, "content").await.unwrap();
        assert_eq!(
            EncryptedFileStore::key_kind(home.path()).unwrap(),
            Some(created_with.kind())
        );
        for source in &sources {
            let opened = EncryptedFileStore::open(home.path(), source.clone());
            match (created_with.kind(), source.kind()) {
                (created_with, source) if created_with == source => drop(opened.unwrap()),
                (KeyKind::Password, _) => {
                    assert!(matches!(opened, Err(TokenStorageError::PasswordNeeded(_))));
                }
                _ => assert!(matches!(opened, Err(TokenStorageError::OtherKey(_)))),
            }
        }
    }
}

/// Uses a handle that was opened before another process created the store.
#[tokio::test]
async fn the_kind_of_key_is_read_again_when_the_store_is_used() {
    let home = Home::new();
    let early = home.open();
    let files = EncryptedFileStore::open(home.path(), password("right")).unwrap();
    put(&files, "a", None, "content").await.unwrap();
    for refused in [
        get(&early, "a").await.map(drop),
        put(&early, "b", None, "x").await.map(drop),
    ] {
        assert!(
            matches!(refused, Err(TokenStorageError::PasswordNeeded(_))),
            "{refused:?}"
        );
    }
    assert!(!home.file("key").exists());
}

#[tokio::test]
async fn another_provided_key_is_refused() {
    let home = Home::new();
    let open_with = |byte| {
        EncryptedFileStore::open(home.path(), KeySource::Provided(Secret::new([byte; 32]))).unwrap()
    };
    put(&open_with(1), "a", None, "content").await.unwrap();
    let refused = get(&open_with(2), "a").await.unwrap_err();
    assert!(
        matches!(refused, TokenStorageError::OtherKey(_)),
        "{refused}"
    );
    assert_eq!(get(&open_with(1), "a").await.unwrap().unwrap(), "content");
}

/// A store with a password, and changes of its `store.json`.
struct Altered {
    home: Home,
    genuine: Value,
}

impl Altered {
    async fn new() -> Self {
        let home = Home::new();
        let files = EncryptedFileStore::open(home.path(), password("right")).unwrap();
        put(&files, "a", None, "content").await.unwrap();
        let genuine = serde_json::from_slice(&fs::read(home.file("store.json")).unwrap()).unwrap();
        Self { home, genuine }
    }

    /// Returns the error with the right password after one value was changed.
    async fn refusal(&self, path: &[&str], value: Value) -> TokenStorageError {
        let mut altered = self.genuine.clone();
        *path
            .iter()
            .fold(&mut altered, |inner, name| &mut inner[*name]) = value;
        overwrite(
            &self.home.file("store.json"),
            altered.to_string().as_bytes(),
        );
        match EncryptedFileStore::open(self.home.path(), password("right")) {
            Ok(files) => get(&files, "a").await.unwrap_err(),
            Err(refused) => refused,
        }
    }
}

/// The limits keep guessing expensive, and keep a hostile file from blocking the process
/// (docs/hostile.md H146).
#[tokio::test]
async fn key_derivation_rounds_outside_the_limits_are_refused() {
    let store = Altered::new().await;
    assert_eq!(store.genuine["kdf"]["name"], "pbkdf2-hmac-sha256");
    assert_eq!(store.genuine["kdf"]["iterations"], 600_000);
    for rounds in [0, 1, 99_999, 10_000_001, 1_u64 << 31, 1 << 32] {
        let refused = store.refusal(&["kdf", "iterations"], json!(rounds)).await;
        assert!(
            matches!(refused, TokenStorageError::Corrupt { .. }),
            "{rounds}: {refused}"
        );
    }
}

#[tokio::test]
async fn an_invalid_description_is_refused() {
    let store = Altered::new().await;
    for (path, value) in [
        (&["kdf"][..], Value::Null),
        (&["kdf", "name"], json!("scrypt")),
        (&["kdf", "salt"], json!("00")),
        (&["id"], json!("00")),
        (&["key"], json!("none")),
        (&["key"], json!("key-file")),
        (&["format"], json!("other")),
        (&["version"], json!(0)),
        (&["service"], json!("another")),
        (&["wrapped"], Value::Null),
        (&["wrapped", "cipher"], json!("none")),
        (&["wrapped", "sealed"], json!("00")),
    ] {
        let refused = store.refusal(path, value).await;
        assert!(
            matches!(refused, TokenStorageError::Corrupt { .. }),
            "{path:?}: {refused}"
        );
    }
    let refused = store.refusal(&["version"], json!(2)).await;
    assert!(
        matches!(
            refused,
            TokenStorageError::UnsupportedVersion { version: 2, .. }
        ),
        "{refused}"
    );
}

/// The values are valid, but differ from those of the store.
#[tokio::test]
async fn a_description_of_another_store_does_not_match_the_password() {
    let store = Altered::new().await;
    for (path, value) in [
        (&["kdf", "iterations"][..], json!(100_000)),
        (&["kdf", "salt"], json!("00".repeat(32))),
        (&["id"], json!("00".repeat(16))),
        (&["wrapped", "nonce"], json!("00".repeat(12))),
        (&["wrapped", "sealed"], json!("00".repeat(48))),
    ] {
        let refused = store.refusal(path, value).await;
        assert!(
            matches!(refused, TokenStorageError::WrongPassword(_)),
            "{path:?}: {refused}"
        );
    }
}

/// The master key is random: neither the password nor the provided key encrypts any record.
#[tokio::test]
async fn two_stores_of_one_source_have_two_master_keys() {
    for source in [password("right"), KeySource::Provided(Secret::new([7; 32]))] {
        let (home, other) = (Home::new(), Home::new());
        for home in [&home, &other] {
            let files = EncryptedFileStore::open(home.path(), source.clone()).unwrap();
            put(&files, "a", None, "content").await.unwrap();
        }
        // The wrapped key of another store cannot be decrypted: the store ID is authenticated with it.
        let description = home.file("store.json");
        let mut mixed: Value = serde_json::from_slice(&fs::read(&description).unwrap()).unwrap();
        let others = fs::read(other.file("store.json")).unwrap();
        let others: Value = serde_json::from_slice(&others).unwrap();
        assert_ne!(mixed["wrapped"], others["wrapped"]);
        mixed["wrapped"] = others["wrapped"].clone();
        overwrite(&description, mixed.to_string().as_bytes());
        let files = EncryptedFileStore::open(home.path(), source).unwrap();
        let refused = get(&files, "a").await.unwrap_err();
        assert!(
            matches!(
                refused,
                TokenStorageError::WrongPassword(_) | TokenStorageError::OtherKey(_)
            ),
            "{refused}"
        );
    }
}
