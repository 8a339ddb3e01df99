//! Every system call of one save, insertion, deletion and refresh: the process is killed there, or the
//! call fails. `MCP_OAUTH_TEST_EVERY_CALL=1` runs all trials.

use std::{collections::VecDeque, sync::Arc};

use mcp_oauth_testbed::Testbed;
use tokio::{process::Child as Strace, sync::Mutex, task::JoinSet};

use super::{
    child::Work,
    fixture::{StoreFixture, testbed},
    strace::{self, Call},
};
use crate::concurrent_refresh::process::{Process, env_number};

/// The number of parallel children.
const LANES: usize = 3;
/// By default one of so many trials is run.
const DEFAULT_STEP: u64 = 7;

/// The operation on the record; an insertion starts without a record.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Operation {
    Save,
    Insert,
    Delete,
    Refresh,
}

/// The fault at a system call.
#[derive(Clone, Copy, Debug)]
enum CallFault {
    Killed,
    Error(&'static str),
}

#[derive(Debug)]
struct Trial {
    operation: Operation,
    call: Call,
    fault: CallFault,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_survives_the_failure_of_every_call() {
    try_all(Operation::Save).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_insertion_survives_the_failure_of_every_call() {
    try_all(Operation::Insert).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_survives_the_failure_of_every_call() {
    try_all(Operation::Delete).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_survives_the_failure_of_every_call() {
    try_all(Operation::Refresh).await;
}

async fn try_all(operation: Operation) {
    if !test_support::strace::is_installed() {
        return;
    }
    let testbed = testbed().await;
    let calls = calls_of(operation, &testbed).await;
    let step = env_number("MCP_OAUTH_TEST_EVERY_CALL", DEFAULT_STEP);
    let step = usize::try_from(step).unwrap();
    let trials: VecDeque<Trial> = calls
        .iter()
        .flat_map(|call| faults_at(call).map(|fault| (call.clone(), fault)))
        .map(|(call, fault)| Trial {
            operation,
            call,
            fault,
        })
        .enumerate()
        .filter(|(number, trial)| number % step == 0 || trial.is_without_locks())
        .map(|(_, trial)| trial)
        .collect();
    eprintln!(
        "{operation:?}: {} calls, {} trials",
        calls.len(),
        trials.len()
    );
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

/// Returns the system calls of one child without any fault.
async fn calls_of(operation: Operation, testbed: &Arc<Testbed>) -> Vec<Call> {
    let setup = operation.setup(testbed).await;
    let traces = tempfile::tempdir().unwrap();
    let trace = traces.path().join("calls");
    let mut child = operation.child(&setup);
    let mut strace = strace::record(&mut child, &trace).await;
    child.send("work").await;
    let report = child.receive().await.unwrap();
    assert!(operation.is_done(&report), "{report}");
    assert!(child.end().await.success());
    strace.wait().await.unwrap();
    let trace = std::fs::read_to_string(trace).unwrap();
    let calls = strace::calls_in(&trace, &setup.home.path());
    assert!(calls.iter().any(|call| call.name == "flock"), "{trace}");
    assert_synced(&calls, &setup);
    calls
}

/// Checks that a new record is synced before it is renamed over the old one, and that the directory is
/// synced before the operation is reported as done (docs/hostile.md H141).
fn assert_synced(calls: &[Call], setup: &StoreFixture) {
    let changes = |call: &&Call| {
        let is_record = call.line.contains(".enc\"");
        is_record && (call.name.starts_with("rename") || call.name.starts_with("unlink"))
    };
    let at = calls.iter().rposition(|call| changes(&call));
    let at = at.expect("a record was changed");
    let synced = |calls: &[Call], path: &str| {
        let path = format!("<{path}>");
        let mut syncs = calls.iter().filter(|call| call.name.ends_with("sync"));
        syncs.any(|call| call.line.contains(&path))
    };
    if calls[at].name.starts_with("rename") {
        let from = calls[at].line.split('"').nth(1).unwrap();
        assert!(synced(&calls[..at], from), "{from} is not synced");
    }
    let directory = setup.home.path();
    let directory = directory.to_str().unwrap();
    assert!(
        synced(&calls[at..], directory),
        "{directory} is not synced after {:?}",
        calls[at]
    );
}

/// Returns the possible faults of a call: a kill, and the errors that the system may return.
fn faults_at(call: &Call) -> impl Iterator<Item = CallFault> + use<> {
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
    let errors = errors.iter().copied().map(CallFault::Error);
    std::iter::once(CallFault::Killed).chain(errors)
}

impl Operation {
    fn work(self) -> Work {
        match self {
            Self::Save | Self::Insert => Work::Save,
            Self::Delete => Work::Delete,
            Self::Refresh => Work::Refresh,
        }
    }

    async fn setup(self, testbed: &Arc<Testbed>) -> StoreFixture {
        let setup = StoreFixture::new(testbed, self.work()).await;
        if self == Self::Insert {
            let mut lock = setup.lock().await;
            setup.store().delete(&mut lock).await.unwrap();
        }
        setup
    }

    fn child(self, setup: &StoreFixture) -> Process {
        Process::start(setup.job(self.work(), "0").on_order())
    }

    /// Says whether a child reports success; the number may be the second one, because the last call of
    /// the first try may have failed.
    fn is_done(self, report: &str) -> bool {
        match self {
            Self::Save | Self::Insert => ["saved 1", "saved 2"].contains(&report),
            Self::Delete => report == "deleted",
            Self::Refresh => report.starts_with("refreshed "),
        }
    }

    /// Says whether the store has the result of the operation. Panics if it has neither that nor the old
    /// state.
    async fn is_there(self, setup: &StoreFixture) -> bool {
        match self {
            Self::Refresh => {
                let lock = setup.lock().await;
                let record = lock.record().expect("no test logs out");
                if setup.is_lost(record) {
                    assert!(
                        lock.refresh_interrupted(),
                        "a refresh token was spent without a note"
                    );
                }
                !setup.is_lost(record)
            }
            _ => match (self, setup.number().await) {
                (Self::Save | Self::Delete, Some(0)) | (Self::Insert, None) => false,
                (Self::Save | Self::Insert, Some(1 | 2)) | (Self::Delete, None) => true,
                (_, found) => panic!("{found:?}"),
            },
        }
    }
}

impl Trial {
    async fn run(&self, testbed: &Arc<Testbed>) {
        let setup = self.operation.setup(testbed).await;
        let mut child = self.operation.child(&setup);
        let _strace = self.watch(&mut child).await;
        child.send("work").await;
        match self.fault {
            CallFault::Killed => {
                let report = child.receive().await;
                assert_eq!(report, None, "the child is alive: {self:?}");
                child.end().await;
                self.operation.is_there(&setup).await;
            }
            CallFault::Error(_) => self.assert_continues(&setup, child).await,
        }
        setup.assert_next_write_cleans_up().await;
    }

    /// Says whether the file system has no locks; it must then be refused (docs/hostile.md H108). If a lock
    /// cannot be released, the work is done, and closing the file releases it.
    fn is_without_locks(&self) -> bool {
        let releases = self.call.line.contains("LOCK_UN");
        matches!(self.fault, CallFault::Error("ENOLCK")) && !releases
    }

    async fn watch(&self, child: &mut Process) -> Strace {
        let Call { name, number, .. } = &self.call;
        let trace = format!("trace={name}");
        let inject = match self.fault {
            CallFault::Killed => format!("inject={name}:signal=KILL:when={number}"),
            CallFault::Error(error) => format!("inject={name}:error={error}:when={number}"),
        };
        strace::follow(child, &["-o", "/dev/null", "-e", &trace, "-e", &inject]).await
    }

    /// Checks that a child reports the failed operation and path, or has succeeded after all; that its
    /// token in memory remains usable; and that its next try succeeds.
    async fn assert_continues(&self, setup: &StoreFixture, mut child: Process) {
        let report = child.receive().await.expect("the child is alive");
        if self.operation == Operation::Refresh {
            child.send("token").await;
            let token = child.receive().await.unwrap();
            assert!(token.starts_with("token "), "{token}: {self:?}");
        }
        assert!(
            !(self.is_without_locks() && self.operation.is_done(&report)),
            "{self:?}"
        );
        if !self.operation.is_done(&report) {
            let directory = setup.home.path();
            let is_named =
                report.starts_with("failed to ") && report.contains(directory.to_str().unwrap());
            assert!(is_named, "{report}: {self:?}");
            child.send("work").await;
            let again = child.receive().await.expect("the child is alive");
            assert!(self.operation.is_done(&again), "{again}: {self:?}");
        }
        assert!(child.end().await.success());
        assert!(self.operation.is_there(setup).await, "{report}: {self:?}");
    }
}
