//! Tokens in other HTTP stacks: where they are sent, and what happens when they are rejected.

use mcp_client_oauth::{
    Session,
    platform::{Clock as _, SystemClock},
};
use mcp_oauth_testbed::{DpopPolicy, Fault, Peer, Testbed};

use crate::support::Fixture;

mod header;
mod reqwest_middleware;
mod rmcp_credentials;
mod tower;
mod websocket;

const NOTES: &str = "/mcp/notes";

async fn logged_in() -> (Fixture, Session) {
    let fixture = Fixture::start().await;
    let session = fixture.login().await.unwrap();
    (fixture, session)
}

/// Logs in with DPoP-bound tokens at servers that require nonces.
async fn logged_in_with_dpop() -> (Fixture, Session) {
    let builder = Testbed::builder()
        .dpop(DpopPolicy::Required)
        .dpop_nonces_at(Peer::Mcp);
    let fixture = Fixture::with(builder).await;
    // A proof contains the time at which it was made (RFC 9449 §4.2).
    fixture.clock.set(SystemClock::default().now());
    let session = fixture.login().await.unwrap();
    (fixture, session)
}

fn url(fixture: &Fixture, path: &str) -> String {
    fixture.server.as_url().join(path).unwrap().to_string()
}

/// Returns the number of requests, with or without a token.
fn count_requests(fixture: &Fixture, method: &str, path: &str) -> usize {
    fixture.testbed.count(Peer::Mcp, method, path)
}

/// Logs in with a token source that can start another login.
async fn interactive(fixture: &Fixture) -> Session {
    let login = fixture.client().login(&fixture.server);
    login.on_demand().await.unwrap()
}

/// Returns a URL of another server.
fn third_party_url(fixture: &Fixture) -> String {
    format!("{}{NOTES}", fixture.testbed.issuer())
}

fn reject_every_token(fixture: &Fixture) {
    fixture.testbed.set_fault(Fault::RejectsEveryToken);
}
