//! A token that has expired, and one that the server no longer takes: both are renewed, once.

use std::time::Duration;

use mcp_client_oauth::{Session, TokenSource as _, proto::token::AccessToken};

use super::{context::DemoContext, login::connect};
use crate::{
    error::Failure,
    mcp_connection::Connection,
    status::{Status, words},
};

/// Says how many tasks want a token at the same moment.
const CALLERS: usize = 20;
/// A little more than the life of the token, so that nobody can say it was still good.
const GRACE: Duration = Duration::from_millis(100);

/// Waits until the token has expired; then many callers cause one refresh.
pub(super) async fn of_an_expired_token(
    stage: &mut DemoContext,
    session: &Session,
) -> Result<(), Failure> {
    stage.step("Expiry: the token ends, and is renewed");
    let old = session.record().tokens;
    let connection = connect(stage, session).await?;
    wait_for_the_end(stage, session).await;
    let now = stage.platform.clock.now();
    stage.show("status", Status::of(&session.record(), now).words());
    let before = stage.testbed.token_requests("refresh_token");
    let tokens = many_callers(session).await?;
    connection.tools().await?;
    connection.close().await;
    let refreshes = stage.testbed.token_requests("refresh_token") - before;
    let new = session.record().tokens;
    stage.show("callers", CALLERS);
    stage.show("refreshes", refreshes);
    stage.show("access token", new.access_token.redacted());
    let agree = tokens.iter().all(|token| *token == tokens[0]) && tokens.len() == CALLERS;
    stage.prove(
        "20 callers with an expired token caused one refresh, and got the same new token",
        agree && refreshes == 1 && new.access_token != old.access_token,
    )?;
    stage.prove(
        "the refresh token was rotated",
        new.refresh_token != old.refresh_token,
    )?;
    let stored = stage.has_stored(&new).await?;
    stage.prove("the new tokens are in the store", stored)
}

async fn wait_for_the_end(stage: &DemoContext, session: &Session) {
    let end = session.record().tokens.expires_at;
    let now = stage.platform.clock.now();
    let left = end
        .and_then(|end| end.duration_since(now).ok())
        .unwrap_or_default()
        + GRACE;
    let text = format!("waiting {} until the token has expired", words(left));
    if !stage.ui.is_terminal() {
        stage.show(
            "waiting",
            format_args!("{} until the token has expired", words(left)),
        );
    }
    let spinner = stage.ui.spinner(text);
    stage.platform.clock.sleep(left).await;
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

/// The server forgets the access token; the next call is refused, renewed and sent again.
pub(super) async fn of_a_refused_token(
    stage: &mut DemoContext,
    session: &Session,
) -> Result<(), Failure> {
    stage.step("Refusal: the server revokes the token before its time");
    let connection = connect(stage, session).await?;
    // New at this moment, so that the client has no reason of its own to renew it.
    let old = session.refresh().await?;
    stage.testbed.revoke_access_tokens();
    stage.testbed.forget_requests();
    let response = call(&connection).await;
    connection.close().await;
    response?;
    let refused = refusals(stage, &old);
    let refreshes = stage.testbed.token_requests("refresh_token");
    stage.show("answers 401", refused);
    stage.show("refreshes", refreshes);
    let new = session.token().await?;
    stage.prove("the server refused the revoked token", refused >= 1)?;
    stage.prove(
        "a refused token was healed by one refresh, and the call was sent again",
        refreshes == 1 && new != old,
    )
}

/// Returns how often `token` was answered with 401.
fn refusals(stage: &DemoContext, token: &AccessToken) -> usize {
    let sent = format!("Bearer {}", token.expose());
    let requests = stage.testbed.requests();
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
