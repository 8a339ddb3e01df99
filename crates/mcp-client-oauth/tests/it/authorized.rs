//! Step 7 against the testbed: where a token is sent (RFC 8707 §1, MCP authorization 2026-07-28,
//! "Access Token Privilege Restriction"), and what happens when it is rejected (RFC 6750 §3.1).

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, header};
use mcp_client_oauth::{
    Error, Session,
    error::{AuthorizationError, HttpErrorKind},
    platform::Response,
};
use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Peer, Testbed};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use url::Url;

use crate::support::{Fixture, TestUser, bounded, parameter};

mod challenges;
mod streams;

const NOTES: &str = "/mcp/notes";

async fn logged_in() -> (Fixture, Session) {
    let fixture = Fixture::start().await;
    let session = fixture.login().await.unwrap();
    (fixture, session)
}

fn notes(fixture: &Fixture) -> Url {
    fixture.server.as_url().join(NOTES).unwrap()
}

fn request_count(fixture: &Fixture) -> usize {
    fixture.testbed.count(Peer::Mcp, "GET", NOTES)
}

async fn interactive(fixture: &Fixture) -> Session {
    let login = fixture.client().login(&fixture.server);
    login.on_demand().await.unwrap()
}

async fn read(session: &Session, fixture: &Fixture) -> Result<Response, Error> {
    bounded(Box::pin(session.get(notes(fixture)).send())).await
}

#[tokio::test]
async fn a_request_has_the_token_only_in_its_authorization_header() {
    let (fixture, session) = logged_in().await;
    let response = read(&session, &fixture).await.unwrap();
    let body: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(
        (response.status.as_u16(), body),
        (200, json!({"notes": ["buy milk"]}))
    );
    let request = fixture.last("GET", NOTES);
    let token = session.token().await.unwrap();
    assert_eq!(
        request.header("authorization").unwrap(),
        format!("Bearer {}", token.expose())
    );
    assert_eq!(request.query, None);
}

#[tokio::test]
async fn a_rejected_token_is_replaced_once_and_the_request_is_retried() {
    let (fixture, session) = logged_in().await;
    fixture.testbed.revoke_access_tokens();
    assert_eq!(read(&session, &fixture).await.unwrap().status, 200);
    assert_eq!((request_count(&fixture), fixture.refreshes()), (2, 1));
}

#[tokio::test]
async fn a_token_that_is_always_rejected_is_retried_once() {
    let (fixture, session) = logged_in().await;
    fixture.testbed.set_fault(Fault::RejectsEveryToken);
    assert_eq!(read(&session, &fixture).await.unwrap().status, 401);
    assert!(
        request_count(&fixture) <= 3 && fixture.refreshes() == 1,
        "{}",
        request_count(&fixture)
    );
}

#[tokio::test]
async fn a_401_without_a_challenge_header_is_retried() {
    let (fixture, session) = logged_in().await;
    fixture.testbed.set_fault(Fault::NoChallenge);
    fixture.testbed.revoke_access_tokens();
    assert_eq!(read(&session, &fixture).await.unwrap().status, 200);
}

#[tokio::test]
async fn the_retry_can_be_disabled() {
    let (fixture, session) = logged_in().await;
    fixture.testbed.revoke_access_tokens();
    let once = session
        .get(notes(&fixture))
        .retry_on_401(false)
        .send()
        .await
        .unwrap();
    assert_eq!(once.status, http::StatusCode::UNAUTHORIZED);
    assert_eq!((request_count(&fixture), fixture.refreshes()), (1, 0));
}

#[tokio::test]
async fn requests_rejected_at_the_same_time_cause_one_refresh() {
    let (fixture, session) = logged_in().await;
    fixture.testbed.revoke_access_tokens();
    let tasks: JoinSet<_> = (0..50)
        .map(|_| {
            let request = session.get(notes(&fixture));
            async move { request.send().await.unwrap().status.as_u16() }
        })
        .collect();
    assert_eq!(bounded(tasks.join_all()).await, [200; 50]);
    assert_eq!(fixture.refreshes(), 1);
    assert!(fixture.testbed.families()[0].alive);
}

#[tokio::test]
async fn a_token_is_sent_to_no_other_server() {
    let (fixture, session) = logged_in().await;
    let canary = Testbed::start().await.unwrap();
    let own = |path: &str| fixture.server.as_url().join(path).unwrap();
    let issuer: Url = fixture.testbed.issuer().parse().unwrap();
    let mut other_name = notes(&fixture);
    other_name.set_host(Some("localhost")).unwrap();
    let seen = fixture.testbed.requests().len();
    for url in [
        canary.server_url(),
        own("/"),
        own("/mcp2"),
        own("/mcpx/notes"),
        own("/mcp/../secret"),
        own("/mcp/%2e%2e/secret"),
        own("/MCP"),
        issuer,
        other_name,
        "https://mcp.example/mcp".parse().unwrap(),
    ] {
        let error = session.get(url.clone()).send().await.unwrap_err();
        let outside = matches!(
            error,
            Error::Authorization(AuthorizationError::OutsideResource { .. })
        );
        assert!(outside, "{url}: {error}");
    }
    assert_eq!(canary.requests().len(), 0);
    assert_eq!(fixture.testbed.requests().len(), seen);
}

#[tokio::test]
async fn a_redirect_is_returned_and_not_followed() {
    let (fixture, session) = logged_in().await;
    let canary = Testbed::start().await.unwrap();
    let target = canary.server_url().to_string();
    fixture.testbed.set_fault(Fault::Corrupt(
        Endpoint::Mcp,
        Corruption::RedirectTo(target.clone()),
    ));
    let response = read(&session, &fixture).await.unwrap();
    assert_eq!(
        (response.status.as_u16(), response.header(header::LOCATION)),
        (307, Some(&*target))
    );
    assert_eq!(canary.requests().len(), 0);
}

#[tokio::test]
async fn caller_headers_are_kept_except_authorization() {
    let (fixture, session) = logged_in().await;
    let name = HeaderName::from_static("x-trace");
    let response = session
        .post(notes(&fixture))
        .header(name.clone(), HeaderValue::from_static("one"))
        .header(name, HeaderValue::from_static("two"))
        .header(
            header::AUTHORIZATION,
            HeaderValue::from_static("Basic planted"),
        )
        .json(&json!({"text": "hello"}))
        .send()
        .await
        .unwrap();
    let echo: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(echo, json!({"text": "hello"}));
    let request = fixture.last("POST", NOTES);
    let traces: Vec<_> = request.headers.get_all("x-trace").iter().collect();
    assert_eq!(traces, ["one", "two"]);
    let authorizations: Vec<_> = request.headers.get_all("authorization").iter().collect();
    assert_eq!(authorizations, [&session.header().await.unwrap()]);
    assert_eq!(request.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn the_retry_sends_the_body_again() {
    let (fixture, session) = logged_in().await;
    fixture.testbed.revoke_access_tokens();
    let response = session
        .post(notes(&fixture))
        .json(&json!([1, 2]))
        .send()
        .await
        .unwrap();
    assert_eq!(&response.body[..], b"[1,2]");
}

#[tokio::test]
async fn a_request_ends_at_its_deadline() {
    let (fixture, session) = logged_in().await;
    fixture
        .testbed
        .set_fault(Fault::Corrupt(Endpoint::Mcp, Corruption::NeverResponds));
    let request = session
        .get(notes(&fixture))
        .timeout(Duration::from_millis(100));
    let Error::Http(error) = request.send().await.unwrap_err() else {
        panic!()
    };
    assert!(matches!(error.cause, HttpErrorKind::TimedOut(_)), "{error}");
}

#[tokio::test]
async fn any_http_client_can_send() {
    let (fixture, session) = logged_in().await;
    fixture.testbed.revoke_access_tokens();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = notes(&fixture);
    let response = session
        .send(&Method::GET, &url, |credentials| {
            client.get(url.clone()).headers(credentials.into()).send()
        })
        .await
        .unwrap();
    assert_eq!(response.unwrap().status(), 200);
}

#[tokio::test]
async fn a_plain_session_does_not_step_up() {
    let (fixture, session) = logged_in().await;
    fixture.testbed.require_scope("list_notes", "notes:write");
    let error = read(&session, &fixture).await.unwrap_err();
    let Error::Authorization(AuthorizationError::ScopeNotGranted { scope, .. }) = &error else {
        panic!("{error}");
    };
    assert_eq!(scope.to_string(), "notes:read notes:write");
    assert_eq!((request_count(&fixture), fixture.refreshes()), (1, 0));
    assert_eq!(fixture.user.opened_urls().len(), 1);
}

#[tokio::test]
async fn step_up_requests_the_granted_and_the_missing_scope() {
    let fixture = Fixture::start().await;
    let session = interactive(&fixture).await;
    assert_eq!(read(&session, &fixture).await.unwrap().status, 200);
    fixture.testbed.require_scope("list_notes", "notes:write");
    assert_eq!(read(&session, &fixture).await.unwrap().status, 200);
    let [_, second] = &fixture.user.opened_urls()[..] else {
        panic!()
    };
    assert_eq!(parameter(second, "scope"), "notes:read notes:write");
    // The client was registered with a narrower scope.
    assert_eq!(fixture.posts("/register"), 2);
    assert_eq!(request_count(&fixture), 3);
}

#[tokio::test]
async fn step_up_for_the_same_scope_stops_after_a_few_logins() {
    let fixture = Fixture::start().await;
    fixture.testbed.require_scope("other", "notes:admin");
    fixture
        .testbed
        .set_fault(Fault::AlwaysInsufficientScope("notes:admin".to_owned()));
    let session = interactive(&fixture).await;
    for _ in 0..3 {
        let error = read(&session, &fixture).await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Authorization(AuthorizationError::ScopeNotGranted { .. })
            ),
            "{error}"
        );
    }
    assert_eq!(
        fixture.user.opened_urls().len(),
        2,
        "the first login, and one for the wider scope"
    );
}

#[tokio::test]
async fn a_revoked_login_starts_a_new_login() {
    let fixture = Fixture::start().await;
    let session = interactive(&fixture).await;
    read(&session, &fixture).await.unwrap();
    fixture.testbed.revoke_all_tokens();
    assert_eq!(read(&session, &fixture).await.unwrap().status, 200);
    assert_eq!(fixture.user.opened_urls().len(), 2);
}

#[tokio::test]
async fn a_busy_server_starts_no_login() {
    let fixture = Fixture::start().await;
    let interactive = interactive(&fixture).await;
    interactive.token().await.unwrap();
    fixture.testbed.stop_authorization_server().await;
    let session = fixture.auto_advancing_session().await.0;
    assert!(session.refresh().await.is_err());
    assert_eq!(fixture.user.opened_urls().len(), 1);
}

#[tokio::test]
async fn concurrent_requests_share_one_login() {
    for (user, granted) in [(TestUser::approving(), true), (TestUser::denying(), false)] {
        let fixture = Fixture::start().await.with_user(user);
        let interactive = interactive(&fixture).await;
        let tasks: JoinSet<_> = (0..50)
            .map(|_| {
                let interactive = interactive.clone();
                async move { interactive.token().await.is_ok() }
            })
            .collect();
        assert_eq!(bounded(tasks.join_all()).await, [granted; 50]);
        assert_eq!(fixture.user.opened_urls().len(), 1);
    }
}

#[tokio::test]
async fn a_denied_login_can_be_started_again_later() {
    let fixture = Fixture::start().await.with_user(TestUser::denying());
    let interactive = interactive(&fixture).await;
    interactive.token().await.unwrap_err();
    interactive.token().await.unwrap_err();
    assert_eq!(fixture.user.opened_urls().len(), 2);
}

#[tokio::test]
async fn later_logins_keep_the_wider_scope() {
    let fixture = Fixture::with(Testbed::builder().issue_refresh_tokens(false)).await;
    let session = interactive(&fixture).await;
    assert_eq!(read(&session, &fixture).await.unwrap().status, 200);
    fixture.testbed.require_scope("list_notes", "notes:write");
    for logins in 2..6 {
        assert_eq!(read(&session, &fixture).await.unwrap().status, 200);
        assert_eq!(fixture.user.opened_urls().len(), logins);
        let requested = parameter(fixture.user.opened_urls().last().unwrap(), "scope");
        assert_eq!(requested, "notes:read notes:write");
        fixture.testbed.revoke_access_tokens();
    }
}

#[tokio::test]
async fn a_login_of_another_process_is_used_without_a_new_login() {
    let fixture = Fixture::start().await;
    let session = interactive(&fixture).await;
    fixture.login().await.unwrap();
    assert_eq!(read(&session, &fixture).await.unwrap().status, 200);
    assert_eq!(fixture.user.opened_urls().len(), 1);
}
