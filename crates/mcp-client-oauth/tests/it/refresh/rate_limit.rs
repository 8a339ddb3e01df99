//! Many logins at one issuer that expire at the same time (docs/hostile.md H118).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use mcp_client_oauth::{
    Login, Session,
    platform::{HttpClient, HttpError, Request, ReqwestClient, Response},
};
use tokio::task::JoinSet;

use super::LIFE;
use crate::support::{Fixture, bounded};

const LOGINS: usize = 24;

/// A network that counts the pending token requests.
#[derive(Default)]
struct Counting {
    network: ReqwestClient,
    now: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl HttpClient for Counting {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        if request.url.path() != "/token" {
            return self.network.send(request).await;
        }
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let response = self.network.send(request).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        response
    }
}

#[tokio::test]
async fn logins_that_expire_together_are_refreshed_a_few_at_a_time() {
    let mut fixture = Fixture::start().await;
    let network = Arc::new(Counting::default());
    fixture.platform.http = network.clone();
    let mut sessions: Vec<Session> = Vec::new();
    for number in 0..LOGINS {
        let configure = |login: Login| login.account(format!("account {number}"));
        sessions.push(fixture.login_with(configure).await.unwrap());
    }
    fixture.advance(LIFE);
    let tokens = sessions.into_iter();
    let tokens: JoinSet<_> = tokens
        .map(|session| async move { session.token().await })
        .collect();
    for token in bounded(tokens.join_all()).await {
        token.unwrap();
    }
    assert_eq!(fixture.refreshes(), LOGINS);
    assert_eq!(network.most.load(Ordering::SeqCst), 8);
}
