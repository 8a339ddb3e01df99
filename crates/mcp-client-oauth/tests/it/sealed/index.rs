//! The index of names: what it says after crashes, damage and a person's own hands.

use super::*;

const FIRST_LINE: &str = "mcp-oauth names 1\n";

impl Home {
    fn index(&self) -> PathBuf {
        self.file("names")
    }

    fn index_text(&self) -> String {
        fs::read_to_string(self.index()).unwrap()
    }

    /// As a process leaves the index that dies right after it wrote this line.
    fn append(&self, text: &str) {
        let mut file = File::options().append(true).open(self.index()).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }
}

async fn with(names: &[&str]) -> Home {
    let home = Home::new();
    let files = home.open();
    for name in names {
        put(&files, name, None, "content").await.unwrap();
    }
    home
}

/// More records than are compared with the directory: the many have no files at all.
pub(super) async fn with_many(names: &[&str]) -> Home {
    let home = with(names).await;
    crowd(&home);
    home
}

/// So many more names in the index that it is believed without a look at the directory.
pub(crate) fn crowd(home: &Home) {
    let many: String = (0..1500).map(|number| line(&many(number))).collect();
    let lines = home.index_text();
    let lines = lines.strip_prefix(FIRST_LINE).unwrap();
    overwrite(
        &home.index(),
        (FIRST_LINE.to_owned() + &many + lines).as_bytes(),
    );
}

fn line(name: &str) -> String {
    format!("+\"{name}\"\n")
}

fn many(number: usize) -> String {
    format!("https://{number:04}.example/mcp")
}

/// The names that are none of the many.
pub(super) async fn others(home: &Home) -> Vec<String> {
    let names = sorted_names(&home.open()).await;
    assert!(names.len() >= 1500, "{} names", names.len());
    let is_other = |name: &String| !name.ends_with(".example/mcp");
    names.into_iter().filter(is_other).collect()
}

#[tokio::test]
async fn each_insertion_and_removal_is_a_line_and_no_update_is() {
    let home = with(&["a", "b"]).await;
    let files = home.open();
    let revision = files.get("a").await.unwrap().unwrap().revision;
    let revision = put(&files, "a", Some(revision), "later").await.unwrap();
    files.delete("a", Some(revision)).await.unwrap();
    assert!(!files.delete("a", None).await.unwrap());
    put(&files, "c\n\"", None, "content").await.unwrap();
    let lines = "+\"a\"\n+\"b\"\n-\"a\"\n+\"c\\n\\\"\"\n";
    assert_eq!(home.index_text(), format!("{FIRST_LINE}{lines}"));
    assert_eq!(sorted_names(&files).await, ["b", "c\n\""]);
}

#[tokio::test]
async fn refused_changes_leave_no_line() {
    let home = with(&["a"]).await;
    let before = home.index_text();
    let files = home.open();
    put(&files, "a", None, "x").await.unwrap_err();
    put(&files, "b", Some(Revision::new(1)), "x")
        .await
        .unwrap_err();
    put(&files, "b", None, &"x".repeat(1 << 20))
        .await
        .unwrap_err();
    files.delete("a", Some(Revision::new(1))).await.unwrap_err();
    files.delete("b", Some(Revision::new(1))).await.unwrap_err();
    assert_eq!(home.index_text(), before);
}

/// The file of the record says whether the last line came true, with few records and with many.
#[tokio::test]
async fn an_intent_that_did_not_happen_is_not_believed_and_settled_by_the_next_writer() {
    let home = with_many(&["a"]).await;
    home.append("+\"never\"\n");
    assert_eq!(others(&home).await, ["a"]);
    put(&home.open(), "b", None, "content").await.unwrap();
    assert!(
        home.index_text()
            .ends_with("+\"never\"\n-\"never\"\n+\"b\"\n")
    );
    assert_eq!(others(&home).await, ["a", "b"]);

    home.append("-\"a\"\n");
    assert_eq!(others(&home).await, ["a", "b"]);
    home.open().delete("b", None).await.unwrap();
    assert!(home.index_text().ends_with("-\"a\"\n+\"a\"\n-\"b\"\n"));
    assert_eq!(others(&home).await, ["a"]);
}

#[tokio::test]
async fn an_intent_that_happened_is_believed() {
    let home = with_many(&["a", "b"]).await;
    home.append("-\"b\"\n");
    let record = |path: &PathBuf| first_line(path).contains(r#""name":"b""#);
    fs::remove_file(home.records().into_iter().find(record).unwrap()).unwrap();
    assert_eq!(others(&home).await, ["a"]);
    put(&home.open(), "c", None, "content").await.unwrap();
    assert!(home.index_text().ends_with("-\"b\"\n+\"c\"\n"));
    assert_eq!(others(&home).await, ["a", "c"]);
}

pub(crate) fn first_line(path: &Path) -> String {
    let bytes = fs::read(path).unwrap();
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap();
    String::from_utf8(line.to_vec()).unwrap()
}

#[tokio::test]
async fn a_torn_line_never_happened() {
    for torn in ["+", "+\"a", "+\"torn\"", "-\"a\"", "\0\0\0"] {
        let home = with_many(&["a"]).await;
        home.append(torn);
        assert_eq!(others(&home).await, ["a"], "{torn}");
        put(&home.open(), "b", None, "content").await.unwrap();
        assert!(home.index_text().ends_with("+\"a\"\n+\"b\"\n"), "{torn}");
        assert_eq!(others(&home).await, ["a", "b"], "{torn}");
    }
}

/// H144: made anew from the records, and never begun as an empty one.
#[tokio::test]
async fn an_index_that_is_gone_or_damaged_is_made_anew_from_the_records() {
    let damages: [(&str, &[u8]); 5] = [
        ("gone", b""),
        ("empty", b""),
        ("zeros", &[0; 200]),
        ("of another version", b"mcp-oauth names 2\n+\"a\"\n"),
        (
            "damaged in the middle",
            b"mcp-oauth names 1\n+\"a\"\n?\n+\"c\"\n",
        ),
    ];
    for (what, text) in damages {
        for removal in [false, true] {
            let home = with(&["a", "b", "c"]).await;
            overwrite(&home.index(), text);
            if what == "gone" {
                fs::remove_file(home.index()).unwrap();
            }
            let files = home.open();
            assert_eq!(sorted_names(&files).await, ["a", "b", "c"], "{what}");
            let unchanged = fs::read(home.index()).unwrap_or_default();
            assert_eq!(unchanged, text, "{what}: reading changed it");
            let expected = if removal {
                files.delete("b", None).await.unwrap();
                &["a", "c"][..]
            } else {
                put(&files, "d", None, "content").await.unwrap();
                &["a", "b", "c", "d"]
            };
            let lines = home.index_text();
            assert!(lines.starts_with(FIRST_LINE), "{what}: {lines}");
            assert!(
                lines.contains("+\"a\"\n") && lines.contains("+\"c\"\n"),
                "{what}: {lines}"
            );
            assert!(!lines.contains('?'), "{what}: {lines}");
            assert_eq!(sorted_names(&files).await, expected, "{what}");
        }
    }
}

#[tokio::test]
async fn an_update_needs_no_index() {
    let home = with(&["a"]).await;
    fs::remove_file(home.index()).unwrap();
    let files = home.open();
    let revision = files.get("a").await.unwrap().unwrap().revision;
    put(&files, "a", Some(revision), "later").await.unwrap();
    assert!(!home.index().exists());
    assert_eq!(sorted_names(&files).await, ["a"]);
}

#[tokio::test]
async fn files_that_a_person_copied_back_or_removed_are_seen_in_a_small_store() {
    let home = with(&["a"]).await;
    let record = home.only_record();
    let genuine = fs::read(&record).unwrap();
    let files = home.open();
    put(&files, "b", None, "content").await.unwrap();
    fs::remove_file(&record).unwrap();
    assert_eq!(sorted_names(&files).await, ["b"]);
    files.delete("b", None).await.unwrap();

    overwrite(&record, &genuine);
    assert_eq!(sorted_names(&files).await, ["a"]);
    assert_eq!(get(&files, "a").await.unwrap().unwrap(), "content");
    // Added and removed once more by us.
    let revision = files.get("a").await.unwrap().unwrap().revision;
    files.delete("a", Some(revision)).await.unwrap();
    assert_eq!(sorted_names(&files).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_large_store_is_listed_without_looking_at_its_files() {
    let home = with_many(&["a"]).await;
    assert_eq!(home.records().len(), 1);
    assert_eq!(sorted_names(&home.open()).await.len(), 1501);
}

#[tokio::test]
async fn the_index_does_not_grow_with_what_is_gone() {
    let home = with(&["kept"]).await;
    let files = home.open();
    for number in 0..200 {
        let name = number.to_string();
        put(&files, &name, None, "content").await.unwrap();
        files.delete(&name, None).await.unwrap();
        let lines = home.index_text().lines().count();
        assert!(lines <= 2 + 1 + 2 + 64 + 2, "{lines} lines for two names");
    }
    assert_eq!(sorted_names(&files).await, ["kept"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_in_place_of_the_index_is_not_followed() {
    let home = with(&["a"]).await;
    let elsewhere = home.directory.path().join("elsewhere");
    fs::rename(home.index(), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, home.index()).unwrap();
    let files = home.open();
    for refused in [
        files.names().await.map(drop),
        put(&files, "b", None, "content").await.map(drop),
        files.delete("a", None).await.map(drop),
    ] {
        let refused = refused.unwrap_err();
        assert!(
            matches!(&refused, TokenStorageError::Insecure { path, .. } if *path == home.index()),
            "{refused}"
        );
    }
    assert_eq!(
        fs::read_to_string(&elsewhere).unwrap(),
        format!("{FIRST_LINE}+\"a\"\n")
    );
}
