//! The authorization header alone, for applications that send requests with another HTTP client.

use http::{HeaderMap, Method};
use mcp_client_oauth::adapters::{AuthorizedClient, TokenSource as _};
use url::Url;

use super::{NOTES, logged_in, logged_in_with_dpop, third_party_url, url};

fn client() -> reqwest::Client {
    reqwest::Client::builder().build().unwrap()
}

#[tokio::test]
async fn the_header_alone_authorizes_a_request_of_another_client() {
    let (fixture, session) = logged_in().await;
    let server = AuthorizedClient::new(fixture.platform.clone(), session.clone());
    let notes: Url = url(&fixture, NOTES).parse().unwrap();
    let mut headers = HeaderMap::new();
    let credentials = server.credentials(&Method::GET, &notes).await.unwrap();
    assert!(credentials.authorization.is_sensitive());
    credentials.apply(&mut headers);
    assert_eq!(headers.len(), 1);
    let response = client().get(notes).headers(headers).send();
    assert_eq!(response.await.unwrap().status(), 200);
    let elsewhere = third_party_url(&fixture).parse().unwrap();
    assert!(server.credentials(&Method::GET, &elsewhere).await.is_err());
}

#[tokio::test]
async fn a_dpop_bound_token_comes_with_a_proof_for_that_request() {
    let (fixture, session) = logged_in_with_dpop().await;
    let server = AuthorizedClient::new(fixture.platform.clone(), session.clone());
    let notes: Url = url(&fixture, NOTES).parse().unwrap();
    let send = async || {
        let mut headers = HeaderMap::new();
        let credentials = server.credentials(&Method::GET, &notes).await.unwrap();
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
