//! The list of records: it is read from the files in the directory, and from nothing else.

use super::*;

/// A store with two records, written by an earlier version that also kept a list of their names. Its key
/// is 32 times the byte 7.
const EARLIER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/store-1");
const EARLIER_NAMES: [&str; 2] = ["client https://as.example", "login https://mcp.example/mcp"];

impl Home {
    /// Copies the store of the earlier version.
    fn earlier() -> Self {
        let home = Self::new();
        fs::create_dir(home.path()).unwrap();
        for (path, bytes) in contents(Path::new(EARLIER)) {
            overwrite(
                &home.file(path.file_name().unwrap().to_str().unwrap()),
                &bytes,
            );
        }
        home
    }

    fn open_earlier(&self) -> EncryptedFileStore {
        let key = KeySource::Provided(Secret::new([7; 32]));
        EncryptedFileStore::open(self.path(), key).unwrap()
    }

    /// Returns the path of the list of names of the earlier version.
    fn index(&self) -> PathBuf {
        self.file("names")
    }
}

#[tokio::test]
async fn restored_files_are_listed_and_removed_files_are_not() {
    let home = Home::new();
    let files = home.open();
    put(&files, "a", None, "content").await.unwrap();
    let record = home.only_record();
    let genuine = fs::read(&record).unwrap();
    put(&files, "b", None, "content").await.unwrap();
    fs::remove_file(&record).unwrap();
    assert_eq!(sorted_names(&files).await, ["b"]);
    files.delete("b", None).await.unwrap();

    overwrite(&record, &genuine);
    assert_eq!(sorted_names(&files).await, ["a"]);
    assert_eq!(get(&files, "a").await.unwrap().unwrap(), "content");
    let revision = files.get("a").await.unwrap().unwrap().revision;
    files.delete("a", Some(revision)).await.unwrap();
    assert_eq!(sorted_names(&files).await, Vec::<String>::new());
}

/// Each file exceeds the limit of a record: a file that is read completely is refused.
#[tokio::test]
async fn a_long_list_reads_only_the_first_line_of_each_record() {
    let home = Home::new();
    let files = home.open();
    put(&files, "name-0000", None, "content").await.unwrap();
    let first = fs::read(home.only_record()).unwrap();
    let line = first.split(|byte| *byte == b'\n').next().unwrap();
    let line = std::str::from_utf8(line).unwrap();
    let names: Vec<String> = (0..200).map(|number| format!("name-{number:04}")).collect();
    for name in &names {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
        let hash = data_encoding::HEXLOWER.encode(hash.as_ref());
        let mut file = File::create(home.file(&format!("{hash}.enc"))).unwrap();
        let line = line.replace("name-0000", name);
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
        file.set_len(2 << 20).unwrap();
    }
    assert_eq!(sorted_names(&files).await, names);
}

#[tokio::test]
async fn a_store_of_an_earlier_version_is_read_and_its_list_of_names_is_deleted_by_the_next_write()
{
    let home = Home::earlier();
    let index = fs::read(home.index()).unwrap();
    let files = home.open_earlier();
    assert_eq!(sorted_names(&files).await, EARLIER_NAMES);
    for name in EARLIER_NAMES {
        let content = get(&files, name).await.unwrap().unwrap();
        assert_eq!(content, format!("content of {name}"));
    }
    assert_eq!(fs::read(home.index()).unwrap(), index, "reading changed it");
    put(&files, "a", None, "content").await.unwrap();
    assert!(!home.index().exists());
    files.delete(EARLIER_NAMES[0], None).await.unwrap();
    let names = sorted_names(&home.open_earlier()).await;
    assert_eq!(names, ["a", EARLIER_NAMES[1]]);
}

/// The list is truncated, wrong, or a directory (docs/hostile.md H144).
#[tokio::test]
async fn the_list_of_names_of_an_earlier_version_is_ignored() {
    for wrong in [
        "",
        "mcp-oauth names 1\n+\"never\"\n",
        "mcp-oauth names 1\n+\"to",
        "?",
    ] {
        let home = Home::earlier();
        overwrite(&home.index(), wrong.as_bytes());
        let files = home.open_earlier();
        assert_eq!(sorted_names(&files).await, EARLIER_NAMES, "{wrong}");
        put(&files, "a", None, "content").await.unwrap();
        assert!(!home.index().exists(), "{wrong}");
    }
    let home = Home::earlier();
    fs::remove_file(home.index()).unwrap();
    fs::create_dir(home.index()).unwrap();
    let files = home.open_earlier();
    put(&files, "a", None, "content").await.unwrap();
    assert_eq!(sorted_names(&files).await.len(), 3);
    assert!(home.index().is_dir(), "a directory with that name is kept");
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_with_the_name_of_the_list_is_not_followed() {
    let home = Home::earlier();
    let elsewhere = home.parent().join("elsewhere");
    fs::rename(home.index(), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, home.index()).unwrap();
    put(&home.open_earlier(), "a", None, "content")
        .await
        .unwrap();
    assert!(!home.index().is_symlink());
    assert!(elsewhere.exists());
}

impl Home {
    /// Returns the files of the records that still have a name of the earlier version.
    fn old_records(&self) -> Vec<PathBuf> {
        let files = contents(&self.path()).into_keys();
        files
            .filter(|path| path.extension().is_some_and(|end| end == "sealed"))
            .collect()
    }
}

#[tokio::test]
async fn a_write_renames_the_file_of_an_earlier_version_and_a_deletion_removes_it() {
    let home = Home::earlier();
    let files = home.open_earlier();
    let [client, login] = EARLIER_NAMES;
    let revision = files.get(login).await.unwrap().unwrap().revision;
    let refused = put(&files, login, None, "new").await.unwrap_err();
    assert!(
        matches!(refused, TokenStorageError::Conflict { .. }),
        "{refused}"
    );
    assert_eq!((home.old_records().len(), home.records().len()), (2, 0));

    let new = put(&files, login, Some(revision), "new").await.unwrap();
    assert!(new > revision);
    assert_eq!((home.old_records().len(), home.records().len()), (1, 1));
    assert_eq!(get(&files, login).await.unwrap().unwrap(), "new");
    assert_eq!(sorted_names(&files).await, EARLIER_NAMES);

    let revision = files.get(client).await.unwrap().unwrap().revision;
    assert!(files.delete(client, Some(revision)).await.unwrap());
    assert!(!files.delete(client, None).await.unwrap());
    assert_eq!((home.old_records().len(), home.records().len()), (0, 1));
    assert_eq!(sorted_names(&home.open_earlier()).await, [login]);
}

/// A process may die after it has written the new file, before it removes the old one.
#[tokio::test]
async fn a_record_with_both_file_names_has_the_content_of_the_new_one_and_is_deleted_once() {
    let home = Home::earlier();
    let files = home.open_earlier();
    let login = EARLIER_NAMES[1];
    let before: Vec<_> = home
        .old_records()
        .into_iter()
        .map(|path| (fs::read(&path).unwrap(), path))
        .collect();
    let restore = || {
        for (bytes, path) in &before {
            overwrite(path, bytes);
        }
    };
    let revision = files.get(login).await.unwrap().unwrap().revision;
    let second = put(&files, login, Some(revision), "second").await.unwrap();
    restore();
    assert_eq!(get(&files, login).await.unwrap().unwrap(), "second");
    assert_eq!(sorted_names(&files).await, EARLIER_NAMES);
    let third = put(&files, login, Some(second), "third").await.unwrap();
    restore();
    assert!(files.delete(login, Some(third)).await.unwrap());
    assert_eq!(get(&files, login).await.unwrap(), None);
    assert_eq!(sorted_names(&files).await, [EARLIER_NAMES[0]]);
}

#[tokio::test]
async fn unfinished_files_of_an_earlier_version_are_removed_by_the_next_write() {
    let home = Home::earlier();
    fs::create_dir(home.file("new")).unwrap();
    overwrite(&home.file("new/0123456789abcdef.tmp"), b"half a rec");
    put(&home.open_earlier(), "a", None, "content")
        .await
        .unwrap();
    assert!(!home.file("new").exists());

    fs::create_dir(home.file("new")).unwrap();
    overwrite(&home.file("new/notes.txt"), b"of another program");
    put(&home.open_earlier(), "b", None, "content")
        .await
        .unwrap();
    assert!(home.file("new/notes.txt").exists());
}
