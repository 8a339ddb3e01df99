//! `headers`: the request headers with the token, as one JSON object. Applications run it each time they
//! connect, and wait about ten seconds.
//!
//! It refreshes nothing itself: an application that stops waiting would kill a refresh that was sent, and
//! with rotation that loses the login (RFC 9700 §4.14.2). A refresh and a login run in a process of their
//! own, [`renew`](mod@renew), which goes on when this one ends.

use serde_json::json;

use crate::{
    args::Token,
    context::{Context, Target, login_required},
    error::{Exit, Failure},
    shell::quoted,
};

mod login_needed;
mod notes;
mod process;
mod renew;
mod report;
mod stored_token;
mod time_limit;
mod token_check;

use login_needed::can_log_in;
use notes::Notes;
use stored_token::{Freshness, StoredToken};
use time_limit::{Deadline, TimeLimit, within};

pub(super) use renew::renew;

pub(super) async fn run(context: &Context, typed: &Token) -> Result<Exit, Failure> {
    let target = context.target(&typed.target)?;
    // A token on a screen is also in its scroll-back, and in every recording of it.
    if context.ui.is_terminal() && !typed.show {
        return Err(Failure::usage(
            "a token is printed on a terminal only with --show",
            format!("mcp-oauth headers {} --show", quoted(&target.typed)),
        ));
    }
    let _limit = TimeLimit::start(context.ui.clone());
    let mut deadline = context.platform.clock.sleep(time_limit::TIMEOUT);
    let notes = Notes::of(context, &target.key);
    let token = usable(context, &target, &notes, deadline.as_mut()).await?;
    notes.note_handed_out(token.id, context.platform.clock.now());
    let document = json!({ "Authorization": token.header.expose() });
    context.ui.result(&document, || document.to_string());
    Ok(Exit::Done)
}

/// Returns a token to hand out.
async fn usable(
    context: &Context,
    target: &Target,
    notes: &Notes,
    mut deadline: Deadline<'_>,
) -> Result<StoredToken, Failure> {
    let stored = within(deadline.as_mut(), StoredToken::load(context, target)).await?;
    let Some(token) = stored else {
        return log_in(context, target, deadline).await;
    };
    let now = context.platform.clock.now();
    // No application says whether the server has refused the token. One that asks again soon may have got a
    // 401, or has two windows: only a request tells.
    let is_rejected = notes.was_handed_out(token.id, now)
        && tokio::select! {
            is_rejected = token_check::is_rejected(context, target, &token) => is_rejected,
            () = deadline.as_mut() => false,
        };
    let needs_renewal = token.needs_renewal(now);
    if !is_rejected && !needs_renewal {
        return Ok(token);
    }
    let revision = is_rejected.then_some(token.id.revision);
    match process::run(context, target, revision, deadline.as_mut()).await {
        Ok(()) => renewed(context, target).await,
        // The old token works until it expires.
        Err(failure)
            if !is_rejected
                && token.freshness(now) < Freshness::Expired
                && process::is_temporary(&failure) =>
        {
            Ok(token)
        }
        Err(failure) => Err(failure),
    }
}

/// Begins a login where one can be completed without a terminal, and waits for it as long as there is time.
async fn log_in(
    context: &Context,
    target: &Target,
    mut deadline: Deadline<'_>,
) -> Result<StoredToken, Failure> {
    if !can_log_in(context, target) {
        return Err(login_required(&target.key).into());
    }
    // Here, where the user may see the warning of a store with a weaker key.
    within(deadline.as_mut(), context.ready_store()).await?;
    process::run(context, target, None, deadline).await?;
    renewed(context, target).await
}

/// Returns the token that the other process has stored.
async fn renewed(context: &Context, target: &Target) -> Result<StoredToken, Failure> {
    let stored = StoredToken::load(context, target).await?;
    stored.ok_or_else(|| login_required(&target.key).into())
}
