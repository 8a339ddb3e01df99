//! A token near its end is renewed while it is still handed out; at its very end all wait (H119).

use super::*;

/// Lets what was begun in the background reach the server and be stored.
async fn until_renewed(fixture: &Fixture, session: &Session, requests: usize) {
    bounded(
        fixture
            .testbed
            .arrived(Peer::AuthorizationServer, "POST", "/token", requests),
    )
    .await;
    bounded(session.flush()).await;
}

#[tokio::test]
async fn in_its_last_minute_a_token_is_handed_out_and_renewed_in_the_background() {
    let (fixture, session) = logged_in().await;
    let first = session.token().await.unwrap();
    fixture.pass(seconds(239));
    assert_eq!(session.token().await.unwrap(), first);
    bounded(session.flush()).await;
    assert_eq!(fixture.refreshes(), 0, "it is not near its end");

    fixture.pass(seconds(1));
    fixture.testbed.set_fault(spoil(Corruption::Held));
    for _ in 0..10 {
        assert_eq!(session.token().await.unwrap(), first, "nobody waits");
        assert_eq!(session.ready_header().unwrap(), first.header());
    }
    bounded(
        fixture
            .testbed
            .arrived(Peer::AuthorizationServer, "POST", "/token", 2),
    )
    .await;
    assert_eq!(session.token().await.unwrap(), first, "the server is slow");
    fixture.testbed.release();
    bounded(session.flush()).await;
    assert_ne!(session.token().await.unwrap(), first);
    assert_eq!(fixture.refreshes(), 1);
    let stored = fixture.record().await.unwrap();
    assert_eq!(stored, session.record(), "it is stored as well");
}

#[tokio::test]
async fn at_its_very_end_nobody_gets_a_token_and_all_wait_for_the_new_one() {
    let (fixture, session) = logged_in().await;
    let first = session.token().await.unwrap();
    fixture.pass(seconds(285));
    assert_eq!(session.ready_header(), None);
    assert_ne!(session.token().await.unwrap(), first);
    assert_eq!(fixture.refreshes(), 1);
}

#[tokio::test]
async fn who_takes_a_token_away_waits_for_a_fresh_one() {
    let (fixture, session) = logged_in().await;
    let first = session.token_with_margin().await.unwrap();
    fixture.pass(seconds(240));
    let second = session.token_with_margin().await.unwrap();
    assert_ne!(second, first);
    assert_eq!(session.token_with_margin().await.unwrap(), second);
    assert_eq!(fixture.refreshes(), 1);
}

#[tokio::test]
async fn who_takes_a_token_away_gets_the_old_one_from_a_server_that_cannot_answer() {
    let (fixture, _) = logged_in().await;
    let (session, _) = fixture.flying_session().await;
    let first = session.token().await.unwrap();
    fixture.pass(seconds(240));
    fixture.testbed.kill_authorization_server().await;
    assert_eq!(session.token_with_margin().await.unwrap(), first);
}

#[tokio::test]
async fn a_renewal_ahead_of_time_that_fails_is_not_tried_at_every_request() {
    let (fixture, session) = logged_in().await;
    let first = session.token().await.unwrap();
    fixture.pass(seconds(240));
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
    fixture.pass(seconds(45));
    assert_ne!(session.token().await.unwrap(), first);
}

/// The one whose token it is goes on until the server refuses it.
#[tokio::test]
async fn a_login_that_dies_ahead_of_time_leaves_the_token_that_is_still_good() {
    let (fixture, session) = logged_in().await;
    let first = session.token().await.unwrap();
    fixture.pass(seconds(240));
    let fault = Fault::TokenErrorWith200("invalid_grant".to_owned());
    fixture.testbed.set_fault(fault);
    session.token().await.unwrap();
    until_renewed(&fixture, &session, 2).await;
    assert_eq!(session.token().await.unwrap(), first);
    fixture.assert_nothing_is_stored().await;
    fixture.pass(seconds(45));
    let error = session.token().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::LogIn);
}
