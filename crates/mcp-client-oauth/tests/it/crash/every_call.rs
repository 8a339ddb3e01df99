//! Every system call of one save, insertion, deletion and refresh: the process dies there, or the
//! call fails. `MCP_OAUTH_TEST_EVERY_CALL=1` goes through all of it.

use std::{collections::VecDeque, sync::Arc};

use mcp_oauth_testbed::Testbed;
use tokio::{process::Child as Strace, sync::Mutex, task::JoinSet};

use super::{
    child::Work,
    fixture::{Place, testbed},
    strace::{self, Call},
};
use crate::herd::process::{Process, figure};

/// How many children there are at a time.
const LANES: usize = 3;
/// How many of the trials are left out, but for one, when nobody asks for all.
const USUAL_STEP: u64 = 7;

/// What is done to the record, and what is there before.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Deed {
    Save,
    Insert,
    Delete,
    Refresh,
}

/// What befalls the child at a call.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Killed,
    Told(&'static str),
}

#[derive(Debug)]
struct Trial {
    deed: Deed,
    call: Call,
    fate: Fate,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_survives_the_failure_of_every_call() {
    try_all(Deed::Save).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_insertion_survives_the_failure_of_every_call() {
    try_all(Deed::Insert).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_survives_the_failure_of_every_call() {
    try_all(Deed::Delete).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_survives_the_failure_of_every_call() {
    try_all(Deed::Refresh).await;
}

async fn try_all(deed: Deed) {
    if !test_support::strace::is_installed() {
        return;
    }
    let testbed = testbed().await;
    let calls = calls_of(deed, &testbed).await;
    let step = figure("MCP_OAUTH_TEST_EVERY_CALL", USUAL_STEP);
    let step = usize::try_from(step).unwrap();
    let trials: VecDeque<Trial> = calls
        .iter()
        .flat_map(|call| fates_at(call).map(|fate| (call.clone(), fate)))
        .map(|(call, fate)| Trial { deed, call, fate })
        .enumerate()
        .filter(|(number, trial)| number % step == 0 || trial.is_without_locks())
        .map(|(_, trial)| trial)
        .collect();
    eprintln!("{deed:?}: {} calls, {} trials", calls.len(), trials.len());
    let trials = Arc::new(Mutex::new(trials));
    let lanes = (0..LANES).map(|_| {
        let (trials, testbed) = (Arc::clone(&trials), Arc::clone(&testbed));
        async move {
            loop {
                let next = trials.lock().await.pop_front();
                let Some(trial) = next else { return };
                trial.run(&testbed).await;
            }
        }
    });
    lanes.collect::<JoinSet<()>>().join_all().await;
}

/// What one undisturbed child does.
async fn calls_of(deed: Deed, testbed: &Arc<Testbed>) -> Vec<Call> {
    let place = deed.place(testbed).await;
    let traces = tempfile::tempdir().unwrap();
    let trace = traces.path().join("calls");
    let mut child = deed.child(&place);
    let mut strace = strace::record(&mut child, &trace).await;
    child.tell("work").await;
    let said = child.hear().await.unwrap();
    assert!(deed.is_done(&said), "{said}");
    assert!(child.end().await.success());
    strace.wait().await.unwrap();
    let trace = std::fs::read_to_string(trace).unwrap();
    let calls = strace::calls_in(&trace, &place.home.path());
    assert!(calls.iter().any(|call| call.name == "flock"), "{trace}");
    assert_synced(&calls, &place);
    calls
}

/// H141: what a record is replaced by is on the disk before it takes its place, and a change of the
/// names in the directory is on the disk before it is said to be done.
fn assert_synced(calls: &[Call], place: &Place) {
    let changes = |call: &&Call| {
        let is_record = call.line.contains(".sealed\"");
        is_record && (call.name.starts_with("rename") || call.name.starts_with("unlink"))
    };
    let at = calls.iter().rposition(|call| changes(&call));
    let at = at.expect("something was changed");
    let synced = |calls: &[Call], path: &str| {
        let path = format!("<{path}>");
        let mut syncs = calls.iter().filter(|call| call.name.ends_with("sync"));
        syncs.any(|call| call.line.contains(&path))
    };
    if calls[at].name.starts_with("rename") {
        let from = calls[at].line.split('"').nth(1).unwrap();
        assert!(synced(&calls[..at], from), "{from} is not synced");
    }
    let directory = place.home.path();
    let directory = directory.to_str().unwrap();
    assert!(
        synced(&calls[at..], directory),
        "{directory} is not synced after {:?}",
        calls[at]
    );
}

/// What can happen at a call: what the system may answer, and what may be retried.
fn fates_at(call: &Call) -> impl Iterator<Item = Fate> + use<> {
    let errors: &[&str] = match call.name.as_str() {
        "open" | "openat" if call.line.contains("O_CREAT") => &["ENOSPC", "EROFS", "EIO", "EINTR"],
        "open" | "openat" | "read" | "pread64" => &["EIO", "EINTR"],
        "write" | "ftruncate" | "fsync" | "fdatasync" => &["ENOSPC", "EIO", "EINTR"],
        "flock" => &["ENOLCK", "EIO", "EINTR"],
        "mkdir" | "mkdirat" | "rename" | "renameat" | "renameat2" | "link" | "linkat" => {
            &["ENOSPC", "EROFS", "EIO"]
        }
        "unlink" | "chmod" | "fchmod" | "fchmodat" => &["EROFS", "EIO"],
        _ => &["EIO"],
    };
    let errors = errors.iter().copied().map(Fate::Told);
    std::iter::once(Fate::Killed).chain(errors)
}

impl Deed {
    fn work(self) -> Work {
        match self {
            Self::Save | Self::Insert => Work::Save,
            Self::Delete => Work::Delete,
            Self::Refresh => Work::Refresh,
        }
    }

    async fn place(self, testbed: &Arc<Testbed>) -> Place {
        let place = Place::new(testbed, self.work()).await;
        if self == Self::Insert {
            let mut lock = place.lock().await;
            place.store().delete(&mut lock).await.unwrap();
        }
        place
    }

    fn child(self, place: &Place) -> Process {
        Process::start(place.job(self.work(), "0").when_told())
    }

    /// Whether a child says that it is done; for the second time, perhaps, because what failed may
    /// have been the very last.
    fn is_done(self, said: &str) -> bool {
        match self {
            Self::Save | Self::Insert => ["saved 1", "saved 2"].contains(&said),
            Self::Delete => said == "deleted",
            Self::Refresh => said.starts_with("refreshed "),
        }
    }

    /// Whether what is there is what the deed makes of it; nothing else but what was there before.
    async fn is_there(self, place: &Place) -> bool {
        match self {
            Self::Refresh => {
                let lock = place.lock().await;
                let record = lock.record().expect("nobody logs out");
                if place.is_lost(record) {
                    assert!(
                        lock.refresh_interrupted(),
                        "a refresh token was spent without a note"
                    );
                }
                !place.is_lost(record)
            }
            _ => match (self, place.number().await) {
                (Self::Save | Self::Delete, Some(0)) | (Self::Insert, None) => false,
                (Self::Save | Self::Insert, Some(1 | 2)) | (Self::Delete, None) => true,
                (_, found) => panic!("{found:?}"),
            },
        }
    }
}

impl Trial {
    async fn run(&self, testbed: &Arc<Testbed>) {
        let place = self.deed.place(testbed).await;
        let mut child = self.deed.child(&place);
        let _strace = self.watch(&mut child).await;
        child.tell("work").await;
        match self.fate {
            Fate::Killed => {
                let said = child.hear().await;
                assert_eq!(said, None, "it lives: {self:?}");
                child.end().await;
                self.deed.is_there(&place).await;
            }
            Fate::Told(_) => self.goes_on(&place, child).await,
        }
        place.assert_the_next_write_clears_up().await;
    }

    /// H108: such a file system is not used as if it had them.
    fn is_without_locks(&self) -> bool {
        matches!(self.fate, Fate::Told("ENOLCK"))
    }

    async fn watch(&self, child: &mut Process) -> Strace {
        let Call { name, number, .. } = &self.call;
        let trace = format!("trace={name}");
        let inject = match self.fate {
            Fate::Killed => format!("inject={name}:signal=KILL:when={number}"),
            Fate::Told(error) => format!("inject={name}:error={error}:when={number}"),
        };
        strace::follow(child, &["-o", "/dev/null", "-e", &trace, "-e", &inject]).await
    }

    /// A child that hears of a failure says what it was about, or has done its work all the same;
    /// it goes on with what it has in memory; and its next try succeeds.
    async fn goes_on(&self, place: &Place, mut child: Process) {
        let said = child.hear().await.expect("it lives");
        if self.deed == Deed::Refresh {
            child.tell("token").await;
            let token = child.hear().await.unwrap();
            assert!(token.starts_with("token "), "{token}: {self:?}");
        }
        assert!(
            !(self.is_without_locks() && self.deed.is_done(&said)),
            "{self:?}"
        );
        if !self.deed.is_done(&said) {
            let about = place.home.path();
            let is_told = said.starts_with("failed to ") && said.contains(about.to_str().unwrap());
            assert!(is_told, "{said}: {self:?}");
            child.tell("work").await;
            let again = child.hear().await.expect("it lives");
            assert!(self.deed.is_done(&again), "{again}: {self:?}");
        }
        assert!(child.end().await.success());
        assert!(self.deed.is_there(place).await, "{said}: {self:?}");
    }
}
