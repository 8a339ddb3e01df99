//! strace on one thread of a child: it sees each system call, and can make the N-th fail or fatal.

use std::{path::Path, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::{herd::process::Process, support::bounded};

/// The calls that a store makes of a file system. Others (memory, threads, time) cannot fail for
/// reasons that a person would have to hear of.
const FILE_CALLS: [&str; 26] = [
    "access",
    "chmod",
    "fchmod",
    "fchmodat",
    "fdatasync",
    "flock",
    "fstat",
    "fsync",
    "ftruncate",
    "getdents64",
    "link",
    "linkat",
    "lseek",
    "mkdir",
    "mkdirat",
    "newfstatat",
    "open",
    "openat",
    "pread64",
    "read",
    "rename",
    "renameat",
    "renameat2",
    "statx",
    "unlink",
    "write",
];

/// One call of a thread.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// What it is called.
    pub(crate) name: String,
    /// Which of the calls of that name, from 1 on.
    pub(crate) number: usize,
    /// With its arguments and its result.
    pub(crate) line: String,
}

/// Follows a child that has just been started. It watches when this returns.
pub(crate) async fn follow(child: &mut Process, arguments: &[&str]) -> Child {
    let thread = child.hear().await.expect("it says its thread");
    let mut strace = Command::new("strace")
        .args(["-p", &thread])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(strace.stderr.take().unwrap()).lines();
    let first = bounded(said.next_line()).await.unwrap();
    let first = first.unwrap_or_default();
    assert!(first.ends_with(" attached"), "strace says: {first}");
    // Whoever does not read what it says stops it in the end.
    tokio::spawn(async move { while let Ok(Some(_)) = said.next_line().await {} });
    strace
}

/// Follows a child and writes its calls to a file, for [`calls_in`].
pub(crate) async fn record(child: &mut Process, to: &Path) -> Child {
    record_texts(child, to, "0").await
}

/// The same, with the first bytes of each text: a path has all of it in any case.
pub(crate) async fn record_texts(child: &mut Process, to: &Path, most: &str) -> Child {
    let calls = format!(
        "trace={}",
        FILE_CALLS.map(|call| format!("?{call}")).join(",")
    );
    let to = to.to_str().unwrap();
    follow(child, &["-y", "-x", "-s", most, "-o", to, "-e", &calls]).await
}

/// The calls that touched something below a directory.
pub(crate) fn calls_in(trace: &str, directory: &Path) -> Vec<Call> {
    let directory = directory.to_str().unwrap();
    let mut seen: Vec<&str> = Vec::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let Some((name, _)) = line.split_once('(') else {
            continue;
        };
        seen.push(name);
        if line.contains(directory) {
            calls.push(Call {
                name: name.to_owned(),
                number: seen.iter().filter(|earlier| **earlier == name).count(),
                line: line.to_owned(),
            });
        }
    }
    calls
}
