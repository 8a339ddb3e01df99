//! Files that were changed after they were written (docs/hostile.md H143, H144).

use super::*;

#[tokio::test]
async fn every_flipped_bit_is_detected() {
    let home = Home::new();
    let files = home.open();
    put(&files, "a", None, "content").await.unwrap();
    let record = home.only_record();
    let genuine = fs::read(&record).unwrap();
    for bit in 0..genuine.len() * 8 {
        let mut altered = genuine.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        overwrite(&record, &altered);
        let refused = get(&files, "a")
            .await
            .expect_err("a flipped bit went unnoticed");
        let named = match &refused {
            TokenStorageError::Corrupt { location, .. }
            | TokenStorageError::UnsupportedVersion { location, .. } => {
                *location == record.display().to_string()
            }
            _ => false,
        };
        assert!(named, "bit {bit}: {refused}");
        assert_eq!(
            fs::read(&record).unwrap(),
            altered,
            "a corrupt file was changed"
        );
    }
    overwrite(&record, &genuine);
    assert_eq!(get(&files, "a").await.unwrap().unwrap(), "content");
}

#[tokio::test]
async fn every_other_length_is_detected() {
    let home = Home::new();
    let files = home.open();
    put(&files, "a", None, "content").await.unwrap();
    let record = home.only_record();
    let mut genuine = fs::read(&record).unwrap();
    for length in 0..genuine.len() {
        overwrite(&record, &genuine[..length]);
        assert_corrupt(get(&files, "a").await, &record);
    }
    genuine.push(0);
    overwrite(&record, &genuine);
    assert_corrupt(get(&files, "a").await, &record);
}

#[tokio::test]
async fn swapped_files_are_detected() {
    let home = Home::new();
    let files = home.open();
    put(&files, "a", None, "of a").await.unwrap();
    let a = home.only_record();
    put(&files, "b", None, "of b").await.unwrap();
    let b = home.records().into_iter().find(|path| *path != a).unwrap();
    let (of_a, of_b) = (fs::read(&a).unwrap(), fs::read(&b).unwrap());
    overwrite(&a, &of_b);
    overwrite(&b, &of_a);
    assert_corrupt(get(&files, "a").await, &a);
    assert_corrupt(get(&files, "b").await, &b);
    assert_eq!(sorted_names(&files).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_file_of_another_store_is_detected() {
    let (home, other) = (Home::new(), Home::new());
    // The same key: only the identity of the store differs.
    let source = KeySource::Provided(Secret::new([7; 32]));
    let files = EncryptedFileStore::open(home.path(), source.clone()).unwrap();
    put(&files, "a", None, "here").await.unwrap();
    let other_files = EncryptedFileStore::open(other.path(), source).unwrap();
    put(&other_files, "a", None, "there").await.unwrap();
    overwrite(&home.only_record(), &fs::read(other.only_record()).unwrap());
    assert_corrupt(get(&files, "a").await, &home.only_record());
}

/// Combines the ciphertext of one content with the first line of another.
#[tokio::test]
async fn an_older_ciphertext_under_a_newer_first_line_is_detected() {
    let home = Home::new();
    let files = home.open();
    let revision = put(&files, "a", None, "old").await.unwrap();
    let old = fs::read(home.only_record()).unwrap();
    put(&files, "a", Some(revision), "new").await.unwrap();
    let new = fs::read(home.only_record()).unwrap();
    let line = |file: &[u8]| file.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let mixed = [&new[..line(&new)], &old[line(&old)..]].concat();
    overwrite(&home.only_record(), &mixed);
    assert_corrupt(get(&files, "a").await, &home.only_record());
}

#[tokio::test]
async fn a_corrupt_record_hides_no_other_and_is_not_replaced() {
    let home = Home::new();
    let files = home.open();
    put(&files, "corrupt", None, "content").await.unwrap();
    let record = home.only_record();
    put(&files, "good", None, "content").await.unwrap();
    overwrite(&record, b"not a record\n");
    // Its name is lost with its first line.
    assert_eq!(sorted_names(&files).await, ["good"]);
    assert_corrupt(put(&files, "corrupt", None, "other").await, &record);
    assert_corrupt(
        put(&files, "corrupt", Some(Revision::new(1)), "other").await,
        &record,
    );
    assert_eq!(fs::read(&record).unwrap(), b"not a record\n");
    // A caller can delete it.
    assert!(files.delete("corrupt", None).await.unwrap());
    put(&files, "corrupt", None, "other").await.unwrap();
}

#[tokio::test]
async fn a_record_of_a_later_version_is_left_unchanged() {
    let home = Home::new();
    let files = home.open();
    put(&files, "a", None, "content").await.unwrap();
    let later = br#"{"format":"mcp-oauth sealed record","version":2,"other":true}"#;
    overwrite(&home.only_record(), &[&later[..], b"\n"].concat());
    for refused in [
        get(&files, "a").await.map(drop),
        put(&files, "a", None, "x").await.map(drop),
    ] {
        let refused = refused.unwrap_err();
        assert!(
            matches!(
                refused,
                TokenStorageError::UnsupportedVersion { version: 2, .. }
            ),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn a_store_without_its_description_is_not_created_again() {
    let home = Home::new();
    put(&home.open(), "a", None, "content").await.unwrap();
    let description = home.file("store.json");
    let genuine = fs::read(&description).unwrap();
    fs::remove_file(&description).unwrap();
    assert_corrupt(get(&home.open(), "a").await, &description);
    assert_corrupt(put(&home.open(), "b", None, "content").await, &description);
    overwrite(&description, &genuine);
    assert_eq!(get(&home.open(), "a").await.unwrap().unwrap(), "content");
}

#[tokio::test]
async fn a_missing_or_changed_key_is_not_created_again() {
    let home = Home::new();
    put(&home.open(), "a", None, "content").await.unwrap();
    let key = home.file("key");
    fs::remove_file(&key).unwrap();
    assert_corrupt(get(&home.open(), "a").await, &key);
    assert_corrupt(put(&home.open(), "b", None, "content").await, &key);
    for other in [&[7; 32][..], &[7; 31], &[7; 33], b""] {
        overwrite(&key, other);
        assert_corrupt(get(&home.open(), "a").await, &key);
    }
}

#[tokio::test]
async fn unfinished_files_of_killed_writers_are_removed_by_the_next_write() {
    let home = Home::new();
    put(&home.open(), "a", None, "content").await.unwrap();
    let left = home.file("tmp/0123456789abcdef.tmp");
    let notes = home.file("tmp/notes.txt");
    overwrite(&left, b"half a rec");
    overwrite(&notes, b"of another program");
    assert_eq!(sorted_names(&home.open()).await, ["a"]);
    put(&home.open(), "b", None, "content").await.unwrap();
    assert!(!left.exists());
    assert!(notes.exists());
}
