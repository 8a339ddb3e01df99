//! A `reqwest-middleware` chain that includes the middleware of this crate.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use http::{Extensions, StatusCode};
use mcp_client_oauth::Session;
use mcp_oauth_adapters::reqwest_middleware::AuthorizedMiddleware;
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next, Result};

use crate::{
    NOTES, count_requests, logged_in, logged_in_with_dpop, reject_every_token, third_party_url, url,
};

/// A middleware after the one of this crate. It counts the requests.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicUsize>);

#[async_trait]
impl Middleware for Counter {
    async fn handle(
        &self,
        request: Request,
        own: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let before = own.get::<u8>().copied().unwrap_or_default();
        own.insert(before + 1);
        next.run(request, own).await
    }
}

fn client(session: Session) -> (ClientWithMiddleware, Counter) {
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let counter = Counter::default();
    let chain = ClientBuilder::new(http.build().unwrap())
        .with(AuthorizedMiddleware::new(session))
        .with(counter.clone());
    (chain.build(), counter)
}

#[tokio::test]
async fn a_rejected_token_is_replaced_once_and_later_middleware_sees_both_requests() {
    let (fixture, session) = logged_in().await;
    let (client, counter) = client(session);
    fixture.testbed.revoke_access_tokens();
    let mut extensions = Extensions::new();
    let request = Request::try_from(
        http::Request::post(url(&fixture, NOTES))
            .body("{\"text\":\"tea\"}")
            .unwrap(),
    )
    .unwrap();
    let response = client.execute_with_extensions(request, &mut extensions);
    assert_eq!(response.await.unwrap().status(), StatusCode::OK);
    assert_eq!(
        (count_requests(&fixture, "POST", NOTES), fixture.refreshes()),
        (2, 1)
    );
    assert_eq!(counter.0.load(Ordering::SeqCst), 2);
    assert_eq!(extensions.get::<u8>(), Some(&2));
    reject_every_token(&fixture);
    let response = client.get(url(&fixture, NOTES)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        (count_requests(&fixture, "GET", NOTES), fixture.refreshes()),
        (2, 2)
    );
}

#[tokio::test]
async fn a_token_is_sent_only_to_its_resource() {
    let (fixture, session) = logged_in().await;
    let (client, counter) = client(session);
    fixture.testbed.clear_requests();
    let refused = client
        .get(third_party_url(&fixture))
        .send()
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("is not part of"), "{refused}");
    assert_eq!(counter.0.load(Ordering::SeqCst), 0);
    assert_eq!(fixture.testbed.requests().len(), 0);
}

#[tokio::test]
async fn a_proof_is_sent_with_the_nonce_that_the_server_requires() {
    let (fixture, session) = logged_in_with_dpop().await;
    let (client, _) = client(session);
    for times in [2, 3] {
        let response = client.get(url(&fixture, NOTES)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(count_requests(&fixture, "GET", NOTES), times);
    }
}
