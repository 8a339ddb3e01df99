//! The end of a command, by itself or by Ctrl-C and SIGTERM: what was begun is dropped, which closes
//! the listener of a login and stores nothing; a refresh that was sent is finished, because dropping
//! it would lose the login; and what the command held in a shared store is let go.

use std::{future::Future, time::Duration};

use mcp_client_oauth::platform::{Clock as _, SystemClock};
use tokio::runtime::Handle;

use crate::exit::{Exit, Failure};

/// How long a refresh that was sent may take to be stored, and a lease to be let go.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often every other task gets its turn before that takes a timer.
const TURNS: usize = 32;
const GLANCE: Duration = Duration::from_millis(10);

/// Runs `command` to its end, or to a signal, and then `settle`.
pub(crate) async fn heeded(
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
    let rest = async {
        settle.await;
        // A command that has given up, or timed out, may have left a refresh behind as well.
        finished().await;
    };
    tokio::select! {
        () = rest => {}
        // For both together (H165).
        () = clock.sleep(PATIENCE) => {}
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
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return interrupt().await;
    };
    tokio::select! {
        exit = interrupt() => exit,
        _ = terminate.recv() => Exit::Terminated,
    }
}

#[cfg(not(unix))]
async fn signal() -> Exit {
    interrupt().await
}

async fn interrupt() -> Exit {
    match tokio::signal::ctrl_c().await {
        Ok(()) => Exit::Interrupted,
        // Then the system's own way to end us is still there.
        Err(_) => std::future::pending().await,
    }
}

/// Returns when no task is left, or when that takes too long. The tasks of connections end with
/// the command; the one that renews a token does not.
async fn finished() {
    let is_busy = || Handle::current().metrics().num_alive_tasks() > 0;
    // Most of them end as soon as it is their turn.
    for _ in 0..TURNS {
        if !is_busy() {
            return;
        }
        tokio::task::yield_now().await;
    }
    tracing::debug!("waiting for what was sent to be stored");
    let mut waited = Duration::ZERO;
    while is_busy() && waited < PATIENCE {
        SystemClock::default().sleep(GLANCE).await;
        waited += GLANCE;
    }
}
