//! The authorization header alone, for applications that send requests with another HTTP client.

use http::{HeaderMap, Method};
use mcp_client_oauth::{
    Session,
    adapters::TokenSource as _,
    platform::{Clock as _, SystemClock},
};
use mcp_oauth_testbed::{DpopPolicy, Peer, Testbed};
use url::Url;

use crate::support::Fixture;

const NOTES: &str = "/mcp/notes";

async fn logged_in() -> (Fixture, Session) {
    let fixture = Fixture::start().await;
    let session = fixture.login().await.unwrap();
    (fixture, session)
}

/// Logs in with DPoP-bound tokens at servers that require nonces.
async fn logged_in_with_dpop() -> (Fixture, Session) {
    let builder = Testbed::builder()
        .dpop(DpopPolicy::Required)
        .dpop_nonces_at(Peer::Mcp);
    let fixture = Fixture::with(builder).await;
    // A proof contains the time at which it was made (RFC 9449 §4.2).
    fixture.clock.set(SystemClock::default().now());
    let session = fixture.login().await.unwrap();
    (fixture, session)
}

fn url(fixture: &Fixture, path: &str) -> String {
    fixture.server.as_url().join(path).unwrap().to_string()
}

/// Returns a URL of another server.
fn third_party_url(fixture: &Fixture) -> String {
    format!("{}{NOTES}", fixture.testbed.issuer())
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().build().unwrap()
}

#[tokio::test]
async fn the_header_alone_authorizes_a_request_of_another_client() {
    let (fixture, session) = logged_in().await;
    let notes: Url = url(&fixture, NOTES).parse().unwrap();
    let mut headers = HeaderMap::new();
    let credentials = session.credentials(&Method::GET, &notes).await.unwrap();
    assert!(credentials.authorization.is_sensitive());
    credentials.apply(&mut headers);
    assert_eq!(headers.len(), 1);
    let response = client().get(notes).headers(headers).send();
    assert_eq!(response.await.unwrap().status(), 200);
    let elsewhere = third_party_url(&fixture).parse().unwrap();
    assert!(session.credentials(&Method::GET, &elsewhere).await.is_err());
}

#[tokio::test]
async fn a_dpop_bound_token_comes_with_a_proof_for_that_request() {
    let (fixture, session) = logged_in_with_dpop().await;
    let notes: Url = url(&fixture, NOTES).parse().unwrap();
    let send = async || {
        let mut headers = HeaderMap::new();
        let credentials = session.credentials(&Method::GET, &notes).await.unwrap();
        credentials.apply(&mut headers);
        let request = client().get(notes.clone()).headers(headers);
        request.send().await.unwrap()
    };
    let refused = send().await;
    assert_eq!(refused.status(), 401);
    session
        .proof_generator()
        .unwrap()
        .store_nonce(&notes, refused.headers());
    assert_eq!(send().await.status(), 200);
    let proof = fixture.last("GET", NOTES).dpop_proof().unwrap();
    assert_eq!(proof.htm.as_deref(), Some("GET"));
}
