//! Ctrl-C and SIGTERM: what was begun is dropped, which closes the listener of a login and stores
//! nothing; a refresh that was sent is finished, because dropping it would lose the login.

use std::{future::Future, time::Duration};

use mcp_client_oauth::platform::{Clock as _, SystemClock};
use tokio::runtime::Handle;

use crate::{
    exit::{Exit, Failure},
    ui::Ui,
};

/// How long a refresh that was sent may take to be stored.
const PATIENCE: Duration = Duration::from_secs(2);
const GLANCE: Duration = Duration::from_millis(10);

/// Runs `command` to its end, or to a signal.
pub(crate) async fn heeded(
    ui: &Ui,
    command: impl Future<Output = Result<Exit, Failure>>,
) -> Result<Exit, Failure> {
    let exit = {
        tokio::pin!(command);
        tokio::select! {
            // The result of a command that is done counts, even if a signal came as well.
            biased;
            outcome = &mut command => return outcome,
            exit = signal() => exit,
        }
    };
    ui.progress("interrupted");
    tokio::select! {
        () = finished() => {}
        _again = signal() => {}
    }
    Ok(exit)
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
    let mut waited = Duration::ZERO;
    while Handle::current().metrics().num_alive_tasks() > 0 && waited < PATIENCE {
        SystemClock::default().sleep(GLANCE).await;
        waited += GLANCE;
    }
}
