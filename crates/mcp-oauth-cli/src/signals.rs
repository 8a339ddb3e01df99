//! The end of a command, by itself or by Ctrl-C, SIGTERM or SIGHUP. Work in progress is dropped, which
//! closes the listener of a login and stores nothing; a refresh that was sent is finished, because
//! dropping it would lose the login; and locks in a shared store are released.

use std::{future::Future, time::Duration};

use mcp_client_oauth::platform::{Clock as _, SystemClock};

use crate::error::{Exit, Failure};

/// The longest time to store a refresh that was sent, and to release a lease.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Runs `command` to its end, or to a signal, and then `settle`.
pub(crate) async fn run_until_signal(
    command: impl Future<Output = Result<Exit, Failure>>,
    settle: impl Future<Output = ()>,
) -> Result<Exit, Failure> {
    let outcome = {
        tokio::pin!(command);
        tokio::select! {
            // The result of a command that is done counts, even if a signal came as well.
            biased;
            outcome = &mut command => outcome,
            exit = signal() => Err(interrupted(exit)),
        }
    };
    let clock = SystemClock::default();
    // A command that failed or timed out may have left a refresh pending.
    let settle = async {
        tracing::debug!("waiting for pending refreshes and saves");
        settle.await;
    };
    tokio::select! {
        () = settle => {}
        () = clock.sleep(TIMEOUT) => {
            tracing::warn!("a refresh or a save did not finish in time; its login may be lost");
        }
        _again = signal() => {}
    }
    outcome
}

fn interrupted(exit: Exit) -> Failure {
    Failure::Other {
        code: "interrupted",
        message: "interrupted".to_owned(),
        hint: None,
        exit,
    }
}

#[cfg(unix)]
async fn signal() -> Exit {
    use tokio::signal::unix::SignalKind;
    tokio::select! {
        exit = interrupt() => exit,
        () = received(SignalKind::terminate()) => Exit::Terminated,
        // The terminal window was closed, or the SSH connection was lost.
        () = received(SignalKind::hangup()), if !is_hangup_ignored() => Exit::HungUp,
    }
}

/// Returns whether the process ignores SIGHUP, as `nohup` sets it: a handler would undo that. Only Linux
/// tells it without `unsafe`.
#[cfg(unix)]
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // SIGHUP is signal 1, the lowest bit.
    mask.is_some_and(|mask| mask & 1 == 1)
}

#[cfg(unix)]
async fn received(kind: tokio::signal::unix::SignalKind) {
    match tokio::signal::unix::signal(kind) {
        Ok(mut signals) => drop(signals.recv().await),
        // The default action of the signal still ends the process.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn signal() -> Exit {
    interrupt().await
}

async fn interrupt() -> Exit {
    match tokio::signal::ctrl_c().await {
        Ok(()) => Exit::Interrupted,
        // The default action of the system still ends the process.
        Err(_) => std::future::pending().await,
    }
}
