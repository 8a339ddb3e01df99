//! Processes that are killed while they change records or the key.

use std::io::{BufRead as _, BufReader};

use mcp_oauth_store::KeyKind;
use tokio::task::JoinSet;

use super::{
    processes::{child, kill, provided_key},
    *,
};

/// Kills a child after some changes and a short pause.
async fn kill_while(role: &str, home: &Home, cycle: usize) {
    let mut child = child(role, home, "").spawn().unwrap();
    let kill_later = move || {
        // The pipe stays open until the kill: a child with a closed pipe would end by itself.
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let changes = lines
            .by_ref()
            .filter(|line| line.as_ref().unwrap() == "changed");
        let changes = changes.take(1 + cycle % 5).count();
        assert!(changes > 0, "it ended by itself");
        // Each check takes a microsecond: the kills are spread over the time of one change.
        for _ in 0..(cycle * 37 % 101) * 60 {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        }
        kill(child);
    };
    tokio::task::spawn_blocking(kill_later).await.unwrap();
}

/// Every listed record is complete, and the unchanged record is listed.
#[tokio::test]
async fn a_killed_insertion_or_removal_leaves_complete_records_and_a_correct_list() {
    let lanes = (0..4).map(|lane| async move {
        let home = Home::new();
        put(&home.open(), "kept", None, "kept").await.unwrap();
        for cycle in 0..40 {
            kill_while("insert and remove until killed", &home, cycle * 4 + lane).await;
            let files = home.open();
            let names = sorted_names(&files).await;
            assert!(names.contains(&"kept".to_owned()), "{names:?}");
            assert_eq!(names.len(), home.records().len());
            for name in names {
                assert_eq!(get(&files, &name).await.unwrap(), Some(name));
            }
        }
    });
    lanes.collect::<JoinSet<()>>().join_all().await;
}

/// At any moment: the store opens with one of the two keys, and can be changed again.
#[tokio::test]
async fn a_killed_change_of_the_key_leaves_the_old_one_or_the_new_one() {
    let lanes = (0..4).map(|lane| async move {
        let home = Home::new();
        put(&home.open(), "a", None, "content").await.unwrap();
        for cycle in 0..25 {
            kill_while("rekey until killed", &home, cycle * 4 + lane).await;
            let source = match EncryptedFileStore::key_kind(home.path()).unwrap().unwrap() {
                KeyKind::Provided => provided_key(),
                _ => KeySource::KeyFile,
            };
            let files = EncryptedFileStore::open(home.path(), source).unwrap();
            assert_eq!(get(&files, "a").await.unwrap().unwrap(), "content");
            // For the next child, and to check that nothing is locked.
            files.rekey(KeySource::KeyFile).await.unwrap();
        }
    });
    lanes.collect::<JoinSet<()>>().join_all().await;
}
