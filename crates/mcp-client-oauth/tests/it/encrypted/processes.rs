//! Several processes with one store, some of which are killed. They run this test program again.

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

/// The variables with the role of a child process, its store directory and the record name.
const ROLE: &str = "MCP_OAUTH_TEST_ROLE";
const DIRECTORY: &str = "MCP_OAUTH_TEST_DIRECTORY";
const NAME: &str = "MCP_OAUTH_TEST_NAME";

/// Returns the command that runs this test in a child process.
pub(super) fn child(role: &str, home: &Home, name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "encrypted::processes::the_child_runs_its_role",
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
    reason = "a test passes settings to its child process in variables"
)]
fn env_var(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(
    clippy::print_stdout,
    reason = "a child process reports to its parent on standard output"
)]
fn report(line: &str) {
    println!("{line}");
}

/// Does nothing unless another test started this process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_child_runs_its_role() {
    let Some(role) = env_var(ROLE) else { return };
    let (directory, name) = (env_var(DIRECTORY).unwrap(), env_var(NAME).unwrap());
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
        "save until killed" => save_until_killed(&open(KeySource::KeyFile)).await,
        "hold until killed" => {
            let _held = open(KeySource::KeyFile).lock(&name).await.unwrap();
            report("held");
            std::future::pending::<()>().await;
        }
        "insert and remove until killed" => {
            insert_and_remove_until_killed(&open(KeySource::KeyFile)).await;
        }
        "rekey until killed" => {
            let mut files = open(KeySource::KeyFile);
            loop {
                for source in [provided_key(), KeySource::KeyFile, KeySource::KeyFile] {
                    files = files.rekey(source).await.unwrap();
                    report("changed");
                }
            }
        }
        "start a refresh" => {
            let files = open(KeySource::KeyFile);
            let held = files.lock(&name).await.unwrap();
            held.mark_refresh_started(Revision::new(NOTED))
                .await
                .unwrap();
            report("held");
            std::future::pending::<()>().await;
        }
        "count reports" => {
            let reports = LogCounter::count("other users may read");
            let files = open(KeySource::KeyFile);
            for _ in 0..3 {
                get(&files, "a").await.unwrap().unwrap();
            }
            report(&format!(
                "reported {} times",
                reports.load(Ordering::SeqCst)
            ));
        }
        "count derivations" => count_derivations(&open(password("right"))).await,
        "count refusals" => count_refusals(&open(password("wrong"))).await,
        _ => panic!("unknown role {role}"),
    }
}

async fn insert_and_remove_until_killed(files: &EncryptedFileStore) {
    loop {
        for name in ["a", "b", "c", "a"] {
            if !files.delete(name, None).await.unwrap() {
                put(files, name, None, name).await.unwrap();
            }
            report("changed");
        }
    }
}

async fn assert_one_key(role: &str, source: KeySource) {
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
    assert_eq!(sorted_names(&files).await.len(), names.len());
}

#[tokio::test]
async fn sixteen_concurrent_first_processes_use_one_key_file() {
    for _ in 0..8 {
        assert_one_key("write", KeySource::KeyFile).await;
    }
}

#[tokio::test]
async fn sixteen_concurrent_first_processes_derive_one_key_from_a_password() {
    assert_one_key("write with a password", password("right")).await;
}

/// Returns a content as long as a record with large tokens; it repeats one number, so that a partly
/// written record is detected.
fn content(number: u64) -> String {
    format!("{number:016}").repeat(512)
}

fn number_in(found: &str) -> u64 {
    let number = found[..16].parse().unwrap();
    assert!(found == content(number), "a partly written record was read");
    number
}

/// Reports each number after it was saved, until the process is killed.
async fn save_until_killed(files: &EncryptedFileStore) {
    loop {
        let stored = files.get("a").await.unwrap().unwrap();
        let number = number_in(std::str::from_utf8(stored.entry.bytes.expose()).unwrap()) + 1;
        put(files, "a", Some(stored.revision), &content(number))
            .await
            .unwrap();
        report(&format!("saved {number}"));
    }
}

/// Waits for some saved numbers and a short pause, then kills the process. Returns the last reported
/// number.
fn kill_and_read_last(mut child: Child, cycle: usize) -> u64 {
    let mut saved = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .filter_map(|line| line.unwrap().strip_prefix("saved ")?.parse().ok());
    let last = saved.by_ref().take(1 + cycle % 2).last().unwrap();
    // Each check takes a microsecond: the kills are spread over the time of one save.
    for _ in 0..(cycle * 37 % 101) * 100 {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // Its last reports are still in the pipe.
    saved.last().unwrap_or(last)
}

/// Every reported save is in the store, and no record is partly written (docs/hostile.md H105, H140).
#[tokio::test]
async fn a_killed_writer_leaves_the_old_record_or_the_new_one() {
    let lanes = (0..4).map(|lane| async move {
        let home = Home::new();
        put(&home.open(), "a", None, &content(0)).await.unwrap();
        for cycle in 0..50 {
            let child = child("save until killed", &home, "").spawn().unwrap();
            let kill_later = move || kill_and_read_last(child, cycle * 4 + lane);
            let reported = tokio::task::spawn_blocking(kill_later).await.unwrap();
            let found = number_in(&get(&home.open(), "a").await.unwrap().unwrap());
            assert!(
                found >= reported,
                "{reported} was reported as saved, but {found} is stored"
            );
        }
        put(&home.open(), "b", None, "").await.unwrap();
        let left = contents(&home.path()).into_keys();
        let left: Vec<_> = left
            .filter(|path| path.extension() == Some("tmp".as_ref()))
            .collect();
        assert!(left.is_empty(), "unfinished files are left: {left:?}");
    });
    lanes.collect::<JoinSet<()>>().join_all().await;
}

/// Waits until the process reports that it holds the lock.
fn wait_until_held(holder: &mut Child) {
    let mut output_text = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(
        output_text.any(|line| line.unwrap() == "held"),
        "the holder ended too early"
    );
}

pub(super) fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn a_lock_is_released_when_its_process_ends() {
    let home = Home::new();
    let mut holder = child("hold until killed", &home, "a").spawn().unwrap();
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

/// The revision of the refresh that a child starts.
const NOTED: u64 = 4_503_599_627_370_495;

/// The next holder of the lock learns of the pending refresh, and can mark it as finished
/// (docs/hostile.md H104, H105).
#[tokio::test]
async fn the_refresh_of_a_killed_process_is_pending_until_it_is_marked_as_finished() {
    let home = Home::new();
    let mut holder = child("start a refresh", &home, "a").spawn().unwrap();
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

pub(super) fn provided_key() -> KeySource {
    KeySource::Provided(Secret::new([7; 32]))
}

/// Counts the log events that contain a text.
struct LogCounter {
    text: &'static str,
    times: Arc<AtomicUsize>,
}

impl LogCounter {
    /// Starts to count, in this process.
    fn count(text: &'static str) -> Arc<AtomicUsize> {
        let times = Arc::new(AtomicUsize::new(0));
        let counter = Self {
            text,
            times: Arc::clone(&times),
        };
        tracing::subscriber::set_global_default(counter).unwrap();
        times
    }
}

impl tracing::Subscriber for LogCounter {
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
            if format!("{value:?}").contains(self.text) {
                self.times.fetch_add(1, Ordering::SeqCst);
            }
        };
        event.record(&mut count);
    }

    fn enter(&self, _: &tracing::Id) {}

    fn exit(&self, _: &tracing::Id) {}
}

/// Uses an existing store in many tasks at once.
async fn count_derivations(files: &EncryptedFileStore) {
    let derivations = LogCounter::count("derived the key");
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
    assert_eq!(sorted_names(files).await.len(), 33);
    report(&format!(
        "derived {} times",
        derivations.load(Ordering::SeqCst)
    ));
}

#[tokio::test]
async fn a_key_is_derived_once_per_process() {
    let home = Home::new();
    let files = EncryptedFileStore::open(home.path(), password("right")).unwrap();
    put(&files, "a", None, "content").await.unwrap();
    let output = child("count derivations", &home, "").output().unwrap();
    let output_text = String::from_utf8_lossy(&output.stdout);
    assert!(output_text.contains("derived 1 times"), "{output_text}");
}

/// Reads with the wrong password in many tasks at once, while the derivation takes some time.
async fn count_refusals(files: &EncryptedFileStore) {
    let derivations = LogCounter::count("derived the key");
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
    report(&format!(
        "tried {together} times together, and {alone} alone"
    ));
}

/// So a keychain prompts its user once, and not once for each task; a later caller tries again. A task
/// that starts very late can be such a caller.
#[tokio::test]
async fn a_task_that_waited_for_a_refusal_gets_the_same_refusal() {
    let home = Home::new();
    let files = EncryptedFileStore::open(home.path(), password("right")).unwrap();
    put(&files, "a", None, "content").await.unwrap();
    let output = child("count refusals", &home, "").output().unwrap();
    let output_text = String::from_utf8_lossy(&output.stdout);
    let (_, tried) = output_text
        .split_once("tried ")
        .expect("the child reports the count");
    let (together, rest) = tried.split_once(' ').unwrap();
    assert!(together.parse::<u32>().unwrap() <= 4, "{output_text}");
    assert!(rest.contains("and 1 alone"), "{output_text}");
}

/// A reader reports it once; a writer restricts the permissions (docs/hostile.md H136).
#[cfg(unix)]
#[tokio::test]
async fn a_directory_that_others_can_read_is_reported() {
    use std::os::unix::fs::PermissionsExt as _;

    let home = Home::new();
    put(&home.open(), "a", None, "content").await.unwrap();
    for (mode, expected) in [(0o700, "reported 0 times"), (0o750, "reported 1 times")] {
        fs::set_permissions(home.path(), fs::Permissions::from_mode(mode)).unwrap();
        let output = child("count reports", &home, "").output().unwrap();
        let output_text = String::from_utf8_lossy(&output.stdout);
        assert!(output_text.contains(expected), "{mode:o}: {output_text}");
    }
}

/// Whatever the umask of the process, only the owner can read the files (docs/hostile.md H138).
#[cfg(unix)]
#[test]
fn files_are_private_under_any_umask() {
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
    for directory in [home.path(), home.file("locks"), home.file("tmp")] {
        assert_eq!(mode(&directory), 0o700, "{}", directory.display());
    }
    let files = contents(&home.path());
    assert_eq!(files.len(), 4, "{:?}", files.keys());
    for file in files.keys() {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
}
