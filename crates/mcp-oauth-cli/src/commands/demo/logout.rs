//! Logout: the tokens are given back, and really do not work any more.

use http::{Method, header};
use mcp_client_oauth::{
    RevocationOutcome, Session,
    error::{Error, TokenRefreshError},
    logout,
    platform::{AddressSpace, Request},
    proto::token::AccessToken,
    refresh,
};

use super::context::DemoContext;
use crate::error::Failure;

pub(super) async fn log_out(stage: &mut DemoContext, session: &Session) -> Result<(), Failure> {
    stage.step("Logout: the tokens are given back");
    let token = session.refresh().await?;
    let before = session.record();
    stage.prove(
        "a fresh token is accepted",
        status(stage, &token).await? == 200,
    )?;
    let outcome = logout(&stage.platform, &stage.store, &stage.key()).await?;
    let (revoked, detail) = match &outcome.remote {
        RevocationOutcome::Revoked => (true, "revoked".to_owned()),
        RevocationOutcome::Failed(error) => (false, error.to_string()),
        other => (false, format!("{other:?}")),
    };
    stage.show("server says", detail);
    stage.prove("the server has revoked the tokens (RFC 7009)", revoked)?;
    let refused = status(stage, &token).await? == 401;
    let in_time = !before
        .tokens
        .is_expired(stage.platform.clock.now(), std::time::Duration::ZERO);
    stage.prove(
        "the token is refused now, before its time",
        refused && in_time,
    )?;
    let dead = match refresh(&stage.platform, &before).await {
        Err(TokenRefreshError::Answer { cause, .. }) => cause.is("invalid_grant"),
        _ => false,
    };
    stage.prove("the refresh token is dead too", dead)?;
    let gone = stage.store.load(&stage.key()).await?.is_none() && outcome.forgotten;
    stage.prove("the record is gone from the store", gone)
}

/// Returns what the MCP server answers to `GET /mcp/notes` with that token.
async fn status(stage: &DemoContext, token: &AccessToken) -> Result<u16, Failure> {
    let mut url = stage.server.as_url().clone();
    url.set_path("/mcp/notes");
    let mut request = Request::new(Method::GET, url, AddressSpace::Loopback);
    request
        .headers
        .insert(header::AUTHORIZATION, token.header());
    let response = stage
        .platform
        .http
        .send(request)
        .await
        .map_err(Error::from)?;
    Ok(response.status.as_u16())
}
