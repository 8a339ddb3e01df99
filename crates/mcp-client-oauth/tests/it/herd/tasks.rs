//! A thousand tasks of one process that send requests the public way.

use std::sync::Arc;

use async_trait::async_trait;
use mcp_client_oauth::{
    Authorized, Error,
    platform::{HttpClient, HttpError, Request, ReqwestClient, Response},
};
use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Peer, Testbed};
use tokio::{sync::Semaphore, task::JoinSet};
use url::Url;

use crate::support::{Fixture, bounded};

const TASKS: usize = 1000;
const NOTES: &str = "/mcp/notes";

/// A network with so many lines: a thousand tasks are more than the open files that a process may
/// have on some systems.
struct Lines(Semaphore, ReqwestClient);

#[async_trait]
impl HttpClient for Lines {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let _line = self.0.acquire().await.unwrap();
        self.1.send(request).await
    }
}

/// Somebody has logged in, and the next answer of the token endpoint is held.
async fn fixture() -> (Fixture, Authorized, Url) {
    let fixture = Fixture::with(Testbed::builder().clock_stands_still(true)).await;
    let session = fixture.login().await.unwrap();
    let lines = Lines(Semaphore::new(64), ReqwestClient::default());
    let mut platform = fixture.platform.clone();
    platform.http = Arc::new(lines);
    let authorized = Authorized::new(platform, Arc::new(session));
    let notes = fixture.server.as_url().join(NOTES).unwrap();
    fixture
        .testbed
        .set_fault(Fault::Spoil(Endpoint::Token, Corruption::Held));
    (fixture, authorized, notes)
}

fn send(authorized: &Authorized, notes: &Url) -> JoinSet<Result<Response, Error>> {
    let requests = (0..TASKS).map(|_| authorized.get(notes.clone()).send());
    requests.collect()
}

/// The refresh that is held is let go when as many requests as that have reached the server.
async fn all_succeed_after_one_refresh(
    fixture: &Fixture,
    tasks: JoinSet<Result<Response, Error>>,
    refused: usize,
) {
    let testbed = &fixture.testbed;
    let authorization = Peer::AuthorizationServer;
    bounded(testbed.arrived(authorization, "POST", "/token", 2)).await;
    bounded(testbed.arrived(Peer::Mcp, "GET", NOTES, refused)).await;
    testbed.release();
    for response in bounded(tasks.join_all()).await {
        assert_eq!(response.unwrap().status, 200);
    }
    assert_eq!(fixture.refreshes(), 1);
    assert_eq!(testbed.count(Peer::Mcp, "GET", NOTES), TASKS + refused);
    assert!(testbed.families()[0].alive);
    assert_eq!(fixture.person.opened().len(), 1);
}

#[tokio::test]
async fn a_thousand_requests_with_an_expired_token_cause_one_refresh() {
    let (fixture, authorized, notes) = fixture().await;
    fixture.pass(std::time::Duration::from_secs(300));
    let tasks = send(&authorized, &notes);
    all_succeed_after_one_refresh(&fixture, tasks, 0).await;
}

#[tokio::test]
async fn a_thousand_requests_that_are_refused_cause_one_refresh() {
    let (fixture, authorized, notes) = fixture().await;
    fixture.testbed.revoke_access_tokens();
    let tasks = send(&authorized, &notes);
    all_succeed_after_one_refresh(&fixture, tasks, TASKS).await;
}
