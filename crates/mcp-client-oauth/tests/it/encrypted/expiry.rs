//! Records that expire.

use std::{fs, time::Duration};

use super::*;

const LONG: Duration = Duration::from_secs(3600);

async fn put_for(files: &EncryptedFileStore, name: &str, lifetime: Duration) {
    let entry = Entry::new(Secret::new(b"one".to_vec())).with_lifetime(lifetime);
    files.put(name, None, &entry).await.unwrap();
}

#[tokio::test]
async fn the_files_of_expired_records_are_removed_by_the_next_writer_of_such_records() {
    let home = Home::new();
    let files = home.open();
    put(&files, "stays", None, "content").await.unwrap();
    for name in ["a", "b", "c"] {
        put_for(&files, name, Duration::ZERO).await;
        assert!(files.get(name).await.unwrap().is_none(), "{name}");
    }
    put_for(&files, "d", LONG).await;
    assert_eq!(sorted_names(&files).await, ["d", "stays"]);
    assert_eq!(home.records().len(), 2, "files of expired records remain");
}

/// A writer without the key must not be able to extend a lifetime.
#[tokio::test]
async fn a_changed_expiry_is_detected() {
    let home = Home::new();
    let files = home.open();
    put_for(&files, "a", LONG).await;
    let path = home.only_record();
    let mut bytes = fs::read(&path).unwrap();
    let expires = b"\"expires\":";
    let at = bytes
        .windows(expires.len())
        .position(|part| part == expires);
    let digit = at.unwrap() + expires.len();
    assert!(bytes[digit].is_ascii_digit());
    bytes[digit] = b'9';
    #[allow(clippy::disallowed_methods, reason = "it corrupts a file on purpose")]
    fs::write(&path, bytes).unwrap();
    let error = files.get("a").await.unwrap_err();
    assert!(
        matches!(error, TokenStorageError::Corrupt { .. }),
        "{error}"
    );
}

/// Each store keeps what it has read of the files, and the other one changes them.
#[tokio::test]
async fn a_record_that_another_process_replaced_is_listed_as_it_is_now() {
    let home = Home::new();
    let (files, other) = (home.open(), home.open());
    let mut query = NameQuery::default();
    query.account = Some("a".to_owned());
    let listed = || async { files.names(&query).await.unwrap().names };
    put_for(&other, "x#a", LONG).await;
    put_for(&other, "x#b", LONG).await;
    for _ in 0..2 {
        assert_eq!(listed().await, ["x#a"]);
    }
    other.delete("x#a", None).await.unwrap();
    assert!(listed().await.is_empty());
    put_for(&other, "x#a", Duration::ZERO).await;
    assert!(listed().await.is_empty());
    put_for(&other, "x#a", LONG).await;
    assert_eq!(listed().await, ["x#a"]);
    put_for(&files, "y#a", Duration::ZERO).await;
    put_for(&files, "z#a", LONG).await;
    assert_eq!(sorted_names(&other).await, ["x#a", "x#b", "z#a"]);
    assert_eq!(
        home.records().len(),
        3,
        "the file of an expired record remains"
    );
}
