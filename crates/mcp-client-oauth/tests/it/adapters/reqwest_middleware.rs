//! A chain of `reqwest-middleware` with ours in it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use http::{Extensions, StatusCode};
use mcp_client_oauth::{TokenSource, adapters::reqwest_middleware::AuthorizedMiddleware};
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next, Result};

use super::{NOTES, bound, foreign, logged_in, refuse_every_token, seen, url};

/// What comes after ours, and counts.
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

fn client(source: Arc<dyn TokenSource>) -> (ClientWithMiddleware, Counter) {
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let counter = Counter::default();
    let chain = ClientBuilder::new(http.build().unwrap())
        .with(AuthorizedMiddleware::new(source))
        .with(counter.clone());
    (chain.build(), counter)
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_the_rest_of_the_chain_sees_each_try() {
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
    assert_eq!((seen(&fixture, "POST", NOTES), fixture.refreshes()), (2, 1));
    assert_eq!(counter.0.load(Ordering::SeqCst), 2);
    assert_eq!(extensions.get::<u8>(), Some(&2));
    refuse_every_token(&fixture);
    let response = client.get(url(&fixture, NOTES)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!((seen(&fixture, "GET", NOTES), fixture.refreshes()), (2, 2));
}

#[tokio::test]
async fn a_token_goes_nowhere_but_to_its_resource() {
    let (fixture, session) = logged_in().await;
    let (client, counter) = client(session);
    fixture.testbed.forget_requests();
    let refused = client.get(foreign(&fixture)).send().await.unwrap_err();
    assert!(refused.to_string().contains("is not part of"), "{refused}");
    assert_eq!(counter.0.load(Ordering::SeqCst), 0);
    assert_eq!(fixture.testbed.requests().len(), 0);
}

#[tokio::test]
async fn a_proof_goes_along_and_takes_the_nonce_that_is_wanted() {
    let (fixture, session) = bound().await;
    let (client, _) = client(session);
    for times in [2, 3] {
        let response = client.get(url(&fixture, NOTES)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(seen(&fixture, "GET", NOTES), times);
    }
}
