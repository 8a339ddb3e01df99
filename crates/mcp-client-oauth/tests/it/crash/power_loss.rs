//! A power loss at any moment of a change of the store, which loses everything that was not synced: the
//! tests record the system calls of one save, insertion, deletion, new store and new key, and open the
//! store in every state that these calls may leave (docs/hostile.md H141).

use std::{collections::BTreeSet, fs, path::Path};

use mcp_client_oauth::store::Record;

use super::{
    child::{Work, number_in, template},
    disk::{Disk, Node, Tree, restore},
    fixture::{StoreFixture, testbed},
    strace,
};
use crate::{
    concurrent_refresh::{process::Process, shared_store::files},
    encrypted::Home,
};

/// The possible numbers of the record after the power loss.
struct Outcome {
    before: Option<u64>,
    after: Option<u64>,
}

/// One change by a process under strace.
struct Change {
    setup: StoreFixture,
    work: Work,
    outcome: Outcome,
    /// The other record, which must not change.
    other: Record,
}

#[tokio::test]
async fn a_save_survives_a_power_cut() {
    lose_power(Work::Save, Some(0), Some(1)).await;
}

#[tokio::test]
async fn an_insertion_survives_a_power_cut() {
    lose_power(Work::Save, None, Some(1)).await;
}

#[tokio::test]
async fn a_deletion_survives_a_power_cut() {
    lose_power(Work::Delete, Some(0), None).await;
}

#[tokio::test]
async fn a_new_store_survives_a_power_cut() {
    lose_power(Work::Begin, None, None).await;
}

#[tokio::test]
async fn a_new_key_survives_a_power_cut() {
    lose_power(Work::Rekey, Some(0), Some(0)).await;
}

/// Checks that the names of unfinished files cannot be predicted, and that an existing file is not
/// opened (docs/hostile.md H139).
#[tokio::test]
async fn an_unfinished_file_has_a_random_name_and_is_created_with_mode_0600() {
    if !test_support::strace::is_installed() {
        return;
    }
    let mut names = BTreeSet::new();
    for _ in 0..2 {
        let change = Change::new(Work::Save, Some(0), Some(1)).await;
        let trace = change.trace().await;
        let created = trace
            .lines()
            .filter(|line| line.starts_with("open") && line.contains("/store/tmp/"))
            .filter(|line| line.contains("O_CREAT"));
        for line in created {
            assert!(
                line.contains("O_EXCL") && line.contains(", 0600)"),
                "{line}"
            );
            let path = Path::new(line.split('"').nth(1).unwrap());
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert!(name.len() >= 16, "{line}");
            assert!(names.insert(name.to_owned()), "{line}");
        }
    }
    assert_eq!(names.len(), 2, "one for each save");
}

async fn lose_power(work: Work, before: Option<u64>, after: Option<u64>) {
    if !test_support::strace::is_installed() {
        return;
    }
    let change = Change::new(work, before, after).await;
    let mut disk = Disk::of(change.root());
    let trace = change.trace().await;
    let mut seen = BTreeSet::new();
    for call in trace.lines() {
        if !disk.call(call) {
            continue;
        }
        for state in disk.states() {
            if !seen.contains(&state) {
                change.assert_sound(&state, call, false).await;
                seen.insert(state);
            }
        }
    }
    for state in disk.states() {
        change.assert_sound(&state, "the report", true).await;
    }
    eprintln!("{work:?} from {before:?}: {} states", seen.len());
    // A deletion is one change: the record is there or not.
    let least = if work == Work::Delete { 2 } else { 5 };
    assert!(seen.len() >= least, "{trace}");
}

impl Change {
    async fn new(work: Work, before: Option<u64>, after: Option<u64>) -> Self {
        let setup = StoreFixture::new(&testbed().await, work).await;
        let other = setup.template().await;
        if before.is_none() {
            let mut lock = setup.lock().await;
            setup.store().delete(&mut lock).await.unwrap();
        }
        if work == Work::Begin {
            fs::remove_dir_all(setup.home.path()).unwrap();
        }
        let outcome = Outcome { before, after };
        Self {
            setup,
            work,
            outcome,
            other,
        }
    }

    /// Returns the parent of the store directory.
    fn root(&self) -> &Path {
        self.setup.home.parent()
    }

    /// Returns the system calls of a child that makes the change.
    async fn trace(&self) -> String {
        let traces = tempfile::tempdir().unwrap();
        let trace = traces.path().join("calls");
        let mut child = Process::start(self.setup.job(self.work, "0").on_order());
        let mut strace = strace::record_texts(&mut child, &trace, "1000000").await;
        child.send("work").await;
        let report = child.receive().await.unwrap();
        assert!(
            ["saved 1", "deleted", "begun", "rekeyed"].contains(&report.as_str()),
            "{report}"
        );
        assert!(child.end().await.success());
        strace.wait().await.unwrap();
        fs::read_to_string(trace).unwrap()
    }

    /// Checks that the store opens, has the old record or the new one, and can be written.
    async fn assert_sound(&self, state: &Tree, call: &str, is_done: bool) {
        let context = || context(state, call);
        let home = Home::new();
        restore(state, self.root(), home.parent());
        let key = self.setup.fixture.key();
        let number = async || {
            let found = files(&home.path()).load(&key).await;
            let found = found.unwrap_or_else(|error| panic!("{error} {}", context()));
            found.as_ref().map(|(record, _)| number_in(record))
        };
        let found = number().await;
        let Outcome { before, after } = self.outcome;
        let is_expected = found == after || (found == before && !is_done);
        assert!(is_expected, "the store has {found:?} {}", context());
        self.assert_listed(&home, found.is_some(), state, call)
            .await;

        // The other record is unchanged and can be written.
        let other = template(&key);
        let store = files(&home.path());
        let mut lock = store.lock(&other).await.unwrap();
        let is_there = lock.record() == Some(&self.other);
        assert!(
            is_there || self.work == Work::Begin,
            "another record is gone {}",
            context()
        );
        store.save(&mut lock, &self.other).await.unwrap();
        drop(lock);
        assert_eq!(number().await, found, "{}", context());
        self.assert_listed(&home, found.is_some(), state, call)
            .await;
        let unfinished = fs::read_dir(home.file("tmp")).unwrap().count();
        assert_eq!(unfinished, 0, "unfinished files are left {}", context());
    }

    /// Checks that the store lists the record exactly if its file exists.
    async fn assert_listed(&self, home: &Home, is_there: bool, state: &Tree, call: &str) {
        let listed = files(&home.path()).keys().await.unwrap();
        let is_listed = listed.contains(&self.setup.fixture.key());
        assert_eq!(is_listed, is_there, "{listed:?} {}", context(state, call));
    }
}

/// Describes the last call and the files.
fn context(state: &Tree, call: &str) -> String {
    let names = state.iter().map(|(path, node)| match node {
        Node::Directory => format!("{}/", path.display()),
        Node::File(bytes) => format!("{} ({} bytes)", path.display(), bytes.len()),
    });
    let names: Vec<String> = names.collect();
    let call: String = call.chars().take(200).collect();
    format!("after {call}\nwith {}", names.join("\n     "))
}
