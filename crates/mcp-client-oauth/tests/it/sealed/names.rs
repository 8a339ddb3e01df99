//! The list of records: the files in the directory say which there are, and nothing else does.

use super::*;

/// A store with two records, as the version wrote it that kept a list of their names beside them.
/// Its key is 32 times the byte 7.
const EARLIER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/store-1");
const EARLIER_NAMES: [&str; 2] = ["client https://as.example", "login https://mcp.example/mcp"];

impl Home {
    /// A copy of the store of the earlier version.
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

    /// The list of names that the earlier version kept.
    fn index(&self) -> PathBuf {
        self.file("names")
    }
}

#[tokio::test]
async fn files_that_were_copied_back_or_removed_are_listed_as_they_are() {
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

/// Each file is longer than a record may be: one that is read as a whole is refused.
#[tokio::test]
async fn a_long_list_reads_the_first_line_of_each_record_and_no_more() {
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
        let mut file = File::create(home.file(&format!("{hash}.sealed"))).unwrap();
        let line = line.replace("name-0000", name);
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
        file.set_len(2 << 20).unwrap();
    }
    assert_eq!(sorted_names(&files).await, names);
}

#[tokio::test]
async fn a_store_of_an_earlier_version_is_read_and_its_list_of_names_goes_with_the_next_write() {
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

/// H144: torn, wrong, or something else by its name.
#[tokio::test]
async fn the_list_of_names_of_an_earlier_version_is_not_believed() {
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
    assert!(home.index().is_dir(), "a directory is no list of ours");
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_by_the_name_of_the_list_is_not_followed() {
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
