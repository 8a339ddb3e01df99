//! A hyper client inside the `tower` layer of this crate.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use mcp_client_oauth::{Error, error::AuthorizationError};
use mcp_oauth_adapters::tower::{
    AuthorizedLayer, AuthorizedService, BoxError, CopyBody, RelativeUriError,
};
use mcp_oauth_testbed::Testbed;
use test_support::wait::bounded;
use tower::{Layer as _, ServiceExt as _, limit::ConcurrencyLimitLayer};

use crate::Fixture;
use crate::{
    NOTES, count_requests, interactive, logged_in, logged_in_with_dpop, reject_every_token,
    third_party_url, url,
};

type Hyper = Client<HttpConnector, Full<Bytes>>;

fn hyper_client() -> Hyper {
    Client::builder(TokioExecutor::new()).build_http()
}

fn request(method: Method, url: &str) -> Request<Full<Bytes>> {
    let body = Full::new(Bytes::from_static(b"{\"text\":\"tea\"}"));
    let request = Request::builder().method(method).uri(url);
    request
        .header("authorization", "Bearer of-the-caller")
        .body(body)
        .unwrap()
}

async fn send<C>(
    client: &AuthorizedService<Hyper, C>,
    method: Method,
    url: &str,
) -> Result<Response<Incoming>, BoxError>
where
    C: CopyBody<Full<Bytes>> + Clone + Send + Sync + 'static,
{
    bounded(client.clone().oneshot(request(method, url))).await
}

#[tokio::test]
async fn a_rejected_token_is_replaced_once_and_the_body_is_sent_again() {
    let (fixture, session) = logged_in().await;
    let client = AuthorizedLayer::new(session).layer(hyper_client());
    let notes = url(&fixture, NOTES);
    let response = send(&client, Method::GET, &notes).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    fixture.testbed.revoke_access_tokens();
    let response = send(&client, Method::POST, &notes).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        (count_requests(&fixture, "POST", NOTES), fixture.refreshes()),
        (2, 1)
    );
    assert_eq!(fixture.last("POST", NOTES).body, b"{\"text\":\"tea\"}");
    reject_every_token(&fixture);
    let response = send(&client, Method::POST, &notes).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        (count_requests(&fixture, "POST", NOTES), fixture.refreshes()),
        (4, 2)
    );
}

#[tokio::test]
async fn a_body_that_cannot_be_copied_is_sent_once() {
    let (fixture, session) = logged_in().await;
    let once = AuthorizedLayer::new(session).copying(|_: &Full<Bytes>| None);
    let client = once.layer(hyper_client());
    fixture.testbed.revoke_access_tokens();
    let response = send(&client, Method::POST, &url(&fixture, NOTES)).await;
    assert_eq!(response.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        (count_requests(&fixture, "POST", NOTES), fixture.refreshes()),
        (1, 0)
    );
}

#[tokio::test]
async fn a_token_is_sent_only_to_its_resource() {
    let (fixture, session) = logged_in().await;
    let client = AuthorizedLayer::new(session).layer(hyper_client());
    fixture.testbed.clear_requests();
    let refused = send(&client, Method::GET, &third_party_url(&fixture)).await;
    let refused = refused.unwrap_err().downcast::<Error>().unwrap();
    assert!(matches!(
        *refused,
        Error::Authorization(AuthorizationError::OutsideResource { .. })
    ));
    let refused = send(&client, Method::GET, NOTES).await.unwrap_err();
    assert!(refused.is::<RelativeUriError>(), "{refused}");
    assert_eq!(fixture.testbed.requests().len(), 0);
}

#[tokio::test]
async fn an_interactive_source_logs_in_for_a_wider_scope() {
    let fixture = Fixture::start(Testbed::builder()).await;
    fixture.testbed.require_scope("write_note", "notes:write");
    let client = AuthorizedLayer::new(interactive(&fixture).await).layer(hyper_client());
    let response = send(&client, Method::POST, &url(&fixture, NOTES)).await;
    assert_eq!(response.unwrap().status(), StatusCode::OK);
    assert_eq!(fixture.testbed.token_requests("authorization_code"), 2);
}

#[tokio::test]
async fn a_proof_is_sent_with_the_nonce_that_the_server_requires() {
    let (fixture, session) = logged_in_with_dpop().await;
    let client = AuthorizedLayer::new(session).layer(hyper_client());
    let notes = url(&fixture, NOTES);
    for times in [2, 3] {
        let response = send(&client, Method::GET, &notes).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(count_requests(&fixture, "GET", NOTES), times);
    }
}

#[tokio::test]
async fn the_error_of_the_inner_service_is_returned() {
    let (fixture, session) = logged_in().await;
    let client = AuthorizedLayer::new(session).layer(hyper_client());
    fixture.testbed.stop_mcp_server().await;
    let failed = send(&client, Method::GET, &url(&fixture, NOTES)).await;
    let failed = failed.unwrap_err();
    assert!(failed.is::<hyper_util::client::legacy::Error>(), "{failed}");
}

/// The first request uses the permit that `poll_ready` reserved; it is not reserved twice.
#[tokio::test]
async fn a_service_with_concurrency_one_sends_both_requests() {
    let (fixture, session) = logged_in().await;
    let limited = ConcurrencyLimitLayer::new(1).layer(hyper_client());
    let client = AuthorizedLayer::new(session).layer(limited);
    fixture.testbed.revoke_access_tokens();
    let request = request(Method::GET, &url(&fixture, NOTES));
    let response = bounded(client.oneshot(request)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(count_requests(&fixture, "GET", NOTES), 2);
}
