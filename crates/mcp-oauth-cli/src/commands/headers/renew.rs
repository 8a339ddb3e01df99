//! `renew`: the process in the background. It refreshes the token, or logs in, and goes on when the command
//! that has started it has ended.

use std::{future::IntoFuture as _, sync::Arc, time::Duration};

use async_trait::async_trait;
use mcp_client_oauth::{
    Remedy, TokenStore,
    flow::Scope,
    platform::{DevicePrompt, Interaction},
};
use mcp_oauth_proxy::{LoginFiles, LoginLock};
use tokio::sync::Notify;
use url::Url;

use super::{
    login_needed::{can_log_in, is_login_required, login_pending},
    notes::Notes,
    report::Report,
};
use crate::{
    args::{Login, Renew},
    context::{Context, Target, login_required},
    error::{Exit, Failure},
    login_flow::{options, resolve},
    login_options::LoginOptions,
    terminal::launch,
    ui::Ui,
};

/// The poll interval for the login of another process.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The time to wait for the login of another process: the command that waits has ended by then.
const OTHER_LOGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The result of a refresh.
enum Refreshed {
    Done,
    /// The user has to log in, for this reason.
    LoginNeeded(Failure),
}

pub(in crate::commands) async fn renew(context: &Context, typed: &Renew) -> Result<Exit, Failure> {
    detach();
    let (report, exit) = match token(context, typed).await {
        Ok(()) => (Report::Renewed, Exit::Done),
        Err(failure) => {
            let rendered = failure.render(Some(&context.known_subject()));
            let exit = rendered.exit;
            (rendered.into(), exit)
        }
    };
    send(&context.ui, &report);
    Ok(exit)
}

/// Makes this process independent of the terminal and of the process group of its parent, which the
/// application may kill.
fn detach() {
    // It fails only for the leader of a group, as in a shell.
    #[cfg(unix)]
    let _ = rustix::process::setsid();
}

fn send(ui: &Ui, report: &Report) {
    match serde_json::to_string(report) {
        Ok(line) => ui.line(&line),
        Err(error) => tracing::debug!(%error, "cannot write a report"),
    }
}

/// Gets a valid token into the store.
async fn token(context: &Context, typed: &Renew) -> Result<(), Failure> {
    let target = context.target(&typed.target)?;
    let store = context.ready_store().await?;
    let before = revision(&store, &target).await?;
    match refresh(context, &target, &store, typed.rejected).await? {
        Refreshed::Done => Ok(()),
        Refreshed::LoginNeeded(reason) if !can_log_in(context, &target) => Err(reason),
        Refreshed::LoginNeeded(_) => log_in(context, typed, &target, &store, before).await,
    }
}

async fn revision(store: &TokenStore, target: &Target) -> Result<Option<u64>, Failure> {
    let stored = store.load(&target.key).await?;
    Ok(stored.map(|(_, revision)| revision.number()))
}

/// Refreshes the token, unless another process has done that since the command read it.
async fn refresh(
    context: &Context,
    target: &Target,
    store: &TokenStore,
    rejected: Option<u64>,
) -> Result<Refreshed, Failure> {
    let session = match context.session(target).await {
        Ok(session) => session,
        Err(failure) if is_login_required(&failure) => {
            return Ok(Refreshed::LoginNeeded(failure));
        }
        Err(failure) => return Err(failure),
    };
    let used = session.record();
    let stored = store.load(&target.key).await?;
    let is_rejected = match (&used, stored) {
        (Some(used), Some((record, revision))) => {
            rejected == Some(revision.number())
                && used.tokens.access_token == record.tokens.access_token
        }
        _ => false,
    };
    let is_expired = used.as_ref().is_some_and(|record| {
        let end = record.tokens.expires_at;
        end.is_some_and(|end| end <= context.platform.clock.now())
    });
    if !used.is_some_and(|record| record.is_refreshable()) {
        return Ok(if is_rejected || is_expired {
            Refreshed::LoginNeeded(login_required(&target.key).into())
        } else {
            Refreshed::Done
        });
    }
    let refreshed = if is_rejected {
        session.refresh().await
    } else {
        session.token_with_margin().await
    };
    match refreshed {
        Ok(_) => Ok(Refreshed::Done),
        Err(error) if error.remedy() == Remedy::LogIn => Ok(Refreshed::LoginNeeded(error.into())),
        Err(error) => Err(error.into()),
    }
}

/// Logs in, if no other process does. `before` is the revision with a token that is of no use any more.
async fn log_in(
    context: &Context,
    typed: &Renew,
    target: &Target,
    store: &TokenStore,
    before: Option<u64>,
) -> Result<(), Failure> {
    let notes = Notes::of(context, &target.key);
    let Some(_lock) = lock(&notes) else {
        send(&context.ui, &Report::LoginElsewhere);
        return wait_for_other_login(context, target, store, before).await;
    };
    // Another process may have logged in, or failed to, before this one had the lock.
    let after = revision(store, target).await?;
    if after.is_some() && after != before {
        return Ok(());
    }
    if let Some(message) = notes.failed_login(context.platform.clock.now()) {
        return Err(Failure::Other {
            code: "login_failed",
            message: format!(
                "not logged in to {}: the last login failed: {message}",
                target.typed
            ),
            hint: Some(context.login_command()),
            exit: Exit::LogIn,
        });
    }
    let login = Login::at(&typed.target.server, typed.target.account.as_deref());
    let (_, server) = resolve(&login, &context.servers()?)?;
    let options = options(context, &login, server, store).await?;
    let outcome = authorize(context, target, store, &options, before).await;
    match &outcome {
        Ok(()) => notes.remove_failed_login(),
        Err(Failure::Library(error)) if error.remedy() != Remedy::Retry => {
            notes.note_failed_login(error.to_string(), context.platform.clock.now());
        }
        Err(_) => {}
    }
    outcome
}

/// Takes the lock of the login, which proxies take too. Where no file can be locked, each process logs in.
fn lock(notes: &Notes) -> Option<LoginLock> {
    let lock = notes.0.as_ref().map(LoginFiles::try_lock);
    match lock.unwrap_or(LoginLock::Unavailable) {
        LoginLock::Held => None,
        lock => Some(lock),
    }
}

/// Runs the login until it ends, the user logs in by another command, or no browser opens.
async fn authorize(
    context: &Context,
    target: &Target,
    store: &TokenStore,
    options: &LoginOptions,
    before: Option<u64>,
) -> Result<(), Failure> {
    let browser = Arc::new(BackgroundBrowser {
        ui: context.ui.clone(),
        failed: Notify::new(),
    });
    let client = context.client(store.clone());
    let client = client.with_interaction(browser.clone());
    let mut login = options.login(&client).reauthenticate();
    let known = store.load(&target.key).await?;
    let known = known.and_then(|(record, _)| record.known_scope());
    if let Some(scope) = Scope::union_of(options.server.scope.as_ref(), known.as_ref()) {
        login = login.scope(scope);
    }
    tokio::select! {
        session = login.into_future() => {
            session?;
            Ok(())
        }
        found = poll(context, target, store, before) => found,
        () = browser.failed.notified() => Err(no_browser(context, target)),
    }
}

/// Waits a short time for the login of another process.
async fn wait_for_other_login(
    context: &Context,
    target: &Target,
    store: &TokenStore,
    before: Option<u64>,
) -> Result<(), Failure> {
    tokio::select! {
        found = poll(context, target, store, before) => found,
        () = context.platform.clock.sleep(OTHER_LOGIN_TIMEOUT) => Err(login_pending(context, target)),
    }
}

/// Returns when the store has another login than before.
async fn poll(
    context: &Context,
    target: &Target,
    store: &TokenStore,
    before: Option<u64>,
) -> Result<(), Failure> {
    loop {
        context.platform.clock.sleep(POLL_INTERVAL).await;
        let now = revision(store, target).await?;
        if now.is_some() && now != before {
            return Ok(());
        }
    }
}

fn no_browser(context: &Context, target: &Target) -> Failure {
    Failure::Other {
        code: "no_browser",
        message: format!(
            "not logged in to {}, and no browser can be opened",
            target.typed
        ),
        hint: Some(context.login_command()),
        exit: Exit::LogIn,
    }
}

/// The browser of a process without a terminal.
struct BackgroundBrowser {
    ui: Ui,
    /// Is notified if no browser was opened.
    failed: Notify,
}

#[async_trait]
impl Interaction for BackgroundBrowser {
    async fn open(&self, url: &Url) {
        // First: a browser may run in the foreground until it is closed.
        send(&self.ui, &Report::LoginOpened);
        if !launch(url).await {
            self.failed.notify_one();
        }
    }

    async fn show_code(&self, _: &DevicePrompt) {
        self.failed.notify_one();
    }
}
