//! Changes of the key of an existing store.

use mcp_oauth_store::KeyKind;

use super::*;

fn provided(byte: u8) -> KeySource {
    KeySource::Provided(Secret::new([byte; 32]))
}

fn open(home: &Home, source: &KeySource) -> Result<EncryptedFileStore, TokenStorageError> {
    EncryptedFileStore::open(home.path(), source.clone())
}

async fn reads(home: &Home, source: &KeySource) -> Result<Option<String>, TokenStorageError> {
    get(&open(home, source)?, "a").await
}

/// Returns the files with names that begin with `key`.
fn key_files(home: &Home) -> Vec<PathBuf> {
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let files = contents(&home.path()).into_keys();
    files.filter(|path| name(path).starts_with("key")).collect()
}

#[tokio::test]
async fn each_key_source_can_replace_each_other() {
    let sources = [
        password("one"),
        password("other"),
        KeySource::KeyFile,
        provided(1),
        provided(2),
    ];
    for from in &sources {
        for to in &sources {
            let home = Home::new();
            let old = open(&home, from).unwrap();
            put(&old, "a", None, "content").await.unwrap();
            let record = fs::read(home.only_record()).unwrap();
            let keys = key_files(&home);

            let new = old.rekey(to.clone()).await.unwrap();
            assert_eq!(new.kind(), to.kind());
            assert_eq!(
                EncryptedFileStore::key_kind(home.path()).unwrap(),
                Some(to.kind())
            );
            assert_eq!(get(&new, "a").await.unwrap().unwrap(), "content");
            assert_eq!(reads(&home, to).await.unwrap().unwrap(), "content");
            assert_eq!(fs::read(home.only_record()).unwrap(), record);
            let is_key_file = usize::from(to.kind() == KeyKind::KeyFile);
            assert_eq!(key_files(&home).len(), is_key_file);
            for key in keys {
                assert!(!key.exists(), "the old key is still there");
            }
            if !std::ptr::eq(from, to) && from.kind() != KeyKind::KeyFile {
                let refused = reads(&home, from).await.unwrap_err();
                assert!(
                    matches!(
                        refused,
                        TokenStorageError::PasswordNeeded(_)
                            | TokenStorageError::WrongPassword(_)
                            | TokenStorageError::OtherKey(_)
                    ),
                    "{refused}"
                );
            }
        }
    }
}

#[tokio::test]
async fn an_open_handle_works_after_a_rekey() {
    let home = Home::new();
    let (changer, open_before, unused) = (home.open(), home.open(), home.open());
    let revision = put(&open_before, "a", None, "content").await.unwrap();
    let moved = changer.rekey(password("right")).await.unwrap();

    for files in [&changer, &open_before] {
        assert_eq!(get(files, "a").await.unwrap().unwrap(), "content");
    }
    put(&open_before, "a", Some(revision), "later")
        .await
        .unwrap();
    put(&open_before, "b", None, "new").await.unwrap();
    assert_eq!(get(&moved, "a").await.unwrap().unwrap(), "later");
    assert_eq!(get(&moved, "b").await.unwrap().unwrap(), "new");
    // A handle that has not read the key yet does not get it.
    let refused = get(&unused, "a").await.unwrap_err();
    assert!(
        matches!(refused, TokenStorageError::PasswordNeeded(_)),
        "{refused}"
    );
}

/// The ID of the store decides, not its path.
#[tokio::test]
async fn a_new_store_at_the_same_path_is_not_used_as_the_old_one() {
    let home = Home::new();
    let old = open(&home, &provided(1)).unwrap();
    put(&old, "a", None, "old").await.unwrap();
    let moved = old.rekey(provided(2)).await.unwrap();
    fs::remove_dir_all(home.path()).unwrap();

    let new = open(&home, &provided(3)).unwrap();
    put(&new, "a", None, "new").await.unwrap();
    for files in [&old, &moved] {
        let refused = get(files, "a").await.unwrap_err();
        assert!(
            matches!(refused, TokenStorageError::OtherKey(_)),
            "{refused}"
        );
        let refused = files.rekey(provided(4)).await.unwrap_err();
        assert!(
            matches!(refused, TokenStorageError::OtherKey(_)),
            "{refused}"
        );
    }
    assert_eq!(get(&new, "a").await.unwrap().unwrap(), "new");
}

#[tokio::test]
async fn without_the_right_key_nothing_changes() {
    let home = Home::new();
    let files = open(&home, &password("right")).unwrap();
    put(&files, "a", None, "content").await.unwrap();
    let before = contents(&home.path());
    let wrong = open(&home, &password("wrong")).unwrap();
    let refused = wrong.rekey(KeySource::KeyFile).await.unwrap_err();
    assert!(
        matches!(refused, TokenStorageError::WrongPassword(_)),
        "{refused}"
    );
    assert_eq!(contents(&home.path()), before);
}

/// A handle with a cached master key may not rekey a store that has another key by now.
#[tokio::test]
async fn a_handle_with_the_old_key_cannot_rekey() {
    let home = Home::new();
    let (changer, stale) = (home.open(), home.open());
    put(&stale, "a", None, "content").await.unwrap();
    changer.rekey(password("right")).await.unwrap();
    let before = contents(&home.path());
    let refused = stale.rekey(KeySource::KeyFile).await.unwrap_err();
    assert!(
        matches!(refused, TokenStorageError::PasswordNeeded(_)),
        "{refused}"
    );
    assert_eq!(contents(&home.path()), before);
}

#[tokio::test]
async fn an_unrelated_key_file_is_neither_used_nor_changed() {
    let home = Home::new();
    let files = open(&home, &password("right")).unwrap();
    put(&files, "a", None, "content").await.unwrap();
    let unrelated = home.file("key");
    overwrite(&unrelated, &[9; 32]);
    let moved = files.rekey(KeySource::KeyFile).await.unwrap();
    assert_eq!(fs::read(&unrelated).unwrap(), [9; 32]);
    assert_eq!(
        reads(&home, &KeySource::KeyFile).await.unwrap().unwrap(),
        "content"
    );

    let again = moved.rekey(KeySource::KeyFile).await.unwrap();
    assert_eq!(get(&again, "a").await.unwrap().unwrap(), "content");
    assert_eq!(key_files(&home).len(), 2, "{:?}", key_files(&home));
}

/// The name of the key file is derived from a number in the description, which cannot be a path.
#[tokio::test]
async fn a_description_cannot_name_a_file_outside_the_store() {
    let home = Home::new();
    let files = home.open();
    put(&files, "a", None, "content").await.unwrap();
    files.rekey(KeySource::KeyFile).await.unwrap();
    let path = home.file("store.json");
    let genuine: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for change in ["../../key", "/etc/passwd", "", "00"] {
        let mut altered = genuine.clone();
        altered["change"] = change.into();
        overwrite(&path, altered.to_string().as_bytes());
        assert_corrupt(
            EncryptedFileStore::open(home.path(), KeySource::KeyFile),
            &path,
        );
    }
}

#[tokio::test]
async fn a_new_key_that_cannot_be_stored_leaves_the_old_one() {
    let home = Home::new();
    let files = home.open();
    put(&files, "a", None, "content").await.unwrap();
    // A directory in place of the file makes the rename fail.
    let description = home.file("store.json");
    let genuine = fs::read(&description).unwrap();
    fs::remove_file(&description).unwrap();
    fs::create_dir(&description).unwrap();
    files.rekey(KeySource::KeyFile).await.unwrap_err();
    fs::remove_dir(&description).unwrap();
    overwrite(&description, &genuine);
    assert_eq!(
        reads(&home, &KeySource::KeyFile).await.unwrap().unwrap(),
        "content"
    );
}

#[tokio::test]
async fn a_store_that_does_not_exist_is_created_with_the_new_key() {
    let home = Home::new();
    let files = home.open().rekey(provided(1)).await.unwrap();
    assert_eq!(
        EncryptedFileStore::key_kind(home.path()).unwrap(),
        Some(KeyKind::Provided)
    );
    put(&files, "a", None, "content").await.unwrap();
    assert_eq!(
        reads(&home, &provided(1)).await.unwrap().unwrap(),
        "content"
    );
}
