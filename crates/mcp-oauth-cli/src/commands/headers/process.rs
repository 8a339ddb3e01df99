//! The process in the background: started, and waited for as long as there is time.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    thread,
};

use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::{
    login_needed::login_pending,
    report::{self, Report},
    time_limit::Deadline,
};
use crate::{
    context::{Context, Target},
    error::{Exit, Failure},
};

/// Lets a process in the background renew the token, and waits until it is stored. `rejected` is the
/// revision of a token that the server refuses.
pub(super) async fn run(
    context: &Context,
    target: &Target,
    rejected: Option<u64>,
    mut deadline: Deadline<'_>,
) -> Result<(), Failure> {
    let mut reports = start(context, rejected)?;
    let mut is_login = false;
    loop {
        let report = tokio::select! {
            report = reports.recv() => report,
            () = deadline.as_mut() => break,
        };
        match report {
            Some(Report::LoginOpened) => {
                is_login = true;
                let name = &target.typed;
                let text = format_args!("not logged in to {name}: opening the browser");
                context.ui.progress(text);
            }
            Some(Report::LoginElsewhere) => is_login = true,
            Some(Report::Renewed) => return Ok(()),
            Some(Report::Failed {
                exit,
                code,
                message,
                hint,
            }) => return Err(report::failure(exit, code, message, hint)),
            None => {
                let message = "the process that renews the token has ended early";
                return Err(Failure::other("renew", message, None));
            }
        }
    }
    Err(if is_login {
        login_pending(context, target)
    } else {
        unfinished(target)
    })
}

/// Returns whether the same command may work later, without the user.
pub(super) fn is_temporary(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Other {
            exit: Exit::Later,
            ..
        }
    )
}

fn unfinished(target: &Target) -> Failure {
    let name = &target.typed;
    Failure::Other {
        code: "timed_out",
        message: format!("no new token for {name} yet: the refresh goes on in the background"),
        hint: Some("try the same command again in a few seconds".to_owned()),
        exit: Exit::Later,
    }
}

/// Starts the process with the options of this one. Its streams are not those of this process: an
/// application waits until all of them are closed.
fn start(context: &Context, rejected: Option<u64>) -> Result<UnboundedReceiver<Report>, Failure> {
    let cannot_start = |error: &dyn std::fmt::Display| {
        let message = format!("cannot start the process that renews the token: {error}");
        Failure::other("renew", message, None)
    };
    if let Some(flag) = context.config.forwarded.lost.first() {
        return Err(Failure::usage(
            format!("cannot pass on the value of {flag}: it is not UTF-8"),
            "rename the file or directory",
        ));
    }
    let own = std::env::current_exe().map_err(|error| cannot_start(&error))?;
    let mut command = Command::new(own);
    command
        .args(context.subject.arguments("renew"))
        .args(rejected.map(|revision| format!("--rejected={revision}")))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    without_console(&mut command);
    let mut child = command.spawn().map_err(|error| cannot_start(&error))?;
    let (sender, reports) = mpsc::unbounded_channel();
    let lines = child.stdout.take().map(BufReader::new);
    // The thread ends with the other process, or with this one.
    thread::spawn(move || {
        let lines = lines.into_iter().flat_map(BufRead::lines);
        for report in lines
            .map_while(Result::ok)
            .filter_map(|line| serde_json::from_str(&line).ok())
        {
            if sender.send(report).is_err() {
                break;
            }
        }
    });
    Ok(reports)
}

/// Gives the process no console: its window would open, and closing it would end the process.
#[cfg(windows)]
fn without_console(command: &mut Command) {
    use std::os::windows::process::CommandExt as _;
    const CREATE_NEW_PROCESS_GROUP: u32 = 0x0200;
    const CREATE_NO_WINDOW: u32 = 0x0800_0000;
    command.creation_flags(CREATE_NEW_PROCESS_GROUP | CREATE_NO_WINDOW);
}

/// Does nothing: the process leaves the terminal itself.
#[cfg(not(windows))]
fn without_console(_: &mut Command) {}
