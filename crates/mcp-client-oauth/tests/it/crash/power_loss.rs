//! The power goes at any moment of a change of the store, and takes with it what was not synced:
//! the calls of one save, insertion, deletion, new store and new key are recorded, and the store is
//! opened from every state that they may leave (H141).

use std::{collections::BTreeSet, fs, path::Path};

use mcp_client_oauth::store::Record;

use super::{
    child::{Work, number_in, template},
    disk::{Disk, Node, Tree, restore},
    fixture::{Place, testbed},
    strace,
};
use crate::{
    herd::{place::files, process::Process},
    sealed::Home,
};

/// What the number of the record may be when the power is back.
struct Outcome {
    before: Option<u64>,
    after: Option<u64>,
}

/// One change, by a process that strace follows.
struct Change {
    place: Place,
    work: Work,
    outcome: Outcome,
    /// What is kept beside the record that is changed.
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

/// H139: whoever may write into the directory of unfinished files cannot know their names, and
/// what lies under one already is not opened.
#[tokio::test]
async fn an_unfinished_file_has_a_name_of_its_own_and_is_ours_alone_from_the_start() {
    if !test_support::strace::is_installed() {
        return;
    }
    let mut names = BTreeSet::new();
    for _ in 0..2 {
        let change = Change::new(Work::Save, Some(0), Some(1)).await;
        let trace = change.trace().await;
        let made = trace
            .lines()
            .filter(|line| line.starts_with("open") && line.contains("/new/"))
            .filter(|line| line.contains("O_CREAT"));
        for line in made {
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
        change.assert_sound(&state, "it was done", true).await;
    }
    eprintln!("{work:?} from {before:?}: {} states", seen.len());
    // A deletion is one change: the record is there or not.
    let least = if work == Work::Delete { 2 } else { 5 };
    assert!(seen.len() >= least, "{trace}");
}

impl Change {
    async fn new(work: Work, before: Option<u64>, after: Option<u64>) -> Self {
        let place = Place::new(&testbed().await, work).await;
        let other = place.template().await;
        if before.is_none() {
            let mut lock = place.lock().await;
            place.store().delete(&mut lock).await.unwrap();
        }
        if work == Work::Begin {
            fs::remove_dir_all(place.home.path()).unwrap();
        }
        let outcome = Outcome { before, after };
        Self {
            place,
            work,
            outcome,
            other,
        }
    }

    /// Where the directory of the store lies.
    fn root(&self) -> &Path {
        self.place.home.parent()
    }

    /// Every call of a child that does it.
    async fn trace(&self) -> String {
        let traces = tempfile::tempdir().unwrap();
        let trace = traces.path().join("calls");
        let mut child = Process::start(self.place.job(self.work, "0").when_told());
        let mut strace = strace::record_texts(&mut child, &trace, "1000000").await;
        child.tell("work").await;
        let said = child.hear().await.unwrap();
        assert!(
            ["saved 1", "deleted", "begun", "rekeyed"].contains(&said.as_str()),
            "{said}"
        );
        assert!(child.end().await.success());
        strace.wait().await.unwrap();
        fs::read_to_string(trace).unwrap()
    }

    /// The store opens, has the old record or the new one, and goes on.
    async fn assert_sound(&self, state: &Tree, call: &str, is_done: bool) {
        let told = || told(state, call);
        let home = Home::new();
        restore(state, self.root(), home.parent());
        let key = self.place.fixture.key();
        let number = async || {
            let found = files(&home.path()).load(&key).await;
            let found = found.unwrap_or_else(|error| panic!("{error} {}", told()));
            found.as_ref().map(|(record, _)| number_in(record))
        };
        let found = number().await;
        let Outcome { before, after } = self.outcome;
        let is_expected = found == after || (found == before && !is_done);
        assert!(is_expected, "there is {found:?} {}", told());
        self.assert_listed(&home, found.is_some(), state, call)
            .await;

        // The other record is as it was, and can be written.
        let other = template(&key);
        let store = files(&home.path());
        let mut lock = store.lock(&other).await.unwrap();
        let is_there = lock.record() == Some(&self.other);
        assert!(
            is_there || self.work == Work::Begin,
            "another record is gone {}",
            told()
        );
        store.save(&mut lock, &self.other).await.unwrap();
        drop(lock);
        assert_eq!(number().await, found, "{}", told());
        self.assert_listed(&home, found.is_some(), state, call)
            .await;
        let unfinished = fs::read_dir(home.file("new")).unwrap().count();
        assert_eq!(unfinished, 0, "something unfinished is left {}", told());
    }

    /// The list of the store and the record's file agree.
    async fn assert_listed(&self, home: &Home, is_there: bool, state: &Tree, call: &str) {
        let listed = files(&home.path()).keys().await.unwrap();
        let is_listed = listed.contains(&self.place.fixture.key());
        assert_eq!(is_listed, is_there, "{listed:?} {}", told(state, call));
    }
}

/// When it was, and what there is.
fn told(state: &Tree, call: &str) -> String {
    let names = state.iter().map(|(path, node)| match node {
        Node::Directory => format!("{}/", path.display()),
        Node::File(bytes) => format!("{} ({} bytes)", path.display(), bytes.len()),
    });
    let names: Vec<String> = names.collect();
    let call: String = call.chars().take(200).collect();
    format!("after {call}\nwith {}", names.join("\n     "))
}
