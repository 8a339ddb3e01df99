//! The way back: what is forgotten here, what the server is told, and the truth about it (H98).

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use http::{HeaderMap, StatusCode};
use mcp_client_oauth::{
    Error, Logout, RevocationOutcome, Session, TokenSource, logout,
    platform::{HttpClient, HttpError, Request, ReqwestClient, Response},
    store::LoginKey,
};
use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Peer, Testbed};

use crate::support::{Fixture, Impatient, bounded};

async fn logged_out(fixture: &Fixture) -> Logout {
    let outcome = bounded(logout(&fixture.platform, &fixture.store, &fixture.key()))
        .await
        .unwrap();
    fixture.assert_nothing_is_stored().await;
    outcome
}

async fn logged_in() -> (Fixture, Session) {
    let fixture = Fixture::start().await;
    let session = fixture.login().await.unwrap();
    (fixture, session)
}

fn revocations(fixture: &Fixture) -> Vec<(String, String)> {
    let requests = fixture.testbed.requests();
    let revocations = requests.iter().filter(|request| request.path == "/revoke");
    revocations
        .map(|request| {
            (
                request.form("token_type_hint").unwrap(),
                request.form("token").unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn the_refresh_token_is_given_back_before_the_access_token() {
    let (fixture, session) = logged_in().await;
    let tokens = session.record().tokens;
    let outcome = logged_out(&fixture).await;
    assert!(outcome.forgotten && matches!(outcome.remote, RevocationOutcome::Revoked));
    let refresh_token = tokens.refresh_token.unwrap().expose().clone();
    assert_eq!(
        revocations(&fixture),
        [
            ("refresh_token".to_owned(), refresh_token),
            (
                "access_token".to_owned(),
                tokens.access_token.expose().to_owned()
            ),
        ]
    );
    assert!(!fixture.testbed.families()[0].alive);
}

#[tokio::test]
async fn a_logout_without_a_login_is_no_failure() {
    let fixture = Fixture::start().await;
    let outcome = logged_out(&fixture).await;
    assert!(!outcome.forgotten && matches!(outcome.remote, RevocationOutcome::NothingThere));
    assert_eq!(fixture.testbed.requests().len(), 0);
}

#[tokio::test]
async fn a_server_that_is_gone_does_not_keep_the_tokens_alive_here() {
    let (fixture, _) = logged_in().await;
    fixture.testbed.kill_authorization_server().await;
    let outcome = logged_out(&fixture).await;
    assert!(outcome.forgotten);
    assert!(
        matches!(outcome.remote, RevocationOutcome::Failed(Error::Http(_))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_server_that_refuses_is_not_said_to_have_revoked() {
    for (status, body) in [(503, ""), (400, r#"{"error":"unsupported_token_type"}"#)] {
        let (fixture, _) = logged_in().await;
        fixture.testbed.set_fault(Fault::Status {
            path: "/revoke".to_owned(),
            status,
            body: body.to_owned(),
            headers: Vec::new(),
            times: None,
        });
        let outcome = logged_out(&fixture).await;
        let RevocationOutcome::Failed(error @ Error::Revocation { .. }) = &outcome.remote else {
            panic!("{outcome:?}");
        };
        assert!(error.to_string().contains(&status.to_string()), "{error}");
        assert!(outcome.forgotten);
    }
}

/// A network with a server that takes back refresh tokens alone.
struct NoAccessTokens(ReqwestClient);

#[async_trait]
impl HttpClient for NoAccessTokens {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let body = String::from_utf8_lossy(&request.body);
        if body.contains("token_type_hint=access_token") {
            let refusal = r#"{"error":"unsupported_token_type"}"#;
            let headers = HeaderMap::new();
            return Ok(Response::new(StatusCode::BAD_REQUEST, headers, refusal));
        }
        self.0.send(request).await
    }
}

/// A login without a refresh token has nothing that was taken back (RFC 7009 §2.2.1).
#[tokio::test]
async fn an_access_token_that_is_not_taken_back_is_said_to_live_on() {
    for (refreshable, is_partly_revoked) in [(true, true), (false, false)] {
        let fixture = Fixture::start().await;
        fixture.login().await.unwrap();
        let mut lock = fixture.store.lock(&fixture.key()).await.unwrap();
        let mut record = lock.record().cloned().unwrap();
        record.tokens.refresh_token = record.tokens.refresh_token.filter(|_| refreshable);
        fixture.store.save(&mut lock, &record).await.unwrap();
        drop(lock);
        let http = Arc::new(NoAccessTokens(ReqwestClient::default()));
        let mut platform = fixture.platform.clone();
        platform.http = http;
        let key = fixture.key();
        let outcome = bounded(logout(&platform, &fixture.store, &key)).await;
        let remote = outcome.unwrap().remote;
        let partly = matches!(remote, RevocationOutcome::AccessTokenLives);
        assert_eq!(partly, is_partly_revoked, "{remote:?}");
        assert!(
            partly || matches!(remote, RevocationOutcome::Failed(_)),
            "{remote:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_waited_for_only_so_long() {
    let (fixture, _) = logged_in().await;
    fixture
        .testbed
        .set_fault(Fault::Spoil(Endpoint::Revocation, Corruption::NeverAnswers));
    let platform = Impatient::platform(Duration::from_millis(100), &fixture);
    let outcome = bounded(logout(&platform, &fixture.store, &fixture.key()))
        .await
        .unwrap();
    assert!(
        outcome.forgotten && matches!(outcome.remote, RevocationOutcome::Failed(Error::Http(_)))
    );
    assert_eq!(revocations(&fixture).len(), 1);
    fixture.assert_nothing_is_stored().await;
}

#[tokio::test]
async fn five_seconds_are_the_most_that_a_server_gets() {
    let (fixture, session) = logged_in().await;
    let recorder = Arc::new(mcp_client_oauth::testing::ScriptedHttp::default());
    let mut platform = fixture.platform.clone();
    platform.http = Arc::clone(&recorder) as _;
    let outcome = logout(&platform, &fixture.store, session.key())
        .await
        .unwrap();
    assert!(matches!(outcome.remote, RevocationOutcome::Failed(_)));
    assert_eq!(recorder.requests()[0].deadline, Duration::from_secs(5));
}

#[tokio::test]
async fn a_server_without_revocation_is_named_as_one() {
    let fault = Fault::MetadataWithout("revocation_endpoint".to_owned());
    let fixture = Fixture::with(Testbed::builder().fault(fault)).await;
    fixture.login().await.unwrap();
    let outcome = logged_out(&fixture).await;
    assert!(outcome.forgotten && matches!(outcome.remote, RevocationOutcome::NotOffered));
    assert_eq!(revocations(&fixture), []);
}

#[tokio::test]
async fn a_refresh_that_is_under_way_ends_first_and_its_tokens_are_given_back() {
    let (fixture, session) = logged_in().await;
    fixture.pass(Duration::from_secs(300));
    fixture
        .testbed
        .set_fault(Fault::Spoil(Endpoint::Token, Corruption::Held));
    let refreshing = tokio::spawn({
        let session = session.clone();
        async move { session.token().await }
    });
    bounded(
        fixture
            .testbed
            .arrived(Peer::AuthorizationServer, "POST", "/token", 2),
    )
    .await;
    let (outcome, ()) = tokio::join!(logged_out(&fixture), async { fixture.testbed.release() });
    assert!(matches!(outcome.remote, RevocationOutcome::Revoked));
    bounded(refreshing).await.unwrap().unwrap();
    let renewed = session.record().tokens.refresh_token.unwrap();
    assert_eq!(&revocations(&fixture)[0].1, renewed.expose());
    assert!(!fixture.testbed.families()[0].alive);
}

#[tokio::test]
async fn one_account_logs_out_alone() {
    let fixture = Fixture::start().await;
    let mut options = mcp_client_oauth::LoginOptions::default();
    options.account = Some("other".to_owned());
    fixture.login().await.unwrap();
    fixture.login_with(&options).await.unwrap();
    logged_out(&fixture).await;
    let left = fixture.store.keys().await.unwrap();
    assert_eq!(
        left,
        [LoginKey::new(fixture.server.clone()).with_account("other")]
    );
}
