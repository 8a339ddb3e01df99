//! Logout: what is removed here, what is revoked at the server, and what is reported when the
//! revocation endpoint rejects, hangs or is missing (RFC 7009 §2.2).

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use http::{HeaderMap, StatusCode};
use mcp_client_oauth::{
    Client, Error, Login, Logout, RevocationOutcome, Session,
    platform::{HttpClient, HttpError, Request, ReqwestClient, Response},
    store::LoginKey,
};
use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Peer, Testbed};

use crate::support::{Fixture, ShortTimeout, bounded};

async fn log_out(fixture: &Fixture) -> Logout {
    let outcome = bounded(fixture.client().logout(fixture.key()))
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
async fn the_refresh_token_is_revoked_before_the_access_token() {
    let (fixture, session) = logged_in().await;
    let tokens = session.record().unwrap().tokens;
    let outcome = log_out(&fixture).await;
    assert!(outcome.removed && matches!(outcome.remote, RevocationOutcome::Revoked));
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
async fn a_logout_without_a_login_succeeds() {
    let fixture = Fixture::start().await;
    let outcome = log_out(&fixture).await;
    assert!(!outcome.removed && matches!(outcome.remote, RevocationOutcome::NothingToRevoke));
    assert_eq!(fixture.testbed.requests().len(), 0);
}

#[tokio::test]
async fn an_unreachable_server_does_not_stop_the_local_removal() {
    let (fixture, _) = logged_in().await;
    fixture.testbed.stop_authorization_server().await;
    let outcome = log_out(&fixture).await;
    assert!(outcome.removed);
    assert!(
        matches!(outcome.remote, RevocationOutcome::Failed(Error::Http(_))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_rejected_revocation_is_not_reported_as_revoked() {
    for (status, body) in [(503, ""), (400, r#"{"error":"unsupported_token_type"}"#)] {
        let (fixture, _) = logged_in().await;
        fixture.testbed.set_fault(Fault::Status {
            path: "/revoke".to_owned(),
            status,
            body: body.to_owned(),
            headers: Vec::new(),
            times: None,
        });
        let outcome = log_out(&fixture).await;
        let RevocationOutcome::Failed(error @ Error::Revocation { .. }) = &outcome.remote else {
            panic!("{outcome:?}");
        };
        assert!(error.to_string().contains(&status.to_string()), "{error}");
        assert!(outcome.removed);
    }
}

/// A network with a server that revokes only refresh tokens.
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

/// Nothing of a login without a refresh token was revoked (RFC 7009 §2.2.1).
#[tokio::test]
async fn an_access_token_that_is_not_revoked_is_reported_as_still_valid() {
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
        let client = Client::with_platform(platform, fixture.store.clone());
        let outcome = bounded(client.logout(fixture.key())).await;
        let remote = outcome.unwrap().remote;
        let partly = matches!(remote, RevocationOutcome::AccessTokenNotRevoked);
        assert_eq!(partly, is_partly_revoked, "{remote:?}");
        assert!(
            partly || matches!(remote, RevocationOutcome::Failed(_)),
            "{remote:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_never_responds_times_out() {
    let (fixture, _) = logged_in().await;
    fixture.testbed.set_fault(Fault::Corrupt(
        Endpoint::Revocation,
        Corruption::NeverResponds,
    ));
    let platform = ShortTimeout::platform(Duration::from_millis(100), &fixture);
    let client = Client::with_platform(platform, fixture.store.clone());
    let outcome = bounded(client.logout(fixture.key())).await.unwrap();
    assert!(outcome.removed && matches!(outcome.remote, RevocationOutcome::Failed(Error::Http(_))));
    assert_eq!(revocations(&fixture).len(), 1);
    fixture.assert_nothing_is_stored().await;
}

#[tokio::test]
async fn a_logout_waits_five_seconds_at_most() {
    let (fixture, session) = logged_in().await;
    let recorder = Arc::new(mcp_oauth_testing::ScriptedHttp::default());
    let mut platform = fixture.platform.clone();
    platform.http = Arc::clone(&recorder) as _;
    let client = Client::with_platform(platform, fixture.store.clone());
    let outcome = client.logout(session.key()).await.unwrap();
    assert!(matches!(outcome.remote, RevocationOutcome::Failed(_)));
    assert_eq!(recorder.requests()[0].deadline, Duration::from_secs(5));
}

#[tokio::test]
async fn a_server_without_revocation_is_reported_as_such() {
    let fault = Fault::MetadataWithout("revocation_endpoint".to_owned());
    let fixture = Fixture::with(Testbed::builder().fault(fault)).await;
    fixture.login().await.unwrap();
    let outcome = log_out(&fixture).await;
    assert!(outcome.removed && matches!(outcome.remote, RevocationOutcome::NotSupported));
    assert_eq!(revocations(&fixture), []);
}

#[tokio::test]
async fn a_pending_refresh_ends_first_and_its_tokens_are_revoked() {
    let (fixture, session) = logged_in().await;
    fixture.advance(Duration::from_secs(300));
    fixture
        .testbed
        .set_fault(Fault::Corrupt(Endpoint::Token, Corruption::Held));
    let refreshing = tokio::spawn({
        let session = session.clone();
        async move { session.token().await }
    });
    bounded(
        fixture
            .testbed
            .wait_for_requests(Peer::AuthorizationServer, "POST", "/token", 2),
    )
    .await;
    let (outcome, ()) = tokio::join!(log_out(&fixture), async { fixture.testbed.release() });
    assert!(matches!(outcome.remote, RevocationOutcome::Revoked));
    bounded(refreshing).await.unwrap().unwrap();
    let renewed = session.record().unwrap().tokens.refresh_token.unwrap();
    assert_eq!(&revocations(&fixture)[0].1, renewed.expose());
    assert!(!fixture.testbed.families()[0].alive);
}

#[tokio::test]
async fn a_logout_of_one_account_keeps_the_others() {
    let fixture = Fixture::start().await;
    fixture.login().await.unwrap();
    let other = |login: Login| login.account("other");
    fixture.login_with(other).await.unwrap();
    log_out(&fixture).await;
    let left = fixture.store.keys().await.unwrap();
    assert_eq!(
        left,
        [LoginKey::from(fixture.server.clone()).with_account("other")]
    );
}
