//! A thousand tasks of one process that send requests through the public API.

use std::sync::Arc;

use async_trait::async_trait;
use mcp_client_oauth::{
    Client, Error, Session,
    platform::{HttpClient, HttpError, Request, ReqwestClient, Response},
};
use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Peer, Testbed};
use tokio::{sync::Semaphore, task::JoinSet};
use url::Url;

use crate::support::{Fixture, bounded};

const TASKS: usize = 1000;
const NOTES: &str = "/mcp/notes";

/// Limits the number of connections: on some systems a process may not have a thousand open files.
struct LimitedConnections(Semaphore, ReqwestClient);

#[async_trait]
impl HttpClient for LimitedConnections {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let _line = self.0.acquire().await.unwrap();
        self.1.send(request).await
    }
}

/// Logs in, and delays the next response of the token endpoint.
async fn fixture() -> (Fixture, Session, Url) {
    let fixture = Fixture::with(Testbed::builder().manual_clock(true)).await;
    fixture.login().await.unwrap();
    let lines = LimitedConnections(Semaphore::new(64), ReqwestClient::default());
    let mut platform = fixture.platform.clone();
    platform.http = Arc::new(lines);
    let client = Client::with_platform(platform, fixture.store.clone());
    let session = client.session(fixture.key()).await.unwrap();
    let notes = fixture.server.as_url().join(NOTES).unwrap();
    fixture
        .testbed
        .set_fault(Fault::Corrupt(Endpoint::Token, Corruption::Held));
    (fixture, session, notes)
}

fn send(session: &Session, notes: &Url) -> JoinSet<Result<Response, Error>> {
    let requests = (0..TASKS).map(|_| session.get(notes).send());
    requests.collect()
}

/// Releases the delayed refresh when `refused` requests have reached the server.
async fn all_succeed_after_one_refresh(
    fixture: &Fixture,
    tasks: JoinSet<Result<Response, Error>>,
    refused: usize,
) {
    let testbed = &fixture.testbed;
    let authorization = Peer::AuthorizationServer;
    bounded(testbed.wait_for_requests(authorization, "POST", "/token", 2)).await;
    bounded(testbed.wait_for_requests(Peer::Mcp, "GET", NOTES, refused)).await;
    testbed.release();
    for response in bounded(tasks.join_all()).await {
        assert_eq!(response.unwrap().status, 200);
    }
    assert_eq!(fixture.refreshes(), 1);
    assert_eq!(testbed.count(Peer::Mcp, "GET", NOTES), TASKS + refused);
    assert!(testbed.families()[0].alive);
    assert_eq!(fixture.user.opened_urls().len(), 1);
}

#[tokio::test]
async fn a_thousand_requests_with_an_expired_token_cause_one_refresh() {
    let (fixture, session, notes) = fixture().await;
    fixture.advance(std::time::Duration::from_secs(300));
    let tasks = send(&session, &notes);
    all_succeed_after_one_refresh(&fixture, tasks, 0).await;
}

#[tokio::test]
async fn a_thousand_requests_that_are_refused_cause_one_refresh() {
    let (fixture, session, notes) = fixture().await;
    fixture.testbed.revoke_access_tokens();
    let tasks = send(&session, &notes);
    all_succeed_after_one_refresh(&fixture, tasks, TASKS).await;
}
