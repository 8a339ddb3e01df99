//! What really happens to disks: they are full, read-only, gone, or take a part of a write. Whoever
//! meets it is told, goes on with the tokens in memory, and loses nothing.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use mcp_client_oauth::{Error, Remedy, Session, TokenSource as _, error::TokenStorageError};
use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Peer};
use tokio::process::Command;

use super::{
    child::Work,
    fixture::{Place, testbed},
};
use crate::{
    herd::{
        process::{Process, under, variable},
        troop::is_good,
    },
    support::bounded,
};

/// Set for the children of these tests.
const MOUNTED: &str = "MCP_OAUTH_TEST_MOUNTED";
/// A file system gives out this much at a time.
const PAGE: usize = 4096;

/// A login in a store of its own.
async fn logged_in() -> (Place, Session) {
    let place = Place::new(&testbed().await, Work::Refresh).await;
    let (platform, key) = (place.fixture.platform.clone(), place.fixture.key());
    let session = Session::open(platform, place.store(), key).await.unwrap();
    (place, session.unwrap())
}

/// What is in memory is handed out, and the server takes it.
async fn assert_goes_on(place: &Place, session: &Session) {
    let token = session.token().await.unwrap();
    assert!(is_good(&place.fixture, token.expose()).await);
}

/// The next refresh succeeds, and is stored.
async fn assert_recovers(place: &Place, session: &Session) {
    let token = session.refresh().await.unwrap();
    let record = place.record().await.unwrap();
    assert_eq!(record.tokens.access_token, token);
    assert!(!place.is_lost(&record) && place.fixture.testbed.families()[0].alive);
}

fn assert_names_a_file_below(directory: &Path, error: &Error) {
    let Error::TokenStorage(TokenStorageError::Io { path, .. }) = error else {
        panic!("{error}");
    };
    assert!(path.starts_with(directory), "{error}");
}

/// Runs a test as a child that may mount: in a mount namespace that ends with it. As root, or as
/// the root of a user namespace where the system allows those.
#[cfg(target_os = "linux")]
async fn with_a_mount(test: &str, mount: &str) {
    const WAYS: [&[&str]; 2] = [
        &["unshare", "--mount"],
        &["unshare", "--user", "--map-root-user", "--mount"],
    ];
    let mut way = None;
    for words in WAYS {
        let mut command = Command::new(words[0]);
        let tried = command.args(&words[1..]).arg("true").output().await;
        if tried.is_ok_and(|output| output.status.success()) {
            way = Some(words);
            break;
        }
    }
    let Some(way) = way else {
        eprintln!("SKIPPED: this system lets nobody mount a file system of their own");
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let script = format!("{mount} && exec \"$0\" \"$@\"");
    let words = [way, &["sh", "-c", &script]].concat();
    let mut child = under(&words, test);
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

/// Does nothing unless another test started this process. With a little room left, the note is
/// written, and the record is not.
#[tokio::test]
async fn a_child_has_a_full_disk() {
    let Some(mounted) = variable(MOUNTED).map(PathBuf::from) else {
        return;
    };
    let (place, session) = logged_in().await;
    let (mut failed, mut sent) = (0, 0);
    for room in 0..8 {
        let filler = fill(&mounted, room * PAGE);
        if let Err(error) = session.refresh().await {
            assert_names_a_file_below(&mounted, &error);
            failed += 1;
        }
        sent += place.fixture.refreshes();
        assert_goes_on(&place, &session).await;
        fs::remove_file(filler).unwrap();
        assert_recovers(&place, &session).await;
        place.fixture.testbed.forget_requests();
    }
    assert!(failed > 1, "the disk was not full");
    assert!(failed + sent > 8, "no save ever failed after its refresh");
    place.assert_the_next_write_clears_up().await;
}

/// Uses up a file system, but for some room.
fn fill(mounted: &Path, room: usize) -> PathBuf {
    let path = mounted.join("filler");
    let mut filler = File::create(&path).unwrap();
    let mut size = 0;
    while filler.write_all(&[0; PAGE]).is_ok() {
        size += PAGE;
    }
    filler.set_len(u64::try_from(size - room).unwrap()).unwrap();
    path
}

/// Does nothing unless another test started this process.
#[tokio::test]
async fn a_child_has_a_read_only_disk() {
    let Some(mounted) = variable(MOUNTED) else {
        return;
    };
    let (place, session) = logged_in().await;
    remount(&mounted, "ro").await;
    let error = session.refresh().await.unwrap_err();
    assert_names_a_file_below(mounted.as_ref(), &error);
    assert_goes_on(&place, &session).await;

    place.fixture.pass(Duration::from_secs(300));
    let error = session.token().await.unwrap_err();
    assert_names_a_file_below(mounted.as_ref(), &error);
    let sent = place.fixture.refreshes();
    assert_eq!(sent, 0, "a refresh was sent that cannot be stored");

    remount(&mounted, "rw").await;
    assert_recovers(&place, &session).await;
}

async fn remount(mounted: &str, how: &str) {
    let options = format!("remount,bind,{how}");
    let mut mount = Command::new("mount");
    let status = mount.args(["-o", &options, mounted]).status().await;
    assert!(status.unwrap().success());
}

#[tokio::test]
async fn a_store_that_has_vanished_is_a_logout() {
    let (place, session) = logged_in().await;
    fs::remove_dir_all(place.home.path()).unwrap();
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::LogIn, "{error}");
    assert_eq!(place.fixture.refreshes(), 0);
    assert_goes_on(&place, &session).await;
}

#[tokio::test]
async fn a_store_that_vanishes_during_a_refresh_leaves_what_is_in_memory() {
    let (place, session) = logged_in().await;
    let testbed = &place.fixture.testbed;
    testbed.forget_requests();
    testbed.set_fault(Fault::Spoil(Endpoint::Token, Corruption::Held));
    let refreshing = tokio::spawn({
        let session = session.clone();
        async move { session.refresh().await }
    });
    let server = Peer::AuthorizationServer;
    bounded(testbed.arrived(server, "POST", "/token", 1)).await;
    fs::remove_dir_all(place.home.path()).unwrap();
    testbed.release();
    let error = bounded(refreshing).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::TokenStorage(_)), "{error}");
    assert_goes_on(&place, &session).await;
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::LogIn, "{error}");
}

/// A child that may write so many blocks of 512 bytes to a file: the last write is a short one.
async fn with_short_files(work: Work, blocks: u32) {
    let place = Place::new(&testbed().await, work).await;
    let limited = format!("trap '' XFSZ; ulimit -f {blocks} && exec \"$0\" \"$@\"");
    let child = under(
        &["sh", "-c", &limited],
        "crash::child::a_child_works_when_it_is_told",
    );
    let mut child = Process::start(place.job(work, "0").told(child));
    child.hear().await.expect("it says its thread");
    child.tell("work").await;
    let said = child.hear().await.unwrap();
    let failed = said.starts_with("failed to ");
    let directory = place.home.path();
    assert!(
        said.contains(directory.to_str().unwrap()) == failed,
        "{said}"
    );
    if work == Work::Refresh {
        child.tell("token").await;
        let token = child.hear().await.unwrap();
        let token = token.strip_prefix("token ").expect(&token);
        assert!(is_good(&place.fixture, token).await);
    }
    assert!(child.end().await.success());

    if work == Work::Save {
        let found = place.number().await;
        assert_eq!(found, Some(u64::from(!failed)), "{said}");
    } else {
        let lock = place.lock().await;
        let lost = place.is_lost(lock.record().unwrap());
        assert!(!lost || (failed && lock.refresh_interrupted()), "{said}");
    }
    place.assert_the_next_write_clears_up().await;
}

#[tokio::test]
async fn a_write_that_is_cut_short_leaves_the_old_record() {
    for work in [Work::Save, Work::Refresh] {
        for blocks in [0, 1, 2, 3, 5, 8, 11, 100] {
            with_short_files(work, blocks).await;
        }
    }
}
