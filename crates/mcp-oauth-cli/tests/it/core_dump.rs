//! An aborted command leaves no core dump (`docs/hostile.md` H151).

#![cfg(target_os = "linux")]

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{Command, ExitStatus, Stdio},
};

use crate::support::{Home, Running};

/// The shell script that allows core dumps and then runs the command.
const NO_LIMIT: &str = "ulimit -c $(ulimit -H -c); exec \"$0\" \"$@\"";

/// Returns whether this system writes core dumps: a container may not.
fn dumps_are_made(home: &Home) -> bool {
    let mut other = Command::new("sh");
    other.args(["-c", NO_LIMIT, "sh", "-c", "kill -ABRT $$"]);
    let ended = other
        .current_dir(home.path(""))
        .stderr(Stdio::null())
        .status();
    ended.unwrap().core_dumped()
}

async fn aborted(home: &Home) -> ExitStatus {
    let mut shell = home.program("/bin/sh");
    let (own, url) = (env!("CARGO_BIN_EXE_mcp-oauth"), home.url());
    shell.args(["-c", NO_LIMIT, own, "login", "notes", &url]);
    shell.current_dir(home.path(""));
    let mut running = Running::start(shell, "").await;
    running.url().await.unwrap();
    crate::signals::send("-ABRT", &running);
    running.child.wait().await.unwrap()
}

#[tokio::test]
async fn an_aborted_command_leaves_no_core_dump() {
    let home = Home::new().await;
    let ended = aborted(&home).await;
    assert_eq!(ended.signal(), Some(6), "{ended}");
    assert!(!ended.core_dumped(), "{ended}");
    if !dumps_are_made(&home) {
        eprintln!("this system makes no dumps: only the unit test of `core_dump` says more");
    }
}
