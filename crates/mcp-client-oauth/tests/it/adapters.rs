//! Tokens in other HTTP stacks: where they are sent, and what happens when they are rejected.

use std::sync::Arc;

use mcp_client_oauth::{
    LoginOptions, Session, TokenSource,
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

async fn logged_in() -> (Fixture, Arc<Session>) {
    let fixture = Fixture::start().await;
    let session = fixture.login().await.unwrap();
    (fixture, Arc::new(session))
}

/// Logs in with DPoP-bound tokens at servers that require nonces.
async fn logged_in_with_dpop() -> (Fixture, Arc<Session>) {
    let builder = Testbed::builder()
        .dpop(DpopPolicy::Required)
        .dpop_nonces_at(Peer::Mcp);
    let fixture = Fixture::with(builder).await;
    // A proof contains the time at which it was made (RFC 9449 §4.2).
    fixture.clock.set(SystemClock::default().now());
    let session = fixture.login().await.unwrap();
    (fixture, Arc::new(session))
}

fn url(fixture: &Fixture, path: &str) -> String {
    fixture.server.as_url().join(path).unwrap().to_string()
}

/// Returns the number of requests, with or without a token.
fn count_requests(fixture: &Fixture, method: &str, path: &str) -> usize {
    fixture.testbed.count(Peer::Mcp, method, path)
}

/// Logs in with a token source that can start another login.
async fn interactive(fixture: &Fixture) -> Arc<dyn TokenSource> {
    let (platform, store) = (fixture.platform.clone(), fixture.store.clone());
    let opened = mcp_client_oauth::InteractiveSession::open(
        platform,
        store,
        fixture.server.clone(),
        LoginOptions::default(),
    );
    Arc::new(opened.await.unwrap())
}

/// Returns a URL of another server.
fn third_party_url(fixture: &Fixture) -> String {
    format!("{}{NOTES}", fixture.testbed.issuer())
}

fn reject_every_token(fixture: &Fixture) {
    fixture.testbed.set_fault(Fault::RejectsEveryToken);
}
