//! Runs strace on one thread of a child: it records each system call, and can make the N-th call fail or
//! kill the process.

use std::{path::Path, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::{concurrent_refresh::process::Process, support::bounded};

/// The file system calls of a store. Other calls (memory, threads, time) do not fail for reasons that a
/// user must know.
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
    /// The name of the call.
    pub(crate) name: String,
    /// The number among the calls with this name, starting at 1.
    pub(crate) number: usize,
    /// The line with its arguments and its result.
    pub(crate) line: String,
}

/// Attaches to a child that has just been started.
pub(crate) async fn follow(child: &mut Process, arguments: &[&str]) -> Child {
    let thread = child.receive().await.expect("the child reports its thread");
    let mut strace = Command::new("strace")
        .args(["-p", &thread])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut messages = BufReader::new(strace.stderr.take().unwrap()).lines();
    let first = bounded(messages.next_line()).await.unwrap();
    let first = first.unwrap_or_default();
    assert!(first.ends_with(" attached"), "strace: {first}");
    // Without a reader of its messages strace would block.
    tokio::spawn(async move { while let Ok(Some(_)) = messages.next_line().await {} });
    strace
}

/// Attaches to a child and writes its calls to a file, for [`calls_in`].
pub(crate) async fn record(child: &mut Process, to: &Path) -> Child {
    record_texts(child, to, "0").await
}

/// Does the same with the first `most` bytes of each text; a path is always complete.
pub(crate) async fn record_texts(child: &mut Process, to: &Path, most: &str) -> Child {
    let calls = format!(
        "trace={}",
        FILE_CALLS.map(|call| format!("?{call}")).join(",")
    );
    let to = to.to_str().unwrap();
    follow(child, &["-y", "-x", "-s", most, "-o", to, "-e", &calls]).await
}

/// Returns the calls that used a path below a directory.
pub(crate) fn calls_in(trace: &str, directory: &Path) -> Vec<Call> {
    let directory = directory.to_str().unwrap();
    let mut earlier_names: Vec<&str> = Vec::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let Some((name, _)) = line.split_once('(') else {
            continue;
        };
        earlier_names.push(name);
        if line.contains(directory) {
            calls.push(Call {
                name: name.to_owned(),
                number: earlier_names
                    .iter()
                    .filter(|earlier| **earlier == name)
                    .count(),
                line: line.to_owned(),
            });
        }
    }
    calls
}
