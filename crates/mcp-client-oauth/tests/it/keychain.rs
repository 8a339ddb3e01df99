//! The keychain as the storage of the key, with the real GNOME Keyring.

use std::{fs, path::Path, sync::Arc};

use mcp_client_oauth::{TokenStore, error::TokenStorageError};
use mcp_oauth_store::{
    Backend as _, EncryptedFileStore, KeyKind, KeySource, KeychainErrorKind, Revision, key_kinds,
};
use mcp_oauth_testing::contract;

use test_support::{
    in_session,
    keychain::{Session, entries, lock, role, same_test, with_each},
};

use crate::encrypted::{Home, contents, get, put, sorted_names};

fn open(directory: &Path) -> EncryptedFileStore {
    EncryptedFileStore::open(directory, KeySource::keychain()).unwrap()
}

fn cause<T: std::fmt::Debug>(result: Result<T, TokenStorageError>) -> KeychainErrorKind {
    match result {
        Err(TokenStorageError::Keychain { cause, .. }) => cause,
        other => panic!("not refused by the keychain: {other:?}"),
    }
}

/// Returns the errors of each operation that needs the key of a store with the record `a`, without a
/// cached key.
async fn refusals(directory: &Path) -> [KeychainErrorKind; 4] {
    [
        cause(get(&open(directory), "a").await),
        cause(put(&open(directory), "a", Some(Revision::new(1)), "other").await),
        cause(put(&open(directory), "b", None, "other").await),
        cause(open(directory).check_writable().await),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn files_encrypted_with_a_keychain_key_keep_the_contract() {
    in_session!(Session::Unlocked);
    contract::check(Arc::new(open(&Home::new().path()))).await;
}

/// Nothing may block the only thread, and nothing may panic on it.
#[tokio::test]
async fn the_keychain_does_not_block_the_runtime() {
    in_session!(Session::Unlocked);
    contract::check(Arc::new(open(&Home::new().path()))).await;
}

#[tokio::test]
async fn the_key_is_written_once_and_read_once_per_process() {
    in_session!(Session::Unlocked);
    let home = Home::new();
    let files = open(&home.path());
    let mut revision = put(&files, "a", None, "0").await.unwrap();
    let written = entries().await;
    assert_eq!(written.len(), 1, "{written:?}");
    assert_eq!(written[0].service, "mcp-client-oauth");
    assert_eq!(written[0].label, "Key of an MCP token store");
    let header = fs::read_to_string(home.file("store.json")).unwrap();
    assert!(header.contains(&format!(r#""id":"{}""#, written[0].account)));

    // A second write would create the entry again; a second read would find no entry.
    with_each(|entry| entry.delete().unwrap()).await;
    for number in 1..=20 {
        let content = number.to_string();
        revision = put(&files, "a", Some(revision), &content).await.unwrap();
        assert_eq!(get(&files, "a").await.unwrap().unwrap(), content);
    }
    assert_eq!(entries().await, []);
}

#[tokio::test]
async fn another_process_reads_the_key() {
    let name = in_session!(Session::Unlocked);
    if let Some((_, directory)) = role() {
        let files = open(directory.as_ref());
        assert_eq!(get(&files, "a").await.unwrap().unwrap(), "content");
        put(&files, "b", None, "of the other").await.unwrap();
        return;
    }
    let home = Home::new();
    let files = open(&home.path());
    put(&files, "a", None, "content").await.unwrap();
    let before = entries().await;
    let other = same_test(name, "read", &home.path()).output().unwrap();
    assert!(
        other.status.success(),
        "{}",
        String::from_utf8_lossy(&other.stderr)
    );
    assert_eq!(get(&files, "b").await.unwrap().unwrap(), "of the other");
    assert_eq!(entries().await, before);
}

#[tokio::test]
async fn sixteen_concurrent_first_writers_use_one_key() {
    let name = in_session!(Session::Unlocked);
    if let Some((name, directory)) = role() {
        put(&open(directory.as_ref()), &name, None, &name)
            .await
            .unwrap();
        return;
    }
    let home = Home::new();
    let writers: Vec<_> = (0..16)
        .map(|number| same_test(name, &number.to_string(), &home.path()))
        .map(|mut command| command.spawn().unwrap())
        .collect();
    for mut writer in writers {
        assert!(writer.wait().unwrap().success());
    }
    let files = open(&home.path());
    for number in 0..16 {
        let name = number.to_string();
        assert_eq!(get(&files, &name).await.unwrap().unwrap(), name);
    }
    assert_eq!(entries().await.len(), 1);
}

#[tokio::test]
async fn two_stores_have_two_keys() {
    in_session!(Session::Unlocked);
    let (one, other) = (Home::new(), Home::new());
    put(&open(&one.path()), "a", None, "one").await.unwrap();
    put(&open(&other.path()), "a", None, "other").await.unwrap();
    let kept = entries().await;
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert_ne!(kept[0].account, kept[1].account);
    assert_ne!(kept[0].secret, kept[1].secret);
    assert_eq!(get(&open(&one.path()), "a").await.unwrap().unwrap(), "one");
}

#[tokio::test]
async fn a_store_remembers_the_service_of_its_key() {
    in_session!(Session::Unlocked);
    let home = Home::new();
    let service = "example application".to_owned();
    let files = EncryptedFileStore::open(home.path(), KeySource::Keychain { service }).unwrap();
    put(&files, "a", None, "content").await.unwrap();
    assert_eq!(entries().await[0].service, "example application");
    let found = get(&open(&home.path()), "a").await.unwrap();
    assert_eq!(found.unwrap(), "content");
}

#[tokio::test]
async fn neither_key_nor_record_is_in_any_file() {
    in_session!(Session::Unlocked);
    let home = Home::new();
    put(&open(&home.path()), "a", None, "planted-token")
        .await
        .unwrap();
    let key = entries().await.remove(0).secret;
    let bytes = data_encoding::BASE64URL_NOPAD
        .decode(key.as_bytes())
        .unwrap();
    let user = EncryptedFileStore::default_dir().unwrap();
    let user = user.parent().unwrap();
    assert!(
        user.join("keyrings").is_dir(),
        "the keyring is in another directory"
    );
    for directory in [home.path().as_path(), user] {
        for (path, file) in contents(directory) {
            for secret in [key.as_bytes(), &bytes, b"planted"] {
                let found = file.windows(secret.len()).any(|part| part == secret);
                assert!(!found, "{} has a secret in it", path.display());
            }
        }
    }
}

#[tokio::test]
async fn a_locked_keychain_is_reported_and_changes_nothing() {
    in_session!(Session::Unlocked);
    let home = Home::new();
    let files = open(&home.path());
    put(&files, "a", None, "content").await.unwrap();
    let before = contents(&home.path());
    lock().await;
    for refused in refusals(&home.path()).await {
        assert!(matches!(refused, KeychainErrorKind::Locked(_)), "{refused}");
        assert!(refused.to_string().contains("unlock it"), "{refused}");
    }
    assert_eq!(contents(&home.path()), before);
    assert_eq!(get(&files, "a").await.unwrap().unwrap(), "content");
    let response = key_kinds().await.remove(0).1.unwrap_err();
    assert!(
        matches!(response, KeychainErrorKind::Locked(_)),
        "{response}"
    );
}

#[tokio::test]
async fn no_store_is_created_while_the_keychain_is_locked() {
    in_session!(Session::Unlocked);
    let home = Home::new();
    lock().await;
    for refused in [
        cause(open(&home.path()).check_writable().await),
        cause(put(&open(&home.path()), "a", None, "content").await),
    ] {
        assert!(matches!(refused, KeychainErrorKind::Locked(_)), "{refused}");
    }
    assert!(!home.file("store.json").exists() && !home.file("key").exists());
    assert_eq!(home.records(), Vec::<std::path::PathBuf>::new());
}

/// No weaker store is created instead, and no other key source opens it.
#[tokio::test]
async fn a_store_of_the_keychain_is_opened_by_its_name() {
    in_session!(Session::Unlocked);
    let home = Home::new();
    let by = |name: &str| TokenStore::open(&format!("{name}:{}", home.path().display()));
    by("keychain").unwrap().check_writable().await.unwrap();
    assert_eq!(
        EncryptedFileStore::key_kind(home.path()).unwrap(),
        Some(KeyKind::Keychain)
    );
    assert_eq!(entries().await[0].service, "mcp-client-oauth");
    by("keychain").unwrap().check_writable().await.unwrap();
    assert_eq!(entries().await.len(), 1);
    let refused = by("file").unwrap_err();
    assert!(
        matches!(refused, TokenStorageError::OtherKey(_)),
        "{refused}"
    );

    // Without a directory it is the default one, in the home of this test.
    TokenStore::open("keychain:")
        .unwrap()
        .check_writable()
        .await
        .unwrap();
    let default = EncryptedFileStore::key_kind(EncryptedFileStore::default_dir().unwrap()).unwrap();
    assert_eq!(default, Some(KeyKind::Keychain));
    assert_eq!(entries().await.len(), 2);
}

#[tokio::test]
async fn a_store_with_another_key_is_not_opened_as_one_of_the_keychain() {
    let home = Home::new();
    let files = EncryptedFileStore::open(home.path(), KeySource::KeyFile).unwrap();
    put(&files, "a", None, "content").await.unwrap();
    let spec = format!("keychain:{}", home.path().display());
    let refused = TokenStore::open(&spec).unwrap_err();
    assert!(
        matches!(refused, TokenStorageError::OtherKey(_)),
        "{refused}"
    );
}

/// A new key would make every existing record unreadable.
#[tokio::test]
async fn a_missing_entry_is_not_replaced() {
    in_session!(Session::Unlocked);
    let home = Home::new();
    put(&open(&home.path()), "a", None, "content")
        .await
        .unwrap();
    let before = contents(&home.path());
    let entry = entries().await.remove(0);
    with_each(|entry| entry.delete().unwrap()).await;
    for refused in refusals(&home.path()).await {
        assert!(
            matches!(&refused, KeychainErrorKind::EntryGone { service, account }
                if *service == entry.service && *account == entry.account),
            "{refused}"
        );
    }
    assert_eq!(contents(&home.path()), before);
    assert_eq!(entries().await, []);
    assert_eq!(sorted_names(&open(&home.path())).await, ["a"]);
}

#[tokio::test]
async fn an_entry_with_another_key_is_reported() {
    in_session!(Session::Unlocked);
    let home = Home::new();
    put(&open(&home.path()), "a", None, "content")
        .await
        .unwrap();
    let before = contents(&home.path());
    let other = "A".repeat(43).into_bytes();
    for secret in [other, b"planted".to_vec(), vec![0xFF; 43], Vec::new()] {
        with_each(move |entry| entry.set_secret(&secret, "text/plain").unwrap()).await;
        for refused in refusals(&home.path()).await {
            assert!(
                matches!(refused, KeychainErrorKind::OtherKey { .. }),
                "{refused}"
            );
            assert!(!refused.to_string().contains("planted"), "{refused}");
        }
    }
    assert_eq!(contents(&home.path()), before);
}

/// The old entry is deleted, and no entry is written twice.
#[tokio::test]
async fn a_store_can_be_rekeyed_into_the_keychain_within_it_and_out_of_it() {
    in_session!(Session::Unlocked);
    let home = Home::new();
    let files = EncryptedFileStore::open(home.path(), KeySource::KeyFile).unwrap();
    put(&files, "a", None, "content").await.unwrap();
    let files = files.rekey(KeySource::keychain()).await.unwrap();
    let first = entries().await;
    assert_eq!(first.len(), 1, "{first:?}");
    assert!(!home.file("key").exists());
    assert_eq!(
        get(&open(&home.path()), "a").await.unwrap().unwrap(),
        "content"
    );

    let files = files.rekey(KeySource::keychain()).await.unwrap();
    let second = entries().await;
    assert_eq!(second.len(), 1, "{second:?}");
    assert_ne!(first[0].account, second[0].account);
    assert_ne!(first[0].secret, second[0].secret);
    assert_eq!(
        get(&open(&home.path()), "a").await.unwrap().unwrap(),
        "content"
    );

    let files = files.rekey(KeySource::KeyFile).await.unwrap();
    assert_eq!(entries().await, []);
    assert_eq!(get(&files, "a").await.unwrap().unwrap(), "content");
}

#[tokio::test]
async fn a_store_is_not_rekeyed_to_a_locked_keychain() {
    in_session!(Session::Unlocked);
    let home = Home::new();
    let files = EncryptedFileStore::open(home.path(), KeySource::KeyFile).unwrap();
    put(&files, "a", None, "content").await.unwrap();
    let before = contents(&home.path());
    lock().await;
    let refused = cause(files.rekey(KeySource::keychain()).await);
    assert!(matches!(refused, KeychainErrorKind::Locked(_)), "{refused}");
    assert_eq!(contents(&home.path()), before);
    assert_eq!(get(&files, "a").await.unwrap().unwrap(), "content");
}

/// Checks the error on a system without a keychain, and that no file is created.
async fn assert_absent(reason: &str) {
    let home = Home::new();
    for refused in [
        cause(open(&home.path()).check_writable().await),
        cause(put(&open(&home.path()), "a", None, "content").await),
        key_kinds().await.remove(0).1.unwrap_err(),
    ] {
        assert!(matches!(refused, KeychainErrorKind::Absent(_)), "{refused}");
        assert!(refused.to_string().contains(reason), "{refused}");
    }
    assert!(!home.file("store.json").exists() && !home.file("key").exists());
}

#[tokio::test]
async fn without_a_session_bus_there_is_no_keychain() {
    in_session!(Session::NoBus);
    assert_absent("run/bus`: No such file or directory").await;
}

#[tokio::test]
async fn without_a_secret_service_there_is_no_keychain() {
    in_session!(Session::NoService);
    assert_absent("org.freedesktop.secrets was not provided").await;
}

#[tokio::test]
async fn a_secret_service_without_a_keyring_is_no_keychain() {
    in_session!(Session::NoKeyring);
    assert_absent("no default keyring").await;
}

/// D-Bus itself has no timeout.
#[tokio::test]
async fn a_keychain_that_never_responds_is_absent() {
    in_session!(Session::Silent);
    let refused = key_kinds().await.remove(0).1.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("no response within 10 seconds"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_refusal_by_policy_is_reported() {
    in_session!(Session::Denied);
    let home = Home::new();
    for refused in [
        cause(open(&home.path()).check_writable().await),
        key_kinds().await.remove(0).1.unwrap_err(),
    ] {
        assert!(matches!(refused, KeychainErrorKind::Denied(_)), "{refused}");
    }
    assert!(!home.file("store.json").exists());
}
