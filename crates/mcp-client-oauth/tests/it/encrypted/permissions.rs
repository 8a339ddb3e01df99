//! The permissions of the files (docs/hostile.md H136 to H138).

use std::os::unix::{
    fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink},
    net::UnixListener,
};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

const OTHER_USER: Option<u32> = Some(54321);

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn assert_insecure<T: std::fmt::Debug>(result: Result<T, TokenStorageError>, path: &Path) {
    match result {
        Err(TokenStorageError::Insecure { path: found, .. }) => assert_eq!(found, path),
        other => panic!("not refused as insecure: {other:?}"),
    }
}

#[tokio::test]
async fn a_directory_that_others_can_write_is_refused() {
    let home = Home::new();
    let files = home.open();
    put(&files, "a", None, "content").await.unwrap();
    for mode in [0o777, 0o1777, 0o770, 0o720, 0o702] {
        set_mode(&home.path(), mode);
        assert_insecure(get(&files, "a").await, &home.path());
        assert_insecure(put(&files, "b", None, "content").await, &home.path());
        assert_insecure(names(&files).await, &home.path());
        assert_insecure(files.lock("a").await, &home.path());
        assert_insecure(
            EncryptedFileStore::open(home.path(), KeySource::KeyFile),
            &home.path(),
        );
    }
    set_mode(&home.path(), 0o700);
    assert_eq!(get(&files, "a").await.unwrap().unwrap(), "content");
}

#[tokio::test]
async fn a_directory_that_others_can_read_is_restricted_by_the_next_write() {
    let home = Home::new();
    let files = home.open();
    put(&files, "a", None, "content").await.unwrap();
    let record = home.only_record();
    set_mode(&home.path(), 0o755);
    set_mode(&record, 0o644);
    assert_eq!(get(&files, "a").await.unwrap().unwrap(), "content");
    let revision = files.get("a").await.unwrap().unwrap().revision;
    put(&files, "a", Some(revision), "content").await.unwrap();
    assert_eq!(fs::metadata(home.path()).unwrap().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(&record).unwrap().mode() & 0o777, 0o600);
}

/// After a copy of the directory, or a `chmod`, the next write restricts the permissions; a file of
/// another program is left unchanged (docs/hostile.md H154).
#[tokio::test]
async fn all_store_files_are_restricted_with_their_directory() {
    let home = Home::new();
    let files = home.open();
    put(&files, "a", None, "content").await.unwrap();
    put(&files, "b", None, "content").await.unwrap();
    let _held = files.lock("a").await.unwrap();
    let notes = home.file("of another program");
    overwrite(&notes, b"");
    let store_files: Vec<PathBuf> = contents(&home.path()).into_keys().collect();
    let store_files: Vec<&PathBuf> = store_files.iter().filter(|path| **path != notes).collect();
    assert_eq!(store_files.len(), 6, "{store_files:?}");
    for path in store_files.iter().copied().chain([&notes]) {
        set_mode(path, 0o644);
    }
    for directory in [home.file("locks"), home.file("tmp"), home.path()] {
        set_mode(&directory, 0o755);
    }
    put(&home.open(), "c", None, "content").await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    for path in store_files {
        assert_eq!(mode(path), 0o600, "{}", path.display());
    }
    for directory in [home.file("locks"), home.file("tmp"), home.path()] {
        assert_eq!(mode(&directory), 0o700, "{}", directory.display());
    }
    assert_eq!(mode(&notes), 0o644);
}

/// As root the test changes the owner of a directory; any other user tests with `/`.
#[test]
fn a_directory_of_another_user_is_refused() {
    let home = Home::new();
    fs::create_dir(home.path()).unwrap();
    let is_root = chown(home.path(), OTHER_USER, None).is_ok();
    let path = if is_root {
        home.path()
    } else {
        PathBuf::from("/")
    };
    assert_insecure(EncryptedFileStore::open(&path, KeySource::KeyFile), &path);
}

#[tokio::test]
async fn a_link_to_the_store_is_followed_if_the_same_user_owns_it() {
    let home = Home::new();
    put(&home.open(), "a", None, "content").await.unwrap();
    let link = home.directory.path().join("link");
    symlink(home.path(), &link).unwrap();
    let files = EncryptedFileStore::open(&link, KeySource::KeyFile).unwrap();
    assert_eq!(get(&files, "a").await.unwrap().unwrap(), "content");
    // Only root can change the owner of a link.
    if lchown(&link, OTHER_USER, None).is_ok() {
        assert_insecure(get(&files, "a").await, &link);
    }
    fs::remove_file(&link).unwrap();
    overwrite(&link, b"");
    assert_insecure(get(&files, "a").await, &link);
}

#[tokio::test]
async fn a_special_file_is_neither_read_nor_replaced_and_never_blocks() {
    let home = Home::new();
    let files = home.open();
    put(&files, "a", None, "content").await.unwrap();
    let record = home.only_record();
    put(&files, "b", None, "content").await.unwrap();
    let elsewhere = home.directory.path().join("elsewhere");
    fs::rename(&record, &elsewhere).unwrap();
    let genuine = fs::read(&elsewhere).unwrap();

    let impostors: [(&str, &dyn Fn()); 5] = [
        ("a link", &|| symlink(&elsewhere, &record).unwrap()),
        ("a link to nothing", &|| {
            symlink("/nonexistent/file", &record).unwrap();
        }),
        ("a pipe", &|| {
            mknodat(CWD, &record, FileType::Fifo, Mode::RUSR, 0).unwrap();
        }),
        ("a socket", &|| drop(UnixListener::bind(&record).unwrap())),
        ("a directory", &|| fs::create_dir(&record).unwrap()),
    ];
    for (what, make) in impostors {
        make();
        assert_insecure(get(&files, "a").await, &record);
        assert_insecure(put(&files, "a", None, "other").await, &record);
        assert_eq!(sorted_names(&files).await, ["b"], "{what}");
        if record.is_dir() && !record.is_symlink() {
            fs::remove_dir(&record).unwrap();
        } else {
            assert!(files.delete("a", None).await.unwrap(), "{what}");
        }
        assert_eq!(
            fs::read(&elsewhere).unwrap(),
            genuine,
            "{what} was followed"
        );
    }
}

#[tokio::test]
async fn a_link_in_place_of_a_lock_or_a_key_is_not_followed() {
    let home = Home::new();
    let files = home.open();
    put(&files, "a", None, "content").await.unwrap();
    let elsewhere = home.directory.path().join("elsewhere");
    for name in ["locks/write", "key", "store.json"] {
        let path = home.file(name);
        fs::rename(&path, &elsewhere).unwrap();
        symlink(&elsewhere, &path).unwrap();
        assert_insecure(home_put(&home).await, &path);
        fs::rename(&elsewhere, &path).unwrap();
    }
    home_put(&home).await.unwrap();
}

/// Writes through a new handle, which has not read the key yet.
async fn home_put(home: &Home) -> Result<Revision, TokenStorageError> {
    put(
        &EncryptedFileStore::open(home.path(), KeySource::KeyFile)?,
        "b",
        None,
        "content",
    )
    .await
}
