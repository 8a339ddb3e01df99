//! An expired token, and one that the server revoked: each is refreshed once.

use std::time::{Duration, SystemTime};

use mcp_client_oauth::{Session, flow::AccessToken};

use super::{context::DemoContext, login::connect};
use crate::{
    context::record,
    error::Failure,
    mcp_connection::Connection,
    status::{Status, words},
};

/// The number of tasks that request a token at the same moment.
const CALLERS: usize = 20;
/// The time added to the lifetime of the token, so that it has certainly expired.
const GRACE: Duration = Duration::from_millis(100);

/// Waits until the token has expired; then many callers cause one refresh.
pub(super) async fn of_an_expired_token(
    demo: &mut DemoContext,
    session: &Session,
) -> Result<(), Failure> {
    demo.step("Expiry: the token expires and is refreshed");
    let old = record(session)?.tokens;
    let connection = connect(demo, session).await?;
    wait_for_the_end(demo, old.expires_at).await;
    let now = demo.platform().clock.now();
    demo.show("status", Status::of(&record(session)?, now).words());
    let before = demo.testbed.token_requests("refresh_token");
    let tokens = many_callers(session).await?;
    connection.tools().await?;
    connection.close().await;
    let refreshes = demo.testbed.token_requests("refresh_token") - before;
    let new = record(session)?.tokens;
    demo.show("callers", CALLERS);
    demo.show("refreshes", refreshes);
    demo.show("access token", new.access_token.redacted());
    let agree = tokens.iter().all(|token| *token == tokens[0]) && tokens.len() == CALLERS;
    demo.check(
        "20 callers with an expired token caused one refresh, and got the same new token",
        agree && refreshes == 1 && new.access_token != old.access_token,
    )?;
    demo.check(
        "the refresh token was rotated",
        new.refresh_token != old.refresh_token,
    )?;
    let stored = demo.has_stored(&new).await?;
    demo.check("the new tokens are in the store", stored)
}

async fn wait_for_the_end(demo: &DemoContext, end: Option<SystemTime>) {
    let now = demo.platform().clock.now();
    let left = end
        .and_then(|end| end.duration_since(now).ok())
        .unwrap_or_default()
        + GRACE;
    let text = format!("waiting {} until the token has expired", words(left));
    if !demo.ui.is_terminal() {
        demo.show(
            "waiting",
            format_args!("{} until the token has expired", words(left)),
        );
    }
    let spinner = demo.ui.spinner(text);
    demo.platform().clock.sleep(left).await;
    drop(spinner);
}

async fn many_callers(session: &Session) -> Result<Vec<AccessToken>, Failure> {
    let tasks = (0..CALLERS).map(|_| {
        let session = session.clone();
        tokio::spawn(async move { session.token().await })
    });
    let tasks: Vec<_> = tasks.collect();
    let mut tokens = Vec::new();
    for task in tasks {
        let outcome = task.await;
        tokens.push(outcome.map_err(|died| Failure::other("demo", died.to_string(), None))??);
    }
    Ok(tokens)
}

/// The server revokes the access token; the next call is rejected, the token is refreshed, and the call is
/// sent again.
pub(super) async fn of_a_refused_token(
    demo: &mut DemoContext,
    session: &Session,
) -> Result<(), Failure> {
    demo.step("Rejection: the server revokes the token before it expires");
    let connection = connect(demo, session).await?;
    // A new token, so that the client has no other reason to refresh it.
    let old = session.refresh().await?;
    demo.testbed.revoke_access_tokens();
    demo.testbed.clear_requests();
    let response = call(&connection).await;
    connection.close().await;
    response?;
    let refused = refusals(demo, &old);
    let refreshes = demo.testbed.token_requests("refresh_token");
    demo.show("responses 401", refused);
    demo.show("refreshes", refreshes);
    let new = session.token().await?;
    demo.check("the server rejected the revoked token", refused >= 1)?;
    demo.check(
        "a rejected token was replaced by one refresh, and the call was sent again",
        refreshes == 1 && new != old,
    )
}

/// Returns the number of 401 responses to `token`.
fn refusals(demo: &DemoContext, token: &AccessToken) -> usize {
    let sent = format!("Bearer {}", token.expose());
    let requests = demo.testbed.requests();
    let refused = requests.iter().filter(|request| {
        request.status == 401 && request.header("authorization") == Some(sent.as_str())
    });
    refused.count()
}

async fn call(connection: &Connection) -> Result<(), Failure> {
    connection
        .call("list_notes", rmcp::model::JsonObject::new())
        .await
        .map(drop)
}
