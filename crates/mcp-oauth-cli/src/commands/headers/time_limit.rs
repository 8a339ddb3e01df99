//! The time that the command may take. Claude Code and Codex kill it after ten seconds, and then show
//! nothing of what it says.

use std::{
    future::Future,
    pin::Pin,
    process,
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

use crate::{
    error::{Exit, Failure},
    ui::Ui,
};

/// The time for the work. After it, a store may need two seconds to release its locks.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// The time after which the process ends, whatever it waits for.
const LAST: Duration = Duration::from_secs(7);

/// The end of the time that a command may take.
pub(super) type Deadline<'a> = Pin<&'a mut (dyn Future<Output = ()> + Send)>;

/// Ends the process if this value lives too long: a prompt of the keychain, or a password file that is a
/// pipe, may block the thread that a timer would need. This process holds no token that is not stored.
#[derive(Debug)]
#[must_use = "the limit ends when it is dropped"]
pub(super) struct TimeLimit(#[expect(dead_code, reason = "dropping it ends the limit")] Sender<()>);

impl TimeLimit {
    pub(super) fn start(ui: Ui) -> Self {
        let (sender, ended) = mpsc::channel();
        thread::spawn(move || {
            if ended.recv_timeout(LAST) == Err(RecvTimeoutError::Timeout) {
                let rendered = exceeded().render(None);
                ui.failure(&rendered);
                process::exit(rendered.exit as i32);
            }
        });
        Self(sender)
    }
}

/// Returns the failure of a command that took too long before it had a token.
pub(super) fn exceeded() -> Failure {
    Failure::Other {
        code: "timed_out",
        message: format!("no token within {} s", TIMEOUT.as_secs()),
        hint: Some(
            "unlock the token store if it waits for that, as a keychain does; then try again"
                .to_owned(),
        ),
        exit: Exit::Later,
    }
}

/// Does `work` until the deadline.
pub(super) async fn within<T>(
    deadline: Deadline<'_>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        outcome = work => outcome,
        () = deadline => Err(exceeded()),
    }
}
