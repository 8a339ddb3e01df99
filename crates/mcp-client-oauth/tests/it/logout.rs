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

use crate::support::{Impatient, Scene, bounded};

async fn logged_out(scene: &Scene) -> Logout {
    let outcome = bounded(logout(&scene.platform, &scene.store, &scene.key()))
        .await
        .unwrap();
    scene.assert_nothing_is_stored().await;
    outcome
}

async fn logged_in() -> (Scene, Session) {
    let scene = Scene::start().await;
    let session = scene.login().await.unwrap();
    (scene, session)
}

fn revocations(scene: &Scene) -> Vec<(String, String)> {
    let requests = scene.testbed.requests();
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
    let (scene, session) = logged_in().await;
    let tokens = session.record().tokens;
    let outcome = logged_out(&scene).await;
    assert!(outcome.forgotten && matches!(outcome.remote, RevocationOutcome::Revoked));
    let refresh_token = tokens.refresh_token.unwrap().expose().clone();
    assert_eq!(
        revocations(&scene),
        [
            ("refresh_token".to_owned(), refresh_token),
            (
                "access_token".to_owned(),
                tokens.access_token.expose().to_owned()
            ),
        ]
    );
    assert!(!scene.testbed.families()[0].alive);
}

#[tokio::test]
async fn a_logout_without_a_login_is_no_failure() {
    let scene = Scene::start().await;
    let outcome = logged_out(&scene).await;
    assert!(!outcome.forgotten && matches!(outcome.remote, RevocationOutcome::NothingThere));
    assert_eq!(scene.testbed.requests().len(), 0);
}

#[tokio::test]
async fn a_server_that_is_gone_does_not_keep_the_tokens_alive_here() {
    let (scene, _) = logged_in().await;
    scene.testbed.kill_authorization_server().await;
    let outcome = logged_out(&scene).await;
    assert!(outcome.forgotten);
    assert!(
        matches!(outcome.remote, RevocationOutcome::Failed(Error::Http(_))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_server_that_refuses_is_not_said_to_have_revoked() {
    for (status, body) in [(503, ""), (400, r#"{"error":"unsupported_token_type"}"#)] {
        let (scene, _) = logged_in().await;
        scene.testbed.set_fault(Fault::Status {
            path: "/revoke".to_owned(),
            status,
            body: body.to_owned(),
            headers: Vec::new(),
            times: None,
        });
        let outcome = logged_out(&scene).await;
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
        let scene = Scene::start().await;
        scene.login().await.unwrap();
        let mut lock = scene.store.lock(&scene.key()).await.unwrap();
        let mut record = lock.record().cloned().unwrap();
        record.tokens.refresh_token = record.tokens.refresh_token.filter(|_| refreshable);
        scene.store.save(&mut lock, &record).await.unwrap();
        drop(lock);
        let http = Arc::new(NoAccessTokens(ReqwestClient::default()));
        let mut platform = scene.platform.clone();
        platform.http = http;
        let key = scene.key();
        let outcome = bounded(logout(&platform, &scene.store, &key)).await;
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
    let (scene, _) = logged_in().await;
    scene
        .testbed
        .set_fault(Fault::Spoil(Endpoint::Revocation, Corruption::NeverAnswers));
    let platform = Impatient::platform(Duration::from_millis(100), &scene);
    let outcome = bounded(logout(&platform, &scene.store, &scene.key()))
        .await
        .unwrap();
    assert!(
        outcome.forgotten && matches!(outcome.remote, RevocationOutcome::Failed(Error::Http(_)))
    );
    assert_eq!(revocations(&scene).len(), 1);
    scene.assert_nothing_is_stored().await;
}

#[tokio::test]
async fn five_seconds_are_the_most_that_a_server_gets() {
    let (scene, session) = logged_in().await;
    let recorder = Arc::new(mcp_client_oauth::testing::ScriptedHttp::default());
    let mut platform = scene.platform.clone();
    platform.http = Arc::clone(&recorder) as _;
    let outcome = logout(&platform, &scene.store, session.key())
        .await
        .unwrap();
    assert!(matches!(outcome.remote, RevocationOutcome::Failed(_)));
    assert_eq!(recorder.requests()[0].deadline, Duration::from_secs(5));
}

#[tokio::test]
async fn a_server_without_revocation_is_named_as_one() {
    let fault = Fault::MetadataWithout("revocation_endpoint".to_owned());
    let scene = Scene::with(Testbed::builder().fault(fault)).await;
    scene.login().await.unwrap();
    let outcome = logged_out(&scene).await;
    assert!(outcome.forgotten && matches!(outcome.remote, RevocationOutcome::NotOffered));
    assert_eq!(revocations(&scene), []);
}

#[tokio::test]
async fn a_refresh_that_is_under_way_ends_first_and_its_tokens_are_given_back() {
    let (scene, session) = logged_in().await;
    scene.pass(Duration::from_secs(300));
    scene
        .testbed
        .set_fault(Fault::Spoil(Endpoint::Token, Corruption::Held));
    let refreshing = tokio::spawn({
        let session = session.clone();
        async move { session.token().await }
    });
    bounded(
        scene
            .testbed
            .arrived(Peer::AuthorizationServer, "POST", "/token", 2),
    )
    .await;
    let (outcome, ()) = tokio::join!(logged_out(&scene), async { scene.testbed.release() });
    assert!(matches!(outcome.remote, RevocationOutcome::Revoked));
    bounded(refreshing).await.unwrap().unwrap();
    let renewed = session.record().tokens.refresh_token.unwrap();
    assert_eq!(&revocations(&scene)[0].1, renewed.expose());
    assert!(!scene.testbed.families()[0].alive);
}

#[tokio::test]
async fn one_account_logs_out_alone() {
    let scene = Scene::start().await;
    let mut options = mcp_client_oauth::LoginOptions::default();
    options.account = Some("other".to_owned());
    scene.login().await.unwrap();
    scene.login_with(&options).await.unwrap();
    logged_out(&scene).await;
    let left = scene.store.keys().await.unwrap();
    assert_eq!(
        left,
        [LoginKey::new(scene.server.clone()).with_account("other")]
    );
}
