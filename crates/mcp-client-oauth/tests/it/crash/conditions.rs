//! Disk failures: the disk is full, read-only or gone, or accepts only a part of a write. The caller gets
//! an error, the tokens in memory remain usable, and nothing is lost.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use mcp_client_oauth::{Client, Error, Remedy, Session, error::TokenStorageError};
use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Peer};
use tokio::process::Command;

use super::{
    child::Work,
    fixture::{StoreFixture, testbed},
};
use crate::{
    concurrent_refresh::{
        harness::is_accepted,
        process::{Process, env_var, rerun_under},
    },
    support::bounded,
};

/// The variable that is set for the child processes of these tests.
const MOUNTED: &str = "MCP_OAUTH_TEST_MOUNTED";
/// The allocation unit of a file system.
const PAGE: usize = 4096;

/// Logs in with a new store.
async fn logged_in() -> (StoreFixture, Session) {
    let setup = StoreFixture::new(&testbed().await, Work::Refresh).await;
    let client = Client::with_platform(setup.fixture.platform.clone(), setup.store());
    let session = client.session(setup.fixture.key()).await.unwrap();
    (setup, session)
}

/// Checks that the session returns the token in memory, and that the server accepts it.
async fn assert_token_usable(setup: &StoreFixture, session: &Session) {
    let token = session.token().await.unwrap();
    assert!(is_accepted(&setup.fixture, token.expose()).await);
}

/// Checks that the next refresh succeeds and is stored.
async fn assert_recovers(setup: &StoreFixture, session: &Session) {
    let token = session.refresh().await.unwrap();
    let record = setup.record().await.unwrap();
    assert_eq!(record.tokens.access_token, token);
    assert!(!setup.is_lost(&record) && setup.fixture.testbed.families()[0].alive);
}

fn assert_names_a_file_below(directory: &Path, error: &Error) {
    let Error::TokenStorage(TokenStorageError::Io { path, .. }) = error else {
        panic!("{error}");
    };
    assert!(path.starts_with(directory), "{error}");
}

/// Runs a test in a child process with its own mount namespace, in which it may mount: as root, or as
/// the root of a user namespace if the system allows them.
#[cfg(target_os = "linux")]
async fn with_a_mount(test: &str, mount: &str) {
    const WRAPPERS: [&[&str]; 2] = [
        &["unshare", "--mount"],
        &["unshare", "--user", "--map-root-user", "--mount"],
    ];
    let mut wrapper = None;
    for arguments in WRAPPERS {
        let mut command = Command::new(arguments[0]);
        let tried = command.args(&arguments[1..]).arg("true").output().await;
        if tried.is_ok_and(|output| output.status.success()) {
            wrapper = Some(arguments);
            break;
        }
    }
    let Some(wrapper) = wrapper else {
        eprintln!("SKIPPED: this system allows no mount in a namespace");
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let script = format!("{mount} && exec \"$0\" \"$@\"");
    let arguments = [wrapper, &["sh", "-c", &script]].concat();
    let mut child = rerun_under(&arguments, test);
    child.env("TMPDIR", home.path()).env(MOUNTED, home.path());
    assert!(Process::start(child).end().await.success());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_costs_no_login() {
    with_a_mount(
        "crash::conditions::a_child_has_a_full_disk",
        "mount -t tmpfs -o size=512k,mode=0700 tmpfs \"$TMPDIR\"",
    )
    .await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_read_only_disk_costs_no_login() {
    with_a_mount(
        "crash::conditions::a_child_has_a_read_only_disk",
        "mount --bind \"$TMPDIR\" \"$TMPDIR\"",
    )
    .await;
}

/// Does nothing unless another test started this process. With a little free space the note is written,
/// but the record is not.
#[tokio::test]
async fn a_child_has_a_full_disk() {
    let Some(mounted) = env_var(MOUNTED).map(PathBuf::from) else {
        return;
    };
    let (setup, session) = logged_in().await;
    let (mut failed, mut sent) = (0, 0);
    for free in 0..8 {
        let filler = fill(&mounted, free * PAGE);
        if let Err(error) = session.refresh().await {
            assert_names_a_file_below(&mounted, &error);
            failed += 1;
        }
        sent += setup.fixture.refreshes();
        assert_token_usable(&setup, &session).await;
        fs::remove_file(filler).unwrap();
        assert_recovers(&setup, &session).await;
        setup.fixture.testbed.clear_requests();
    }
    assert!(failed > 1, "the disk was not full");
    assert!(failed + sent > 8, "no save ever failed after its refresh");
    setup.assert_next_write_cleans_up().await;
}

/// Fills a file system, except for some free space.
fn fill(mounted: &Path, free: usize) -> PathBuf {
    let path = mounted.join("filler");
    let mut filler = File::create(&path).unwrap();
    let mut size = 0;
    while filler.write_all(&[0; PAGE]).is_ok() {
        size += PAGE;
    }
    filler.set_len(u64::try_from(size - free).unwrap()).unwrap();
    path
}

/// Does nothing unless another test started this process.
#[tokio::test]
async fn a_child_has_a_read_only_disk() {
    let Some(mounted) = env_var(MOUNTED) else {
        return;
    };
    let (setup, session) = logged_in().await;
    remount(&mounted, "ro").await;
    let error = session.refresh().await.unwrap_err();
    assert_names_a_file_below(mounted.as_ref(), &error);
    assert_token_usable(&setup, &session).await;

    setup.fixture.advance(Duration::from_secs(300));
    let error = session.token().await.unwrap_err();
    assert_names_a_file_below(mounted.as_ref(), &error);
    let sent = setup.fixture.refreshes();
    assert_eq!(sent, 0, "a refresh was sent that cannot be stored");

    remount(&mounted, "rw").await;
    assert_recovers(&setup, &session).await;
}

async fn remount(mounted: &str, how: &str) {
    let options = format!("remount,bind,{how}");
    let mut mount = Command::new("mount");
    let status = mount.args(["-o", &options, mounted]).status().await;
    assert!(status.unwrap().success());
}

#[tokio::test]
async fn a_missing_store_requires_a_login() {
    let (setup, session) = logged_in().await;
    fs::remove_dir_all(setup.home.path()).unwrap();
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::LogIn, "{error}");
    assert_eq!(setup.fixture.refreshes(), 0);
    assert_token_usable(&setup, &session).await;
}

#[tokio::test]
async fn a_store_that_is_deleted_during_a_refresh_leaves_the_tokens_in_memory() {
    let (setup, session) = logged_in().await;
    let testbed = &setup.fixture.testbed;
    testbed.clear_requests();
    testbed.set_fault(Fault::Corrupt(Endpoint::Token, Corruption::Held));
    let refreshing = tokio::spawn({
        let session = session.clone();
        async move { session.refresh().await }
    });
    let server = Peer::AuthorizationServer;
    bounded(testbed.wait_for_requests(server, "POST", "/token", 1)).await;
    fs::remove_dir_all(setup.home.path()).unwrap();
    testbed.release();
    let error = bounded(refreshing).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::TokenStorage(_)), "{error}");
    assert_token_usable(&setup, &session).await;
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::LogIn, "{error}");
}

/// Runs a child with a file size limit of so many blocks of 512 bytes: its last write is a short one.
async fn with_file_size_limit(work: Work, blocks: u32) {
    let setup = StoreFixture::new(&testbed().await, work).await;
    let limited = format!("trap '' XFSZ; ulimit -f {blocks} && exec \"$0\" \"$@\"");
    let child = rerun_under(
        &["sh", "-c", &limited],
        "crash::child::a_child_works_on_order",
    );
    let mut child = Process::start(setup.job(work, "0").with_env(child));
    child.receive().await.expect("the child reports its thread");
    child.send("work").await;
    let report = child.receive().await.unwrap();
    let failed = report.starts_with("failed to ");
    let directory = setup.home.path();
    assert!(
        report.contains(directory.to_str().unwrap()) == failed,
        "{report}"
    );
    if work == Work::Refresh {
        child.send("token").await;
        let token = child.receive().await.unwrap();
        let token = token.strip_prefix("token ").expect(&token);
        assert!(is_accepted(&setup.fixture, token).await);
    }
    assert!(child.end().await.success());

    if work == Work::Save {
        let found = setup.number().await;
        assert_eq!(found, Some(u64::from(!failed)), "{report}");
    } else {
        let lock = setup.lock().await;
        let lost = setup.is_lost(lock.record().unwrap());
        assert!(!lost || (failed && lock.refresh_interrupted()), "{report}");
    }
    setup.assert_next_write_cleans_up().await;
}

#[tokio::test]
async fn a_write_that_is_cut_short_leaves_the_old_record() {
    for work in [Work::Save, Work::Refresh] {
        for blocks in [0, 1, 2, 3, 5, 8, 11, 100] {
            with_file_size_limit(work, blocks).await;
        }
    }
}
