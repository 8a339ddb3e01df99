//! Step 6 against the testbed: one refresh for many callers, and no session lost by it (RFC 6749 §6,
//! RFC 9700 §4.14.2).

use std::{sync::Arc, time::Duration};

use mcp_client_oauth::{
    Error, Remedy, Session,
    adapters::TokenSource as _,
    error::{AuthorizationError, TokenRefreshError},
    flow::{AccessToken, Challenge},
};
use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Peer, Testbed};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Fixture, bounded};

mod backoff;
mod concurrent;
mod rate_limit;
mod storing;
mod windows;

/// The default lifetime of a testbed token.
const LIFE: Duration = Duration::from_secs(300);

fn corruption(how: Corruption) -> Fault {
    Fault::Corrupt(Endpoint::Token, how)
}

async fn refresh_token(fixture: &Fixture) -> String {
    let record = fixture.record().await.unwrap();
    record.tokens.refresh_token.unwrap().expose().clone()
}

/// Returns a fixture with a login, and its session.
async fn logged_in() -> (Fixture, Session) {
    let fixture = Fixture::start().await;
    let session = fixture.login().await.unwrap();
    (fixture, session)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn tokens_of_five_seconds_cause_a_bounded_number_of_refreshes() {
    let fixture = Fixture::with(Testbed::builder().access_token_lifetime(seconds(5))).await;
    let session = fixture.login().await.unwrap();
    for elapsed in 1..=20 {
        for _ in 0..10 {
            session.token().await.unwrap();
        }
        // A background refresh runs now.
        tokio::task::yield_now().await;
        bounded(session.flush()).await;
        fixture.advance(seconds(1));
        assert!(
            fixture.refreshes() <= elapsed / 3,
            "{} in {elapsed} s",
            fixture.refreshes()
        );
    }
    assert!(fixture.refreshes() >= 4);
}

#[tokio::test]
async fn tokens_without_a_lifetime_are_used_for_half_a_minute_each() {
    for life in [json!(0), json!(-1), json!("0")] {
        let fixture = Fixture::start().await;
        fixture
            .testbed
            .set_fault(Fault::TokenField("expires_in".to_owned(), life));
        let session = fixture.login().await.unwrap();
        for _ in 0..29 {
            session.token().await.unwrap();
            fixture.advance(seconds(1));
        }
        assert_eq!(fixture.refreshes(), 0);
        fixture.advance(seconds(1));
        session.token().await.unwrap();
        assert_eq!(fixture.refreshes(), 1);
    }
}

#[tokio::test]
async fn a_restart_with_an_expired_token_needs_no_login() {
    let (fixture, session) = logged_in().await;
    drop(session);
    fixture.advance(LIFE);
    let again = fixture.client().session(fixture.key()).await.unwrap();
    again.token().await.unwrap();
    assert_eq!(fixture.refreshes(), 1);
    assert_eq!(fixture.user.opened_urls().len(), 1);
}

#[tokio::test]
async fn a_refresh_names_the_resource_and_the_client_and_nothing_else() {
    let (fixture, session) = logged_in().await;
    let spent = refresh_token(&fixture).await;
    session.refresh().await.unwrap();
    let request = fixture.last("POST", "/token");
    assert_eq!(
        request.form("resource").as_deref(),
        Some(fixture.server.as_str())
    );
    assert_eq!(request.form("refresh_token"), Some(spent));
    assert!(request.form("client_id").is_some());
    assert_eq!(request.form("scope"), None);
}

#[tokio::test]
async fn a_refresh_is_sent_only_to_the_token_endpoint_of_the_login() {
    let (fixture, session) = logged_in().await;
    let elsewhere = Testbed::start().await.unwrap();
    let token = format!("{}/token", elsewhere.issuer());
    fixture.testbed.set_fault(Fault::MetadataField(
        "token_endpoint".to_owned(),
        json!(token),
    ));
    session.refresh().await.unwrap();
    assert_eq!(elsewhere.requests().len(), 0);
    assert_eq!(fixture.refreshes(), 1);
}

#[tokio::test]
async fn a_response_without_a_refresh_token_keeps_the_old_one() {
    let fixture = Fixture::with(Testbed::builder().rotate_refresh_tokens(false)).await;
    let session = fixture.login().await.unwrap();
    let before = refresh_token(&fixture).await;
    session.refresh().await.unwrap();
    assert_eq!(refresh_token(&fixture).await, before);
    session.refresh().await.unwrap();
    assert_eq!(fixture.refreshes(), 2);
}

#[tokio::test]
async fn a_response_without_a_scope_keeps_the_old_one() {
    let (fixture, session) = logged_in().await;
    fixture
        .testbed
        .set_fault(Fault::TokenWithout("scope".to_owned()));
    session.refresh().await.unwrap();
    let scope = fixture.record().await.unwrap().tokens.scope.unwrap();
    assert_eq!(scope.to_string(), "notes:read");
}

#[tokio::test]
async fn a_login_without_a_refresh_token_expires_with_its_token() {
    let fixture = Fixture::with(Testbed::builder().issue_refresh_tokens(false)).await;
    let session = fixture.login().await.unwrap();
    fixture.advance(LIFE);
    let error = session.token().await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::TokenRefresh(TokenRefreshError::NoRefreshToken(_))
        ),
        "{error}"
    );
    assert_eq!(error.remedy(), Remedy::LogIn);
    assert_eq!(fixture.refreshes(), 0);
}

/// RFC 6749 §5.1 makes the refresh token optional: a token without one is good until its end.
#[tokio::test]
async fn a_valid_token_without_a_refresh_token_is_not_reported_as_expired() {
    let fixture = Fixture::with(Testbed::builder().issue_refresh_tokens(false)).await;
    let session = fixture.login().await.unwrap();
    let error = session.refresh().await.unwrap_err();
    let Error::TokenRefresh(TokenRefreshError::NotRefreshable { left, .. }) = &error else {
        panic!("{error}");
    };
    assert!(
        left.unwrap() <= LIFE && left.unwrap() > LIFE / 2,
        "{left:?}"
    );
    assert_eq!(error.remedy(), Remedy::LogIn);
    assert!(
        error
            .to_string()
            .ends_with("; log in again when it expires"),
        "{error}"
    );
    session.token().await.unwrap();

    // The server decides whether the token is valid.
    let refused = session.token().await.unwrap();
    let error = session
        .refresh_after_rejection(&refused, &Challenge::default())
        .await;
    let error = error.unwrap_err();
    assert!(
        matches!(error, Error::TokenRefresh(TokenRefreshError::Rejected(_))),
        "{error}"
    );
    assert_eq!(fixture.refreshes(), 0);
}

/// A caller that passes the token on gets one that expires soon rather than none.
#[tokio::test]
async fn the_last_seconds_of_a_token_without_a_refresh_token_are_used() {
    let fixture = Fixture::with(Testbed::builder().issue_refresh_tokens(false)).await;
    let session = fixture.login().await.unwrap();
    fixture.advance(seconds(270));
    session.token_with_margin().await.unwrap();
    fixture.advance(seconds(30));
    let error = session.token_with_margin().await.unwrap_err();
    assert!(error.to_string().contains("has expired"), "{error}");
}

#[tokio::test]
async fn a_revoked_login_is_removed_without_a_retry() {
    let (fixture, _) = logged_in().await;
    let (session, clock) = fixture.auto_advancing_session().await;
    fixture.testbed.revoke_all_tokens();
    let error = session.refresh().await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::TokenRefresh(TokenRefreshError::Response { .. })
        ),
        "{error}"
    );
    assert_eq!(error.remedy(), Remedy::LogIn);
    assert_eq!(fixture.refreshes(), 1);
    assert!(clock.slept().is_empty());
    fixture.assert_nothing_is_stored().await;
    let again = session.refresh().await.unwrap_err();
    assert!(
        matches!(
            again,
            Error::Authorization(AuthorizationError::LoginRequired(_))
        ),
        "{again}"
    );
    assert_eq!(fixture.refreshes(), 1);
}

#[tokio::test]
async fn an_unknown_client_is_removed() {
    let (fixture, session) = logged_in().await;
    let issuer = fixture.record().await.unwrap().discovery.issuer().clone();
    fixture.testbed.set_fault(Fault::Status {
        path: "/token".to_owned(),
        status: 401,
        body: r#"{"error":"invalid_client"}"#.to_owned(),
        headers: Vec::new(),
        times: None,
    });
    let error = session.refresh().await.unwrap_err();
    assert!(error.is_unknown_client(), "{error}");
    assert_eq!(error.remedy(), Remedy::LogIn);
    assert_eq!(fixture.store.registration(&issuer).await.unwrap(), None);
    assert!(fixture.record().await.is_some());

    fixture.testbed.clear_faults();
    fixture.login().await.unwrap();
    assert_eq!(fixture.posts("/register"), 2);
}

#[tokio::test]
async fn a_missing_token_endpoint_makes_the_next_login_discover_again() {
    let (fixture, session) = logged_in().await;
    fixture.testbed.set_fault(Fault::Status {
        path: "/token".to_owned(),
        status: 404,
        body: String::new(),
        headers: Vec::new(),
        times: Some(1),
    });
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::LogIn);
    assert!(
        fixture.record().await.is_some(),
        "a missing endpoint does not invalidate the tokens"
    );
    let found = fixture.testbed.count(Peer::Mcp, "GET", crate::support::PRM);
    fixture.login().await.unwrap();
    assert_eq!(
        fixture.testbed.count(Peer::Mcp, "GET", crate::support::PRM),
        found + 1
    );
}
