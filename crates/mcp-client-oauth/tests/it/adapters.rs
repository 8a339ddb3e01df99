//! Tokens in the HTTP of other stacks: where they go, and what happens when they are refused.

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

/// TargetArgs tokens are bound to a key, at servers that want nonces.
async fn bound() -> (Fixture, Arc<Session>) {
    let builder = Testbed::builder()
        .dpop(DpopPolicy::Required)
        .dpop_nonces_at(Peer::Mcp);
    let fixture = Fixture::with(builder).await;
    // A proof has the time of its making in it.
    fixture.clock.set(SystemClock::default().now());
    let session = fixture.login().await.unwrap();
    (fixture, Arc::new(session))
}

fn url(fixture: &Fixture, path: &str) -> String {
    fixture.server.as_url().join(path).unwrap().to_string()
}

/// How many requests there were, with a token or not.
fn seen(fixture: &Fixture, method: &str, path: &str) -> usize {
    fixture.testbed.count(Peer::Mcp, method, path)
}

/// A person who may be asked again.
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

/// What lies elsewhere, and not at this server.
fn foreign(fixture: &Fixture) -> String {
    format!("{}{NOTES}", fixture.testbed.issuer())
}

fn refuse_every_token(fixture: &Fixture) {
    fixture.testbed.set_fault(Fault::RefusesEveryToken);
}
