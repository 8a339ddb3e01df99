//! The adapters over loopback HTTP: where tokens are sent, and what happens when they are rejected.

#![allow(
    clippy::duplicate_mod,
    clippy::unwrap_used,
    reason = "each example has the user of the examples; a test may panic"
)]

use std::future::IntoFuture as _;

use async_trait::async_trait;
use mcp_client_oauth::{Client, ServerUrl, Session, TokenStore, platform::Interaction};
use mcp_oauth_testbed::{Builder, DpopPolicy, Fault, Peer, RecordedRequest, Testbed, test_user};
use test_support::wait::bounded;
use url::Url;

mod examples;
mod reqwest_middleware;
mod rmcp_credentials;
mod tower;
mod websocket;

const NOTES: &str = "/mcp/notes";

/// A user who approves each login.
struct Approves;

#[async_trait]
impl Interaction for Approves {
    async fn open(&self, url: &Url) {
        test_user::approve(url).await.unwrap();
    }
}

/// A testbed, and what a login with it needs.
struct Fixture {
    testbed: Testbed,
    server: ServerUrl,
    client: Client,
}

impl Fixture {
    async fn start(builder: Builder) -> Self {
        let testbed = builder.start().await.unwrap();
        let client = Client::builder()
            .store(TokenStore::memory())
            .interaction(Approves);
        Self {
            server: testbed.server_url().as_str().parse().unwrap(),
            client: client.build().await.unwrap(),
            testbed,
        }
    }

    fn refreshes(&self) -> usize {
        self.testbed.token_requests("refresh_token")
    }

    /// Returns the last request with this method and path.
    fn last(&self, method: &str, path: &str) -> RecordedRequest {
        let requests = self.testbed.requests().into_iter().rev();
        let mut requests = requests.filter(|r| r.method == method && r.path == path);
        requests.next().unwrap()
    }
}

async fn logged_in() -> (Fixture, Session) {
    log_in(Testbed::builder()).await
}

/// Logs in with DPoP-bound tokens at servers that require nonces.
async fn logged_in_with_dpop() -> (Fixture, Session) {
    let builder = Testbed::builder().dpop(DpopPolicy::Required);
    log_in(builder.dpop_nonces_at(Peer::Mcp)).await
}

async fn log_in(builder: Builder) -> (Fixture, Session) {
    let fixture = Fixture::start(builder).await;
    let login = fixture.client.login(&fixture.server).into_future();
    let session = bounded(login).await.unwrap();
    (fixture, session)
}

/// Logs in with a token source that can start another login.
async fn interactive(fixture: &Fixture) -> Session {
    let login = fixture.client.login(&fixture.server);
    login.on_demand().await.unwrap()
}

fn url(fixture: &Fixture, path: &str) -> String {
    fixture.server.as_url().join(path).unwrap().to_string()
}

/// Returns the number of requests, with or without a token.
fn count_requests(fixture: &Fixture, method: &str, path: &str) -> usize {
    fixture.testbed.count(Peer::Mcp, method, path)
}

/// Returns a URL of another server.
fn third_party_url(fixture: &Fixture) -> String {
    format!("{}{NOTES}", fixture.testbed.issuer())
}

fn reject_every_token(fixture: &Fixture) {
    fixture.testbed.set_fault(Fault::RejectsEveryToken);
}
