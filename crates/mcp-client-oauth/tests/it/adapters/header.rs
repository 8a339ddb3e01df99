//! The header alone, for whoever sends a request by their own means.

use http::{HeaderMap, Method};
use mcp_client_oauth::{Authorized, TokenSource as _};
use url::Url;

use super::{NOTES, bound, foreign, logged_in, url};

fn client() -> reqwest::Client {
    reqwest::Client::builder().build().unwrap()
}

#[tokio::test]
async fn a_request_of_ones_own_is_let_in_by_the_header_alone() {
    let (fixture, session) = logged_in().await;
    let server = Authorized::new(fixture.platform.clone(), session.clone());
    let notes: Url = url(&fixture, NOTES).parse().unwrap();
    let mut headers = HeaderMap::new();
    let credentials = server.credentials(&Method::GET, &notes).await.unwrap();
    assert!(credentials.authorization.is_sensitive());
    credentials.apply(&mut headers);
    assert_eq!(headers.len(), 1);
    let response = client().get(notes).headers(headers).send();
    assert_eq!(response.await.unwrap().status(), 200);
    let elsewhere = foreign(&fixture).parse().unwrap();
    assert!(server.credentials(&Method::GET, &elsewhere).await.is_err());
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_key_comes_with_a_proof_of_that_request() {
    let (fixture, session) = bound().await;
    let server = Authorized::new(fixture.platform.clone(), session.clone());
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
        .prover()
        .unwrap()
        .store_nonce(&notes, refused.headers());
    assert_eq!(send().await.status(), 200);
    let proof = fixture.last("GET", NOTES).dpop_proof().unwrap();
    assert_eq!(proof.htm.as_deref(), Some("GET"));
}
