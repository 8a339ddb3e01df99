//! Who may read and change the files (H136-H138).

use std::os::unix::{
    fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink},
    net::UnixListener,
};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

const SOMEBODY_ELSE: Option<u32> = Some(54321);

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn assert_insecure<T: std::fmt::Debug>(result: Result<T, TokenStorageError>, path: &Path) {
    match result {
        Err(TokenStorageError::Insecure { path: found, .. }) => assert_eq!(found, path),
        other => panic!("not taken for insecure: {other:?}"),
    }
}

#[tokio::test]
async fn a_directory_that_others_may_change_is_refused() {
    let home = Home::new();
    let files = home.open();
    put(&files, "a", None, "content").await.unwrap();
    for mode in [0o777, 0o1777, 0o770, 0o720, 0o702] {
        set_mode(&home.path(), mode);
        assert_insecure(get(&files, "a").await, &home.path());
        assert_insecure(put(&files, "b", None, "content").await, &home.path());
        assert_insecure(files.names().await, &home.path());
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
async fn a_directory_that_others_may_look_into_is_closed_by_the_next_write() {
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

/// H154: what a copy of the directory, or `chmod`, left open is closed by the next write; what
/// somebody else put there is left alone.
#[tokio::test]
async fn everything_of_ours_is_closed_with_its_directory() {
    let home = Home::new();
    let files = home.open();
    put(&files, "a", None, "content").await.unwrap();
    put(&files, "b", None, "content").await.unwrap();
    let _held = files.lock("a").await.unwrap();
    let foreign = home.file("of somebody else");
    overwrite(&foreign, b"");
    let ours: Vec<PathBuf> = contents(&home.path()).into_keys().collect();
    let ours: Vec<&PathBuf> = ours.iter().filter(|path| **path != foreign).collect();
    assert_eq!(ours.len(), 6, "{ours:?}");
    for path in ours.iter().copied().chain([&foreign]) {
        set_mode(path, 0o644);
    }
    for directory in [home.file("locks"), home.file("new"), home.path()] {
        set_mode(&directory, 0o755);
    }
    put(&home.open(), "c", None, "content").await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    for path in ours {
        assert_eq!(mode(path), 0o600, "{}", path.display());
    }
    for directory in [home.file("locks"), home.file("new"), home.path()] {
        assert_eq!(mode(&directory), 0o700, "{}", directory.display());
    }
    assert_eq!(mode(&foreign), 0o644);
}

/// Whoever runs this as root makes a directory of somebody else; for all others `/` is one.
#[test]
fn a_directory_of_somebody_else_is_refused() {
    let home = Home::new();
    fs::create_dir(home.path()).unwrap();
    let given_away = chown(home.path(), SOMEBODY_ELSE, None).is_ok();
    let path = if given_away {
        home.path()
    } else {
        PathBuf::from("/")
    };
    assert_insecure(EncryptedFileStore::open(&path, KeySource::KeyFile), &path);
}

#[tokio::test]
async fn a_link_to_our_own_directory_is_followed_if_it_is_ours() {
    let home = Home::new();
    put(&home.open(), "a", None, "content").await.unwrap();
    let link = home.directory.path().join("link");
    symlink(home.path(), &link).unwrap();
    let files = EncryptedFileStore::open(&link, KeySource::KeyFile).unwrap();
    assert_eq!(get(&files, "a").await.unwrap().unwrap(), "content");
    // Only root can make a link of somebody else.
    if lchown(&link, SOMEBODY_ELSE, None).is_ok() {
        assert_insecure(get(&files, "a").await, &link);
    }
    fs::remove_file(&link).unwrap();
    overwrite(&link, b"");
    assert_insecure(get(&files, "a").await, &link);
}

#[tokio::test]
async fn what_is_no_regular_file_is_neither_read_nor_replaced_nor_waited_for() {
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
        assert_eq!(files.names().await.unwrap(), ["b"], "{what}");
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

/// With a handle of its own, which has no key yet.
async fn home_put(home: &Home) -> Result<Revision, TokenStorageError> {
    put(
        &EncryptedFileStore::open(home.path(), KeySource::KeyFile)?,
        "b",
        None,
        "content",
    )
    .await
}
