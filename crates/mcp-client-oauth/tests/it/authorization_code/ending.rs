//! Each end of a login closes the listener (RFC 8252 §8.3), and only a successful login stores
//! something. The error text of the server is shown without control characters (RFC 6749 §4.1.2.1).

use std::{future::IntoFuture as _, time::Duration};

use mcp_client_oauth::{Error, Remedy, error::AuthorizationError};
use mcp_oauth_testbed::Fault;

use super::{login_error, port_of};
use crate::support::{Fixture, TestUser, bounded, is_closed};

/// The time that the user has by default.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(5 * 60);

#[tokio::test]
async fn a_denial_is_reported_as_such_and_stores_nothing() {
    let fixture = Fixture::start().await.with_user(TestUser::denying());
    let error = login_error(&fixture).await;
    assert!(matches!(error, AuthorizationError::Denied(_)), "{error}");
    assert!(
        error.to_string().contains("the user denied the request"),
        "{error}"
    );
    assert_eq!(Error::from(error).remedy(), Remedy::LogIn);
    fixture.assert_nothing_is_stored().await;
    assert_eq!(fixture.posts("/token"), 0);
    assert!(
        fixture
            .user
            .pages()
            .await
            .last()
            .unwrap()
            .body
            .contains("not granted")
    );
    assert!(is_closed(port_of(&fixture.user.opened_urls()[0])).await);
}

#[tokio::test]
async fn a_server_error_is_reported_without_its_control_characters() {
    let fixture = Fixture::start().await;
    fixture.testbed.set_fault(Fault::CallbackError {
        error: "invalid_scope".to_owned(),
        description: Some(format!("\u{1b}[2J\u{202e}no {}", "x".repeat(2000))),
    });
    let error = login_error(&fixture).await;
    assert!(matches!(error, AuthorizationError::Refused(_)), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("invalid_scope") && text.len() < 1000,
        "{text}"
    );
    assert!(
        text.chars().all(|c| !c.is_control() && c != '\u{202e}'),
        "{text}"
    );
}

#[tokio::test]
async fn a_login_times_out_after_five_minutes() {
    let fixture = Fixture::start().await.with_user(TestUser::idle());
    let waiting = fixture.start_login(|login| login).await;
    let port = waiting.port();
    fixture
        .clock
        .advance(LOGIN_TIMEOUT.saturating_sub(Duration::from_secs(1)));
    assert!(!is_closed(port).await, "one second is left");
    fixture.clock.advance(Duration::from_secs(1));
    let error = waiting.finish().await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Authorization(AuthorizationError::TimedOut(LOGIN_TIMEOUT))
        ),
        "{error}"
    );
    assert_eq!(error.remedy(), Remedy::LogIn);
    assert!(is_closed(port).await);
    fixture.assert_nothing_is_stored().await;
}

#[tokio::test]
async fn a_cancelled_login_closes_its_listener() {
    let fixture = Fixture::start().await.with_user(TestUser::idle());
    let port = {
        let given_up = fixture.client().login(&fixture.server).into_future();
        tokio::select! {
            _ = given_up => panic!("the user has not decided"),
            url = bounded(fixture.user.shown()) => port_of(&url),
        }
    };
    assert!(is_closed(port).await);
    fixture.assert_nothing_is_stored().await;
}

#[tokio::test]
async fn a_fixed_port_can_be_used_again_at_once() {
    let fixture = Fixture::start().await;
    let port = crate::support::unused_port();
    for _ in 0..3 {
        fixture
            .login_with(|login| login.redirect_port(port))
            .await
            .unwrap();
    }
    assert!(
        fixture
            .user
            .opened_urls()
            .iter()
            .all(|url| port_of(url) == port)
    );
}
