//! Callbacks that end a login, and callbacks that change nothing.

use mcp_client_oauth::error::CallbackError;
use mcp_oauth_testbed::Fault;
use tokio::task::JoinSet;

use super::*;
use crate::support::{parameter, with_parameter};

fn with_state(state: Option<&str>) -> Url {
    let url = format!("{REDIRECT}?code=a").parse().unwrap();
    with_parameter(&url, "state", state)
}

#[tokio::test]
async fn an_unknown_state_changes_nothing() {
    let app = Application::start().await;
    let begun = app.begin("alice").await;
    let callback = approve(&begun).await;
    let state = parameter(&begun.url, "state");
    let twice = format!("{callback}&state={state}").parse().unwrap();
    for other in [
        with_state(None),
        with_state(Some("")),
        with_state(Some("x")),
        with_state(Some(&state[1..])),
        with_state(Some(&"x".repeat(100_000))),
        twice,
    ] {
        let refused = app.finish(&other, &begun.browser_secret).await;
        assert!(
            matches!(refusal(refused), AuthorizationError::NotPending),
            "{other}"
        );
    }
    assert_eq!(app.fixture.posts("/token"), 0);
    app.finish(&callback, &begun.browser_secret).await.unwrap();
}

#[tokio::test]
async fn a_callback_is_accepted_once() {
    let app = Application::start().await;
    let begun = app.begin("alice").await;
    let callback = approve(&begun).await;
    let session = app.finish(&callback, &begun.browser_secret).await.unwrap();
    // The back button, on any host.
    for host in &app.hosts {
        let again = bounded(host.finish(&callback, &begun.browser_secret)).await;
        assert!(matches!(refusal(again), AuthorizationError::NotPending));
    }
    assert_eq!(app.fixture.posts("/token"), 1);
    assert_eq!(session.get("notes").send().await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_concurrent_requests_with_a_callback_one_goes_on() {
    let app = Application::start().await;
    for round in 1..=5 {
        let begun = app.begin("alice").await;
        let callback = approve(&begun).await;
        let requests: JoinSet<_> = (0..8)
            .map(|request| {
                let host = app.hosts[request % 2].clone();
                let (callback, secret) = (callback.clone(), begun.browser_secret.clone());
                async move { host.finish(&callback, &secret).await }
            })
            .collect();
        let outcomes = bounded(requests.join_all()).await;
        let (finished, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        assert_eq!(finished.len(), 1);
        for outcome in refused {
            assert!(matches!(refusal(outcome), AuthorizationError::NotPending));
        }
        assert_eq!(app.fixture.posts("/token"), round);
    }
}

#[tokio::test]
async fn a_denied_consent_ends_the_login() {
    let app = Application::start().await;
    let begun = app.begin("alice").await;
    let denied = decide(&begun.url, Decision::Deny).await.unwrap();
    let refused = app.finish(&denied, &begun.browser_secret).await;
    assert!(matches!(refusal(refused), AuthorizationError::Denied(_)));
    let again = app.finish(&denied, &begun.browser_secret).await;
    assert!(matches!(refusal(again), AuthorizationError::NotPending));
    assert_eq!(app.fixture.posts("/token"), 0);
    assert!(app.hosts[0].logins().await.unwrap().is_empty());
}

/// RFC 9207 §2.4.
#[tokio::test]
async fn a_callback_of_another_issuer_ends_the_login_without_a_token_request() {
    let app = Application::start().await;
    for (fault, is_missing) in [
        (Fault::CallbackIss("https://evil.example".to_owned()), false),
        (Fault::CallbackWithoutIss, true),
    ] {
        app.fixture.testbed.set_fault(fault);
        let begun = app.begin("alice").await;
        let callback = approve(&begun).await;
        let error = app.finish(&callback, &begun.browser_secret).await;
        let Err(Error::Authorization(AuthorizationError::Callback(cause))) = error else {
            panic!("{error:?}");
        };
        assert_eq!(matches!(cause, CallbackError::IssuerMissing(_)), is_missing);
        assert_eq!(matches!(cause, CallbackError::Issuer { .. }), !is_missing);
        let again = app.finish(&callback, &begun.browser_secret).await;
        assert!(matches!(refusal(again), AuthorizationError::NotPending));
        app.fixture.testbed.clear_faults();
    }
    assert_eq!(app.fixture.posts("/token"), 0);
}

#[tokio::test]
async fn a_login_expires_after_ten_minutes_or_the_time_that_was_set() {
    let app = Application::start().await;
    for (timeout, lifetime) in [
        (None, LIFETIME),
        (Some(Duration::from_secs(60)), Duration::from_secs(60)),
    ] {
        let just_before = lifetime.checked_sub(Duration::from_secs(1)).unwrap();
        for (elapsed, in_time) in [(just_before, true), (lifetime, false)] {
            let login = app.login("alice");
            let login = match timeout {
                Some(timeout) => login.timeout(timeout),
                None => login,
            };
            let begun = bounded(login.begin()).await.unwrap();
            let callback = approve(&begun).await;
            app.fixture.clock.advance(elapsed);
            let outcome = app.finish(&callback, &begun.browser_secret).await;
            if in_time {
                outcome.unwrap();
                continue;
            }
            let tokens = app.fixture.posts("/token");
            let error = refusal(outcome);
            assert!(
                matches!(error, AuthorizationError::TimedOut(after) if after == lifetime),
                "{error}"
            );
            assert_eq!(app.fixture.posts("/token"), tokens);
        }
    }
}

#[tokio::test]
async fn a_refused_code_ends_the_login_and_the_account_can_begin_again() {
    let app = Application::start().await;
    let begun = app.begin("alice").await;
    let callback = with_parameter(&approve(&begun).await, "code", Some("other"));
    let error = app.finish(&callback, &begun.browser_secret).await;
    let error = error.unwrap_err();
    assert!(matches!(error, Error::TokenExchange { .. }), "{error}");
    let again = app.finish(&callback, &begun.browser_secret).await;
    assert!(matches!(refusal(again), AuthorizationError::NotPending));
    app.run(app.login("alice")).await.unwrap();
    assert_eq!(app.fixture.posts("/register"), 1);
}
