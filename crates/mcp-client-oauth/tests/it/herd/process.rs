//! This test program, started again: another process, to be spoken to, stopped and killed.

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

/// Stands before each line that a child says: the test harness says other things.
const MARK: &str = "said: ";

/// A test of this program, in a process of its own, where it is the child.
pub(crate) fn again(test: &str) -> Command {
    under(&[] as &[&str], test)
}

/// The same, started by another program that ends in running what it is given.
pub(crate) fn under(wrapper: &[impl AsRef<OsStr>], test: &str) -> Command {
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

/// A child process. It ends with its value.
pub(crate) struct Process {
    child: Child,
    pid: Pid,
    orders: Option<ChildStdin>,
    said: Lines<BufReader<ChildStdout>>,
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
            said: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
        }
    }

    /// Tells it something. One that is dead does not hear it.
    pub(crate) async fn tell(&mut self, order: &str) {
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

    /// What it says next; none if it has ended.
    pub(crate) async fn hear(&mut self) -> Option<String> {
        while let Some(line) = bounded(self.said.next_line()).await.unwrap() {
            if let Some((_, said)) = line.split_once(MARK) {
                return Some(said.to_owned());
            }
        }
        None
    }

    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// Kills it, at once; nothing of it is left when this returns but what it said.
    pub(crate) async fn kill(&mut self) {
        self.signal(Signal::KILL);
        bounded(self.child.wait()).await.unwrap();
    }

    /// Waits until it ends by itself.
    pub(crate) async fn end(&mut self) -> ExitStatus {
        self.orders = None;
        bounded(self.child.wait()).await.unwrap()
    }

    /// A process that was waited for is gone, and its number may be another's.
    fn signal(&self, signal: Signal) {
        if self.child.id().is_some() {
            kill_process(self.pid, signal).unwrap();
        }
    }
}

/// How a child speaks to its parent.
#[expect(
    clippy::print_stdout,
    reason = "how a child process speaks to its parent"
)]
pub(crate) fn say(line: &str) {
    println!("{MARK}{line}");
}

/// What a child is told, until its parent has no more to say.
pub(crate) fn orders() -> impl Iterator<Item = String> {
    std::io::stdin().lines().map(Result::unwrap)
}

#[expect(
    clippy::disallowed_methods,
    reason = "how a test speaks to its own child process"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A number that whoever runs the tests may choose: more takes longer and finds more.
pub(crate) fn figure(name: &str, usual: u64) -> u64 {
    variable(name).map_or(usual, |number| number.parse().unwrap())
}
