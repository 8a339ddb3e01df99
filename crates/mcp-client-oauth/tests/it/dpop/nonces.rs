//! The nonces that servers require in a proof (RFC 9449 §8, §9).

use std::sync::Mutex;

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_client_oauth::{
    Client,
    flow::refresh,
    platform::{HttpClient, HttpError, Platform, Request},
};
use mcp_oauth_testing::{ManualClock, RecordedInteraction, ScriptedHttp};
use serde_json::Value;
use tokio::task::JoinSet;

use super::*;
use crate::support::lock;

fn requiring_nonces(peers: &[Peer]) -> Builder {
    let builder = with_token_kinds(DpopPolicy::Required);
    let peers = peers.iter().copied();
    peers.fold(builder, Builder::dpop_nonces_at)
}

fn at_both() -> Builder {
    requiring_nonces(&[Peer::AuthorizationServer, Peer::Mcp])
}

fn nonces(fixture: &Fixture, path: &str) -> Vec<Option<String>> {
    let proofs = proofs(fixture, path).into_iter();
    proofs.map(|proof| proof.nonce).collect()
}

#[tokio::test]
async fn each_server_gets_only_its_own_nonce() {
    let (fixture, session) = logged_in(at_both()).await;
    assert_eq!(fixture.posts("/token"), 2);
    for _ in 0..3 {
        assert_eq!(request_status(&session).await, 200);
    }
    assert_eq!(request_count(&fixture), 4, "one more for the nonce");
    let (issuer, resource) = (nonces(&fixture, "/token"), nonces(&fixture, NOTES));
    assert_eq!((&issuer[0], &resource[0]), (&None, &None));
    assert!(issuer[1].is_some() && resource[1].is_some());
    assert!(resource[1..].iter().all(|nonce| *nonce == resource[1]));
    assert_ne!(issuer[1], resource[1]);
    assert_eq!(fixture.refreshes(), 0, "the token was valid all the time");
}

#[tokio::test]
async fn an_expired_nonce_costs_one_request_and_no_token() {
    let (fixture, session) = logged_in(at_both()).await;
    assert_eq!(request_status(&session).await, 200);
    session.refresh().await.unwrap();
    let (requests_before, posts) = (request_count(&fixture), fixture.posts("/token"));
    fixture.testbed.renew_dpop_nonces();
    assert_eq!(request_status(&session).await, 200);
    session.refresh().await.unwrap();
    assert_eq!(request_count(&fixture), requests_before + 2);
    assert_eq!(fixture.posts("/token"), posts + 2);
    assert!(fixture.testbed.families()[0].alive);
}

#[tokio::test]
async fn concurrent_requests_without_a_nonce_lose_no_token() {
    let (fixture, session) = logged_in(at_both()).await;
    let tasks: JoinSet<_> = (0..50)
        .map(|_| {
            let request = session.get("notes");
            async move { request.send().await.unwrap().status.as_u16() }
        })
        .collect();
    assert_eq!(bounded(tasks.join_all()).await, [200; 50]);
    assert!(request_count(&fixture) <= 100);
    assert_eq!(fixture.refreshes(), 0);
}

#[tokio::test]
async fn an_issuer_that_always_requires_a_new_nonce_gets_two_requests() {
    let fixture = fixture(at_both().fault(Fault::AlwaysNewDpopNonce)).await;
    let error = fixture.login().await.unwrap_err();
    assert!(error.to_string().contains("use_dpop_nonce"), "{error}");
    assert_eq!(error.remedy(), Remedy::ContactServerOperator);
    assert_eq!(fixture.posts("/token"), 2);
}

#[tokio::test]
async fn a_login_survives_an_issuer_that_always_requires_a_new_nonce() {
    let (fixture, session) = logged_in(at_both()).await;
    let posts = fixture.posts("/token");
    fixture.testbed.set_fault(Fault::AlwaysNewDpopNonce);
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Retry, "{error}");
    assert_eq!(fixture.posts("/token"), posts + 2);
    fixture.testbed.clear_faults();
    session.refresh().await.unwrap();
}

#[tokio::test]
async fn a_server_that_always_requires_a_new_nonce_gets_three_requests() {
    let (fixture, session) = logged_in(at_both()).await;
    fixture.testbed.set_fault(Fault::AlwaysNewDpopNonce);
    for requests in 1..4 {
        assert_eq!(request_status(&session).await, 401);
        assert_eq!(request_count(&fixture), 3 * requests);
    }
    assert_eq!(fixture.refreshes(), 0);
}

#[tokio::test]
async fn an_invalid_nonce_is_not_sent_back() {
    let (fixture, session) = logged_in(at_both()).await;
    let long = "x".repeat(1025);
    for bad in ["a\tb", "a b", "a\"b", "é", &long] {
        let (before, posts) = (request_count(&fixture), fixture.posts("/token"));
        fixture.testbed.renew_dpop_nonces();
        fixture.testbed.set_fault(Fault::DpopNonce(bad.to_owned()));
        assert_eq!(request_status(&session).await, 401);
        session.refresh().await.unwrap_err();
        assert_eq!(request_count(&fixture), before + 1, "{bad}");
        assert_eq!(fixture.posts("/token"), posts + 1, "{bad}");
        fixture.testbed.clear_faults();
    }
    assert!(
        nonces(&fixture, NOTES)
            .iter()
            .flatten()
            .all(|nonce| nonce.is_ascii())
    );
    assert_eq!(request_status(&session).await, 200);
}

/// Another token would be rejected for the same reason: here, a wrong clock.
#[tokio::test]
async fn a_rejected_proof_does_not_invalidate_the_token() {
    let hour = Duration::from_secs(3600);
    let (fixture, session) = logged_in(requiring_nonces(&[]).access_token_lifetime(hour)).await;
    fixture.testbed.advance(hour / 2);
    let response = read(&session).await.unwrap();
    let challenge = response.header(header::WWW_AUTHENTICATE).unwrap();
    assert!(challenge.contains("invalid_dpop_proof"), "{challenge}");
    assert_eq!((request_count(&fixture), fixture.refreshes()), (1, 0));
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Retry, "{error}");
    fixture.clock.advance(hour / 2);
    assert_eq!(request_status(&session).await, 200);
}

#[tokio::test]
async fn a_rejected_token_is_replaced_once_whatever_the_nonces() {
    let (fixture, session) = logged_in(at_both()).await;
    assert_eq!(request_status(&session).await, 200);
    fixture.testbed.revoke_access_tokens();
    fixture.testbed.renew_dpop_nonces();
    assert_eq!(request_status(&session).await, 200);
    assert_eq!(fixture.refreshes(), 2, "one more for the nonce");
    let tokens = proofs(&fixture, NOTES).into_iter().map(|proof| proof.ath);
    let tokens: BTreeSet<_> = tokens.collect();
    assert_eq!(tokens.len(), 2, "each proof names its own token");
    fixture.testbed.set_fault(Fault::RejectsEveryToken);
    let before = request_count(&fixture);
    assert_eq!(request_status(&session).await, 401);
    assert!(request_count(&fixture) <= before + 3);
}

#[tokio::test]
async fn an_interactive_login_gets_a_bound_token() {
    let fixture = fixture(at_both()).await;
    let login = fixture.client().login(&fixture.server);
    let session = login.on_demand().await.unwrap();
    for logins in 1..3 {
        assert_eq!(request_status(&session).await, 200);
        assert_eq!(fixture.user.opened_urls().len(), logins);
        fixture.testbed.revoke_all_tokens();
    }
}

/// RFC 9449 §8.2: the next nonce may come with any response.
#[tokio::test]
async fn a_nonce_is_stored_from_a_successful_response() {
    let (fixture, session) = logged_in(with_token_kinds(DpopPolicy::Required)).await;
    let response = |nonce: &str| {
        let headers = [("dpop-nonce".parse().unwrap(), nonce.parse().unwrap())];
        Ok(Response::new(
            http::StatusCode::OK,
            http::HeaderMap::from_iter(headers),
            "",
        ))
    };
    let script = ["n-1", "n-2", "n-3"].map(response);
    let http = Arc::new(ScriptedHttp::new(script));
    let platform = Platform::new(
        http.clone(),
        Arc::new(fixture.clock.clone()),
        Arc::new(RecordedInteraction::default()),
    );
    let client = Client::with_platform(platform, fixture.store.clone());
    let session = client.session(session.key()).await.unwrap();
    for _ in 0..3 {
        session.get(notes(&fixture)).send().await.unwrap();
    }
    let claims = http.requests().into_iter().map(|request| {
        let proof = request.headers["dpop"].to_str().unwrap();
        let claims = URL_SAFE_NO_PAD.decode(proof.split('.').nth(1).unwrap());
        serde_json::from_slice::<Value>(&claims.unwrap()).unwrap()
    });
    let nonces: Vec<_> = claims.map(|claims| claims["nonce"].clone()).collect();
    assert_eq!(nonces, [json!(null), json!("n-1"), json!("n-2")]);
}

/// A network that delays each response, and an issuer that requires another nonce each time.
struct Slow {
    clock: ManualClock,
    takes: Duration,
    deadlines: Mutex<Vec<Duration>>,
}

#[async_trait]
impl HttpClient for Slow {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        self.clock.advance(self.takes);
        let mut deadlines = lock(&self.deadlines);
        deadlines.push(request.deadline);
        let nonce = format!("n-{}", deadlines.len()).parse().unwrap();
        let headers = http::HeaderMap::from_iter([("dpop-nonce".parse().unwrap(), nonce)]);
        let status = http::StatusCode::BAD_REQUEST;
        Ok(Response::new(
            status,
            headers,
            r#"{"error":"use_dpop_nonce"}"#,
        ))
    }
}

#[tokio::test]
async fn both_requests_share_one_deadline() {
    let (fixture, session) = logged_in(with_token_kinds(DpopPolicy::Required)).await;
    let seconds = Duration::from_secs;
    for (takes, expected) in [(20, vec![30, 10]), (31, vec![30])] {
        let slow = Arc::new(Slow {
            clock: fixture.clock.clone(),
            takes: seconds(takes),
            deadlines: Mutex::default(),
        });
        let mut platform = fixture.platform.clone();
        platform.http = slow.clone();
        refresh(&platform, &session.record().unwrap())
            .await
            .unwrap_err();
        let expected: Vec<_> = expected.into_iter().map(seconds).collect();
        assert_eq!(*lock(&slow.deadlines), expected);
    }
}
