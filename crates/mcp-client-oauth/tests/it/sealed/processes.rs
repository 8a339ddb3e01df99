//! Several processes at one store, some of which die: this test program, started again.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::task::JoinSet;

use super::*;

/// What a child process is to do, in which directory, and with which name.
const ROLE: &str = "MCP_OAUTH_TEST_ROLE";
const DIRECTORY: &str = "MCP_OAUTH_TEST_DIRECTORY";
const NAME: &str = "MCP_OAUTH_TEST_NAME";

/// This test again, in a process of its own, where it is the child.
pub(super) fn child(role: &str, home: &Home, name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "sealed::processes::the_child_plays_its_role",
        "--nocapture",
    ]);
    command
        .env(ROLE, role)
        .env(DIRECTORY, home.path())
        .env(NAME, name);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn assert_success(child: Child) {
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "how a test speaks to its own child process"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(
    clippy::print_stdout,
    reason = "how a child process speaks to its parent"
)]
fn say(line: &str) {
    println!("{line}");
}

/// Does nothing unless another test started this process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_child_plays_its_role() {
    let Some(role) = variable(ROLE) else { return };
    let (directory, name) = (variable(DIRECTORY).unwrap(), variable(NAME).unwrap());
    let open = |source| EncryptedFileStore::open(&directory, source).unwrap();
    match role.as_str() {
        "write" => drop(
            put(&open(KeySource::KeyFile), &name, None, &name)
                .await
                .unwrap(),
        ),
        "write with a password" => {
            put(&open(password("right")), &name, None, &name)
                .await
                .unwrap();
        }
        "save for ever" => save_for_ever(&open(KeySource::KeyFile)).await,
        "hold for ever" => {
            let _held = open(KeySource::KeyFile).lock(&name).await.unwrap();
            say("held");
            std::future::pending::<()>().await;
        }
        "insert and remove for ever" => {
            insert_and_remove_for_ever(&open(KeySource::KeyFile)).await;
        }
        "rekey for ever" => {
            let mut files = open(KeySource::KeyFile);
            loop {
                for source in [given_key(), KeySource::KeyFile, KeySource::KeyFile] {
                    files = files.rekey(source).await.unwrap();
                    say("changed");
                }
            }
        }
        "begin and be killed" => {
            let files = open(KeySource::KeyFile);
            let held = files.lock(&name).await.unwrap();
            held.mark_refresh_started(Revision::new(NOTED))
                .await
                .unwrap();
            say("held");
            std::future::pending::<()>().await;
        }
        "count reports" => {
            let reports = Said::count("others may look into");
            let files = open(KeySource::KeyFile);
            for _ in 0..3 {
                get(&files, "a").await.unwrap().unwrap();
            }
            say(&format!(
                "reported {} times",
                reports.load(Ordering::SeqCst)
            ));
        }
        "count derivations" => count_derivations(&open(password("right"))).await,
        "count refusals" => count_refusals(&open(password("wrong"))).await,
        _ => panic!("no role called {role}"),
    }
}

async fn insert_and_remove_for_ever(files: &EncryptedFileStore) {
    loop {
        for name in ["a", "b", "c", "a"] {
            if !files.delete(name, None).await.unwrap() {
                put(files, name, None, name).await.unwrap();
            }
            say("changed");
        }
    }
}

async fn all_agree(role: &str, source: KeySource) {
    let home = Home::new();
    let names: Vec<String> = (0..16).map(|number| format!("of {number}")).collect();
    let children = names
        .iter()
        .map(|name| child(role, &home, name).spawn().unwrap());
    children
        .collect::<Vec<_>>()
        .into_iter()
        .for_each(assert_success);
    let files = EncryptedFileStore::open(home.path(), source).unwrap();
    for name in &names {
        assert_eq!(get(&files, name).await.unwrap().as_ref(), Some(name));
    }
    assert_eq!(files.names().await.unwrap().len(), names.len());
}

#[tokio::test]
async fn sixteen_first_processes_agree_on_a_key_file() {
    for _ in 0..8 {
        all_agree("write", KeySource::KeyFile).await;
    }
}

#[tokio::test]
async fn sixteen_first_processes_agree_on_what_becomes_of_a_password() {
    all_agree("write with a password", password("right")).await;
}

/// As long as a record with large tokens, and the same all over: a torn one would show.
fn content(number: u64) -> String {
    format!("{number:016}").repeat(512)
}

fn number_in(found: &str) -> u64 {
    let number = found[..16].parse().unwrap();
    assert!(found == content(number), "a torn record was read");
    number
}

/// Says each number after it was saved, until somebody kills this.
async fn save_for_ever(files: &EncryptedFileStore) {
    loop {
        let stored = files.get("a").await.unwrap().unwrap();
        let number = number_in(std::str::from_utf8(stored.bytes.expose()).unwrap()) + 1;
        put(files, "a", Some(stored.revision), &content(number))
            .await
            .unwrap();
        say(&format!("saved {number}"));
    }
}

/// Waits for some saved numbers, and a moment more, and kills the process. The last number that it
/// said.
fn last_words(mut child: Child, cycle: usize) -> u64 {
    let mut saved = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .filter_map(|line| line.unwrap().strip_prefix("saved ")?.parse().ok());
    let last = saved.by_ref().take(1 + cycle % 2).last().unwrap();
    // Asking takes a microsecond: the moments of death are spread over the time of one save.
    for _ in 0..(cycle * 37 % 101) * 100 {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it said since is still in the pipe.
    saved.last().unwrap_or(last)
}

/// H105, H140: what was said to be saved is there, and nothing is ever half there.
#[tokio::test]
async fn a_killed_writer_leaves_the_old_record_or_the_new_one() {
    let lanes = (0..4).map(|lane| async move {
        let home = Home::new();
        put(&home.open(), "a", None, &content(0)).await.unwrap();
        for cycle in 0..50 {
            let child = child("save for ever", &home, "").spawn().unwrap();
            let dying = move || last_words(child, cycle * 4 + lane);
            let said = tokio::task::spawn_blocking(dying).await.unwrap();
            let found = number_in(&get(&home.open(), "a").await.unwrap().unwrap());
            assert!(
                found >= said,
                "{said} was said to be saved, but {found} is there"
            );
        }
        put(&home.open(), "b", None, "").await.unwrap();
        let left = contents(&home.path()).into_keys();
        let left: Vec<_> = left
            .filter(|path| path.extension() == Some("tmp".as_ref()))
            .collect();
        assert!(
            left.is_empty(),
            "unfinished files are still there: {left:?}"
        );
    });
    lanes.collect::<JoinSet<()>>().join_all().await;
}

/// Waits until the process says that it holds what it should.
fn wait_until_held(holder: &mut Child) {
    let mut said = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(
        said.any(|line| line.unwrap() == "held"),
        "the holder died too soon"
    );
}

pub(super) fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn a_lock_dies_with_its_process() {
    let home = Home::new();
    let mut holder = child("hold for ever", &home, "a").spawn().unwrap();
    wait_until_held(&mut holder);
    let files = home.open();
    let mut waiting = pin!(files.lock("a"));
    assert!(
        waits(&files, waiting.as_mut()).await,
        "two processes hold the same name"
    );
    kill(holder);
    waiting.await.unwrap();
}

/// The revision that a child begins to use up.
const NOTED: u64 = 4_503_599_627_370_495;

/// H104, H105: the next holder knows what was under way, and is believed when it says what came of
/// it.
#[tokio::test]
async fn what_a_killed_process_had_begun_is_known_until_somebody_ends_it() {
    let home = Home::new();
    let mut holder = child("begin and be killed", &home, "a").spawn().unwrap();
    wait_until_held(&mut holder);
    kill(holder);
    let files = home.open();
    for _ in 0..2 {
        let held = files.lock("a").await.unwrap();
        assert_eq!(held.pending_revision(), Some(Revision::new(NOTED)));
    }
    assert_eq!(files.lock("b").await.unwrap().pending_revision(), None);

    let held = files.lock("a").await.unwrap();
    held.mark_refresh_started(Revision::new(5)).await.unwrap();
    drop(held);
    let held = files.lock("a").await.unwrap();
    assert_eq!(held.pending_revision(), Some(Revision::new(5)));
    held.mark_refresh_finished().await;
    drop(held);
    assert_eq!(files.lock("a").await.unwrap().pending_revision(), None);
}

pub(super) fn given_key() -> KeySource {
    KeySource::Provided(Secret::new([7; 32]))
}

/// Counts how often the library says something.
struct Said {
    what: &'static str,
    times: Arc<AtomicUsize>,
}

impl Said {
    /// From now on, in this process.
    fn count(what: &'static str) -> Arc<AtomicUsize> {
        let times = Arc::new(AtomicUsize::new(0));
        let said = Self {
            what,
            times: Arc::clone(&times),
        };
        tracing::subscriber::set_global_default(said).unwrap();
        times
    }
}

impl tracing::Subscriber for Said {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::Id {
        tracing::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::Id, _: &tracing::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut count = |_: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            if format!("{value:?}").contains(self.what) {
                self.times.fetch_add(1, Ordering::SeqCst);
            }
        };
        event.record(&mut count);
    }

    fn enter(&self, _: &tracing::Id) {}

    fn exit(&self, _: &tracing::Id) {}
}

/// Many tasks begin at once with a store that exists.
async fn count_derivations(files: &EncryptedFileStore) {
    let derivations = Said::count("derived the key");
    let uses = (0..32).map(|number| {
        let files = files.clone();
        async move {
            assert_eq!(get(&files, "a").await.unwrap().unwrap(), "content");
            put(&files, &format!("b{number}"), None, "content")
                .await
                .unwrap();
        }
    });
    uses.collect::<JoinSet<()>>().join_all().await;
    assert_eq!(files.names().await.unwrap().len(), 33);
    say(&format!(
        "derived {} times",
        derivations.load(Ordering::SeqCst)
    ));
}

#[tokio::test]
async fn a_key_is_derived_once_a_process() {
    let home = Home::new();
    let files = EncryptedFileStore::open(home.path(), password("right")).unwrap();
    put(&files, "a", None, "content").await.unwrap();
    let output = child("count derivations", &home, "").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("derived 1 times"), "{said}");
}

/// Many tasks ask at once, and the answer takes a while.
async fn count_refusals(files: &EncryptedFileStore) {
    let derivations = Said::count("derived the key");
    let readers = (0..32).map(|_| {
        let files = files.clone();
        async move { get(&files, "a").await.unwrap_err() }
    });
    for refused in readers.collect::<JoinSet<_>>().join_all().await {
        assert!(matches!(refused, TokenStorageError::WrongPassword(_)));
    }
    let together = derivations.swap(0, Ordering::SeqCst);
    get(files, "a").await.unwrap_err();
    let alone = derivations.load(Ordering::SeqCst);
    say(&format!(
        "tried {together} times together, and {alone} alone"
    ));
}

/// So a keychain asks its person once, and not once for each task; but who comes later tries anew.
/// A task that starts very late may be one of those.
#[tokio::test]
async fn who_waited_for_a_refusal_is_refused_alike() {
    let home = Home::new();
    let files = EncryptedFileStore::open(home.path(), password("right")).unwrap();
    put(&files, "a", None, "content").await.unwrap();
    let output = child("count refusals", &home, "").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let (_, tried) = said.split_once("tried ").expect("it counted");
    let (together, rest) = tried.split_once(' ').unwrap();
    assert!(together.parse::<u32>().unwrap() <= 4, "{said}");
    assert!(rest.contains("and 1 alone"), "{said}");
}

/// H136: once, to who only reads; who writes closes it.
#[cfg(unix)]
#[tokio::test]
async fn a_directory_that_others_may_look_into_is_reported() {
    use std::os::unix::fs::PermissionsExt as _;

    let home = Home::new();
    put(&home.open(), "a", None, "content").await.unwrap();
    for (mode, expected) in [(0o700, "reported 0 times"), (0o750, "reported 1 times")] {
        fs::set_permissions(home.path(), fs::Permissions::from_mode(mode)).unwrap();
        let output = child("count reports", &home, "").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(expected), "{mode:o}: {said}");
    }
}

/// H138: whatever the mask of the process, only its owner reads the files.
#[cfg(unix)]
#[test]
fn nobody_else_may_read_what_is_made_under_any_mask() {
    use std::os::unix::fs::MetadataExt as _;

    let home = Home::new();
    let direct = child("write", &home, "a");
    let mut masked = Command::new("sh");
    masked
        .args(["-c", "umask 000; exec \"$0\" \"$@\""])
        .arg(direct.get_program());
    masked.args(direct.get_args());
    masked.envs(
        direct
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    assert_success(
        masked
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );

    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    for directory in [home.path(), home.file("locks"), home.file("new")] {
        assert_eq!(mode(&directory), 0o700, "{}", directory.display());
    }
    let files = contents(&home.path());
    assert_eq!(files.len(), 4, "{:?}", files.keys());
    for file in files.keys() {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
}
