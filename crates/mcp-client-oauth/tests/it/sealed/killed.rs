//! Processes that are killed while they change records or the key.

use std::io::{BufRead as _, BufReader};

use mcp_client_oauth::store::KeyKind;
use tokio::task::JoinSet;

use super::{
    processes::{child, given_key, kill},
    *,
};

/// Kills a child some changes later, and a moment more.
async fn kill_while(role: &str, home: &Home, cycle: usize) {
    let mut child = child(role, home, "").spawn().unwrap();
    let dying = move || {
        // Until it is killed: who speaks to nobody ends.
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let changes = said
            .by_ref()
            .filter(|line| line.as_ref().unwrap() == "changed");
        let changes = changes.take(1 + cycle % 5).count();
        assert!(changes > 0, "it ended by itself");
        // Asking takes a microsecond: the moments of death are spread over one change.
        for _ in 0..(cycle * 37 % 101) * 60 {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        }
        kill(child);
    };
    tokio::task::spawn_blocking(dying).await.unwrap();
}

/// Every record that is listed is whole, and what was not touched is listed.
#[tokio::test]
async fn a_killed_insertion_or_removal_leaves_whole_records_and_a_true_list() {
    let lanes = (0..4).map(|lane| async move {
        let home = Home::new();
        put(&home.open(), "kept", None, "kept").await.unwrap();
        for cycle in 0..40 {
            kill_while("insert and remove for ever", &home, cycle * 4 + lane).await;
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

/// Whenever that is, the store opens with one of the two keys, and goes on.
#[tokio::test]
async fn a_killed_change_of_the_key_leaves_the_old_one_or_the_new_one() {
    let lanes = (0..4).map(|lane| async move {
        let home = Home::new();
        put(&home.open(), "a", None, "content").await.unwrap();
        for cycle in 0..25 {
            kill_while("rekey for ever", &home, cycle * 4 + lane).await;
            let source = match EncryptedFileStore::key_kind(home.path()).unwrap().unwrap() {
                KeyKind::Provided => given_key(),
                _ => KeySource::KeyFile,
            };
            let files = EncryptedFileStore::open(home.path(), source).unwrap();
            assert_eq!(get(&files, "a").await.unwrap().unwrap(), "content");
            // For the next child, and a proof that nothing is locked.
            files.rekey(KeySource::KeyFile).await.unwrap();
        }
    });
    lanes.collect::<JoinSet<()>>().join_all().await;
}
