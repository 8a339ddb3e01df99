//! A child process that runs this test program: it receives orders and can be stopped and killed.

use std::{
    ffi::OsStr,
    process::{ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::support::bounded;

/// The prefix of each line that a child reports: the test harness prints other lines.
const MARK: &str = "report: ";

/// Returns the command that runs one test of this program in a child process.
pub(crate) fn rerun(test: &str) -> Command {
    rerun_under(&[] as &[&str], test)
}

/// Returns the same command behind a wrapper program, which runs its arguments.
pub(crate) fn rerun_under(wrapper: &[impl AsRef<OsStr>], test: &str) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut words = wrapper.iter().map(AsRef::as_ref).chain([
        program.as_os_str(),
        OsStr::new("--exact"),
        OsStr::new(test),
        OsStr::new("--nocapture"),
    ]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    command
}

/// A child process. Dropping the value kills it.
pub(crate) struct Process {
    child: Child,
    pid: Pid,
    orders: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        Self {
            pid: Pid::from_raw(child.id().unwrap().cast_signed()).unwrap(),
            orders: child.stdin.take(),
            lines: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
        }
    }

    /// Sends an order. Does nothing if the process has ended.
    pub(crate) async fn send(&mut self, order: &str) {
        let Some(orders) = &mut self.orders else {
            return;
        };
        if orders
            .write_all(format!("{order}\n").as_bytes())
            .await
            .is_err()
        {
            self.orders = None;
        }
    }

    /// Returns the next report; none if the process has ended.
    pub(crate) async fn receive(&mut self) -> Option<String> {
        while let Some(line) = bounded(self.lines.next_line()).await.unwrap() {
            if let Some((_, said)) = line.split_once(MARK) {
                return Some(said.to_owned());
            }
        }
        None
    }

    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Kills the process at once, and waits for its end. Its reports can still be read.
    pub(crate) async fn kill(&mut self) {
        self.signal(Signal::KILL);
        bounded(self.child.wait()).await.unwrap();
    }

    /// Closes its input and waits for its end.
    pub(crate) async fn end(&mut self) -> ExitStatus {
        self.orders = None;
        bounded(self.child.wait()).await.unwrap()
    }

    /// Sends a signal, unless the process has been waited for: its ID may belong to another process.
    fn signal(&self, signal: Signal) {
        if self.child.id().is_some() {
            kill_process(self.pid, signal).unwrap();
        }
    }
}

/// Sends a report to the parent process.
#[expect(
    clippy::print_stdout,
    reason = "a child process reports to its parent on standard output"
)]
pub(crate) fn report(line: &str) {
    println!("{MARK}{line}");
}

/// Returns the orders of the parent, until it closes the input.
pub(crate) fn orders() -> impl Iterator<Item = String> {
    std::io::stdin().lines().map(Result::unwrap)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test passes settings to its child process in variables"
)]
pub(crate) fn env_var(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Returns a number from an environment variable, or the default: more rounds find more errors.
pub(crate) fn env_number(name: &str, default: u64) -> u64 {
    env_var(name).map_or(default, |number| number.parse().unwrap())
}
