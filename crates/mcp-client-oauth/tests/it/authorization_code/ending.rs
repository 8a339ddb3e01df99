//! However a login ends, the listener is gone, and only a good one leaves anything behind
//! (H51, H65, H66).

use std::time::Duration;

use mcp_client_oauth::{
    Error, LoginOptions, Remedy, error::AuthorizationError, grant::LOGIN_TIMEOUT, login,
};
use mcp_oauth_testbed::Fault;

use super::{port_of, refused};
use crate::support::{Fixture, Person, bounded, is_closed};

#[tokio::test]
async fn a_denial_is_told_as_one_and_stores_nothing() {
    let fixture = Fixture::start().await.for_person(Person::who_denies());
    let error = refused(&fixture).await;
    assert!(matches!(error, AuthorizationError::Denied(_)), "{error}");
    assert!(error.to_string().contains("the person said no"), "{error}");
    assert_eq!(Error::from(error).remedy(), Remedy::LogIn);
    fixture.assert_nothing_is_stored().await;
    assert_eq!(fixture.posts("/token"), 0);
    assert!(
        fixture
            .person
            .pages()
            .await
            .last()
            .unwrap()
            .body
            .contains("not granted")
    );
    assert!(is_closed(port_of(&fixture.person.opened()[0])).await);
}

#[tokio::test]
async fn an_error_of_the_server_is_told_without_its_control_characters() {
    let fixture = Fixture::start().await;
    fixture.testbed.set_fault(Fault::CallbackError {
        error: "invalid_scope".to_owned(),
        description: Some(format!("\u{1b}[2J\u{202e}no {}", "x".repeat(2000))),
    });
    let error = refused(&fixture).await;
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
async fn nobody_is_waited_for_longer_than_five_minutes() {
    let fixture = Fixture::start().await.for_person(Person::who_waits());
    let waiting = fixture.begin(LoginOptions::default()).await;
    let port = waiting.port();
    fixture
        .clock
        .advance(LOGIN_TIMEOUT.saturating_sub(Duration::from_secs(1)));
    assert!(!is_closed(port).await, "there is a second left");
    fixture.clock.advance(Duration::from_secs(1));
    let error = waiting.ended().await.unwrap_err();
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
async fn a_login_that_is_given_up_leaves_no_listener_behind() {
    let fixture = Fixture::start().await.for_person(Person::who_waits());
    let options = LoginOptions::default();
    let port = {
        let given_up = login(&fixture.platform, &fixture.store, &fixture.server, &options);
        tokio::select! {
            _ = given_up => panic!("nobody has decided"),
            url = bounded(fixture.person.shown()) => port_of(&url),
        }
    };
    assert!(is_closed(port).await);
    fixture.assert_nothing_is_stored().await;
}

#[tokio::test]
async fn a_port_that_was_fixed_can_be_used_again_at_once() {
    let fixture = Fixture::start().await;
    let port = crate::support::dead_port();
    let options = super::redirect(mcp_client_oauth::grant::RedirectTarget::Port(port));
    for _ in 0..3 {
        fixture.login_with(&options).await.unwrap();
    }
    assert!(
        fixture
            .person
            .opened()
            .iter()
            .all(|url| port_of(url) == port)
    );
}
