//! Logout: the tokens are revoked, and the server rejects them.

use http::{Method, header};
use mcp_client_oauth::{
    Error, RevocationOutcome, Session,
    error::TokenRefreshError,
    flow::{AccessToken, refresh},
    platform::{AddressSpace, Request},
};

use super::context::DemoContext;
use crate::{context::record, error::Failure};

pub(super) async fn log_out(demo: &mut DemoContext, session: &Session) -> Result<(), Failure> {
    demo.step("Logout: revoke the tokens");
    let token = session.refresh().await?;
    let before = record(session)?;
    demo.check(
        "a fresh token is accepted",
        status(demo, &token).await? == 200,
    )?;
    let outcome = demo.client.logout(&demo.server).await?;
    let (revoked, detail) = match &outcome.remote {
        RevocationOutcome::Revoked => (true, "revoked".to_owned()),
        RevocationOutcome::Failed(error) => (false, error.to_string()),
        other => (false, format!("{other:?}")),
    };
    demo.show("revocation", detail);
    demo.check("the server has revoked the tokens (RFC 7009)", revoked)?;
    let refused = status(demo, &token).await? == 401;
    let now = demo.platform().clock.now();
    let in_time = before.tokens.expires_at.is_none_or(|end| now < end);
    demo.check(
        "the access token is rejected now, before it expires",
        refused && in_time,
    )?;
    let dead = match refresh(demo.platform(), &before).await {
        Err(TokenRefreshError::Response { cause, .. }) => cause.has_code("invalid_grant"),
        _ => false,
    };
    demo.check("the refresh token is rejected too", dead)?;
    let gone = demo.stored().await?.is_none() && outcome.removed;
    demo.check("the record is gone from the store", gone)
}

/// Returns the status of `GET /mcp/notes` with this token.
async fn status(demo: &DemoContext, token: &AccessToken) -> Result<u16, Failure> {
    let mut url = demo.server.as_url().clone();
    url.set_path("/mcp/notes");
    let mut request = Request::new(Method::GET, url, AddressSpace::Loopback);
    request
        .headers
        .insert(header::AUTHORIZATION, token.header());
    let response = demo
        .platform()
        .http
        .send(request)
        .await
        .map_err(Error::from)?;
    Ok(response.status.as_u16())
}
