//! Another key for a store that exists.

use mcp_client_oauth::store::KeyKind;

use super::*;

fn given(byte: u8) -> KeySource {
    KeySource::Provided(Secret::new([byte; 32]))
}

fn open(home: &Home, source: &KeySource) -> Result<EncryptedFileStore, TokenStorageError> {
    EncryptedFileStore::open(home.path(), source.clone())
}

async fn reads(home: &Home, source: &KeySource) -> Result<Option<String>, TokenStorageError> {
    get(&open(home, source)?, "a").await
}

/// The files whose names begin with `key`.
fn key_files(home: &Home) -> Vec<PathBuf> {
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let files = contents(&home.path()).into_keys();
    files.filter(|path| name(path).starts_with("key")).collect()
}

#[tokio::test]
async fn each_source_can_take_the_place_of_each() {
    let sources = [
        password("one"),
        password("other"),
        KeySource::KeyFile,
        given(1),
        given(2),
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
async fn who_has_the_store_open_goes_on() {
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
    // Who did not have the key yet does not get it.
    let refused = get(&unused, "a").await.unwrap_err();
    assert!(
        matches!(refused, TokenStorageError::PasswordNeeded(_)),
        "{refused}"
    );
}

/// The identity decides, not the place.
#[tokio::test]
async fn a_new_store_in_the_same_place_is_not_taken_for_the_old_one() {
    let home = Home::new();
    let old = open(&home, &given(1)).unwrap();
    put(&old, "a", None, "old").await.unwrap();
    let moved = old.rekey(given(2)).await.unwrap();
    fs::remove_dir_all(home.path()).unwrap();

    let new = open(&home, &given(3)).unwrap();
    put(&new, "a", None, "new").await.unwrap();
    for files in [&old, &moved] {
        let refused = get(files, "a").await.unwrap_err();
        assert!(
            matches!(refused, TokenStorageError::OtherKey(_)),
            "{refused}"
        );
        let refused = files.rekey(given(4)).await.unwrap_err();
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

/// A handle that knows the master key by heart has no right to a store that got another key since.
#[tokio::test]
async fn a_change_is_not_undone_by_who_has_the_old_key() {
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
async fn a_key_file_that_lies_around_is_neither_used_nor_touched() {
    let home = Home::new();
    let files = open(&home, &password("right")).unwrap();
    put(&files, "a", None, "content").await.unwrap();
    let around = home.file("key");
    overwrite(&around, &[9; 32]);
    let moved = files.rekey(KeySource::KeyFile).await.unwrap();
    assert_eq!(fs::read(&around).unwrap(), [9; 32]);
    assert_eq!(
        reads(&home, &KeySource::KeyFile).await.unwrap().unwrap(),
        "content"
    );

    let again = moved.rekey(KeySource::KeyFile).await.unwrap();
    assert_eq!(get(&again, "a").await.unwrap().unwrap(), "content");
    assert_eq!(key_files(&home).len(), 2, "{:?}", key_files(&home));
}

/// The name of the key file is made of a number in the description: it leads nowhere else.
#[tokio::test]
async fn a_description_cannot_name_a_file_elsewhere() {
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
async fn a_new_key_that_cannot_be_kept_leaves_the_old_one() {
    let home = Home::new();
    let files = home.open();
    put(&files, "a", None, "content").await.unwrap();
    // Nothing can be put in its place.
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
async fn a_store_that_does_not_exist_is_made_with_the_new_key() {
    let home = Home::new();
    let files = home.open().rekey(given(1)).await.unwrap();
    assert_eq!(
        EncryptedFileStore::key_kind(home.path()).unwrap(),
        Some(KeyKind::Provided)
    );
    put(&files, "a", None, "content").await.unwrap();
    assert_eq!(reads(&home, &given(1)).await.unwrap().unwrap(), "content");
}
