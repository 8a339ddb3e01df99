//! A token that expires soon is refreshed while it is still returned; in its last seconds callers wait
//! for the new one (docs/hostile.md H119).

use super::*;

/// Waits until a background refresh has reached the server and is stored.
async fn until_renewed(fixture: &Fixture, session: &Session, requests: usize) {
    bounded(fixture.testbed.wait_for_requests(
        Peer::AuthorizationServer,
        "POST",
        "/token",
        requests,
    ))
    .await;
    bounded(session.flush()).await;
}

#[tokio::test]
async fn in_its_last_minute_a_token_is_returned_and_refreshed_in_the_background() {
    let (fixture, session) = logged_in().await;
    let first = session.token().await.unwrap();
    fixture.advance(seconds(239));
    assert_eq!(session.token().await.unwrap(), first);
    bounded(session.flush()).await;
    assert_eq!(fixture.refreshes(), 0, "it does not expire soon");

    fixture.advance(seconds(1));
    fixture.testbed.set_fault(corruption(Corruption::Held));
    for _ in 0..10 {
        assert_eq!(session.token().await.unwrap(), first, "no caller waits");
        assert_eq!(session.cached_header().unwrap(), first.header());
    }
    bounded(
        fixture
            .testbed
            .wait_for_requests(Peer::AuthorizationServer, "POST", "/token", 2),
    )
    .await;
    assert_eq!(session.token().await.unwrap(), first, "the server is slow");
    fixture.testbed.release();
    bounded(session.flush()).await;
    assert_ne!(session.token().await.unwrap(), first);
    assert_eq!(fixture.refreshes(), 1);
    let stored = fixture.record().await;
    assert_eq!(stored, session.record(), "the record is stored too");
}

#[tokio::test]
async fn in_its_last_seconds_a_token_is_not_returned_and_callers_wait_for_the_new_one() {
    let (fixture, session) = logged_in().await;
    let first = session.token().await.unwrap();
    fixture.advance(seconds(285));
    assert_eq!(session.cached_header(), None);
    assert_ne!(session.token().await.unwrap(), first);
    assert_eq!(fixture.refreshes(), 1);
}

#[tokio::test]
async fn token_with_margin_waits_for_a_new_token() {
    let (fixture, session) = logged_in().await;
    let first = session.token_with_margin().await.unwrap();
    fixture.advance(seconds(240));
    let second = session.token_with_margin().await.unwrap();
    assert_ne!(second, first);
    assert_eq!(session.token_with_margin().await.unwrap(), second);
    assert_eq!(fixture.refreshes(), 1);
}

#[tokio::test]
async fn token_with_margin_returns_the_old_token_when_the_server_fails() {
    let (fixture, _) = logged_in().await;
    let (session, _) = fixture.auto_advancing_session().await;
    let first = session.token().await.unwrap();
    fixture.advance(seconds(240));
    fixture.testbed.stop_authorization_server().await;
    assert_eq!(session.token_with_margin().await.unwrap(), first);
}

#[tokio::test]
async fn a_failed_early_refresh_is_not_retried_at_every_request() {
    let (fixture, session) = logged_in().await;
    let first = session.token().await.unwrap();
    fixture.advance(seconds(240));
    let fault = Fault::TokenErrorWith200("unsupported_grant_type".to_owned());
    fixture.testbed.set_fault(fault);
    session.token().await.unwrap();
    until_renewed(&fixture, &session, 2).await;
    for _ in 0..10 {
        assert_eq!(session.token().await.unwrap(), first);
        bounded(session.flush()).await;
    }
    assert_eq!(fixture.refreshes(), 1);

    fixture.testbed.clear_faults();
    fixture.advance(seconds(45));
    assert_ne!(session.token().await.unwrap(), first);
}

/// The session uses its token until the server rejects it.
#[tokio::test]
async fn a_login_rejected_at_an_early_refresh_leaves_the_valid_token() {
    let (fixture, session) = logged_in().await;
    let first = session.token().await.unwrap();
    fixture.advance(seconds(240));
    let fault = Fault::TokenErrorWith200("invalid_grant".to_owned());
    fixture.testbed.set_fault(fault);
    session.token().await.unwrap();
    until_renewed(&fixture, &session, 2).await;
    assert_eq!(session.token().await.unwrap(), first);
    fixture.assert_nothing_is_stored().await;
    fixture.advance(seconds(45));
    let error = session.token().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::LogIn);
}
