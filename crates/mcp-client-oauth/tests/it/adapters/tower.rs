//! A client of hyper under our layer.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use mcp_client_oauth::{
    Error,
    adapters::tower::{AuthorizedLayer, AuthorizedService, BoxError, CopyBody, RelativeUriError},
    error::AuthorizationError,
};
use tower::{Layer as _, ServiceExt as _, limit::ConcurrencyLimitLayer};

use super::{NOTES, bound, foreign, interactive, logged_in, refuse_every_token, seen, url};
use crate::support::{Fixture, bounded};

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
async fn a_refused_token_is_replaced_once_and_the_body_is_sent_again() {
    let (fixture, session) = logged_in().await;
    let client = AuthorizedLayer::new(session).layer(hyper_client());
    let notes = url(&fixture, NOTES);
    let response = send(&client, Method::GET, &notes).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    fixture.testbed.revoke_access_tokens();
    let response = send(&client, Method::POST, &notes).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!((seen(&fixture, "POST", NOTES), fixture.refreshes()), (2, 1));
    assert_eq!(fixture.last("POST", NOTES).body, b"{\"text\":\"tea\"}");
    refuse_every_token(&fixture);
    let response = send(&client, Method::POST, &notes).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!((seen(&fixture, "POST", NOTES), fixture.refreshes()), (4, 2));
}

#[tokio::test]
async fn a_body_that_cannot_be_copied_is_sent_once() {
    let (fixture, session) = logged_in().await;
    let once = AuthorizedLayer::new(session).copying(|_: &Full<Bytes>| None);
    let client = once.layer(hyper_client());
    fixture.testbed.revoke_access_tokens();
    let response = send(&client, Method::POST, &url(&fixture, NOTES)).await;
    assert_eq!(response.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!((seen(&fixture, "POST", NOTES), fixture.refreshes()), (1, 0));
}

#[tokio::test]
async fn a_token_goes_nowhere_but_to_its_resource() {
    let (fixture, session) = logged_in().await;
    let client = AuthorizedLayer::new(session).layer(hyper_client());
    fixture.testbed.forget_requests();
    let refused = send(&client, Method::GET, &foreign(&fixture)).await;
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
async fn a_wider_scope_is_asked_for_where_somebody_can_be_asked() {
    let fixture = Fixture::start().await;
    fixture.testbed.require_scope("write_note", "notes:write");
    let client = AuthorizedLayer::new(interactive(&fixture).await).layer(hyper_client());
    let response = send(&client, Method::POST, &url(&fixture, NOTES)).await;
    assert_eq!(response.unwrap().status(), StatusCode::OK);
    assert_eq!(fixture.person.opened().len(), 2);
}

#[tokio::test]
async fn a_proof_goes_along_and_takes_the_nonce_that_is_wanted() {
    let (fixture, session) = bound().await;
    let client = AuthorizedLayer::new(session).layer(hyper_client());
    let notes = url(&fixture, NOTES);
    for times in [2, 3] {
        let response = send(&client, Method::GET, &notes).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(seen(&fixture, "GET", NOTES), times);
    }
}

#[tokio::test]
async fn the_error_of_the_service_below_comes_through() {
    let (fixture, session) = logged_in().await;
    let client = AuthorizedLayer::new(session).layer(hyper_client());
    fixture.testbed.stop_mcp_server().await;
    let failed = send(&client, Method::GET, &url(&fixture, NOTES)).await;
    let failed = failed.unwrap_err();
    assert!(failed.is::<hyper_util::client::legacy::Error>(), "{failed}");
}

/// The first try has what the service gave away when it was ready; it is not asked for twice.
#[tokio::test]
async fn a_service_that_does_one_thing_at_a_time_does_both_tries() {
    let (fixture, session) = logged_in().await;
    let limited = ConcurrencyLimitLayer::new(1).layer(hyper_client());
    let client = AuthorizedLayer::new(session).layer(limited);
    fixture.testbed.revoke_access_tokens();
    let request = request(Method::GET, &url(&fixture, NOTES));
    let response = bounded(client.oneshot(request)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(seen(&fixture, "GET", NOTES), 2);
}
