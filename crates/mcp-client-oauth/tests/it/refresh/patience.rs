//! A server that cannot answer now is asked again, and loses us nothing (H85, H104, H109).

use mcp_client_oauth::error::TokenError;

use super::*;

pub(super) fn busy(times: Option<u32>, retry_after: Option<&str>) -> Fault {
    let header = |value: &str| ("retry-after".to_owned(), value.to_owned());
    Fault::Status {
        path: "/token".to_owned(),
        status: 503,
        body: "<html>later</html>".to_owned(),
        headers: retry_after.map(header).into_iter().collect(),
        times,
    }
}

/// Whether each sleep is its base and up to as much again.
fn assert_jittered(slept: &[Duration], bases: &[u64]) {
    assert_eq!(slept.len(), bases.len(), "{slept:?}");
    for (slept, base) in slept.iter().zip(bases) {
        assert!(
            (seconds(*base)..=seconds(2 * base)).contains(slept),
            "{slept:?}, not {base} s"
        );
    }
}

#[tokio::test]
async fn a_busy_server_is_asked_four_times_and_the_tokens_are_kept() {
    let (fixture, _) = logged_in().await;
    let before = fixture.record().await;
    let (session, clock) = fixture.flying_session().await;
    fixture.testbed.set_fault(busy(None, None));
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Retry);
    assert_jittered(&clock.slept(), &[1, 2, 4]);
    assert_eq!(fixture.posts("/token"), 1 + 4);
    assert_eq!(fixture.record().await, before);

    fixture.testbed.clear_faults();
    session.refresh().await.unwrap();
}

#[tokio::test]
async fn a_server_that_recovers_is_not_noticed() {
    let (fixture, _) = logged_in().await;
    let (session, clock) = fixture.flying_session().await;
    fixture.testbed.set_fault(busy(Some(2), None));
    session.refresh().await.unwrap();
    assert_jittered(&clock.slept(), &[1, 2]);
    assert!(fixture.testbed.families()[0].alive);
}

#[tokio::test]
async fn a_wait_that_the_server_asks_for_is_kept() {
    for asked in [3, 7, 30] {
        let (fixture, _) = logged_in().await;
        let (session, clock) = fixture.flying_session().await;
        fixture
            .testbed
            .set_fault(busy(Some(1), Some(&asked.to_string())));
        session.refresh().await.unwrap();
        assert_eq!(clock.slept(), [seconds(asked)], "{asked}");
    }
    for nonsense in ["-1", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", "0"] {
        let (fixture, _) = logged_in().await;
        let (session, clock) = fixture.flying_session().await;
        fixture.testbed.set_fault(busy(Some(1), Some(nonsense)));
        session.refresh().await.unwrap();
        assert_jittered(&clock.slept(), &[1]);
    }
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_left_to_the_caller() {
    for asked in ["60", "1000000000", "99999999999999999999"] {
        let (fixture, _) = logged_in().await;
        let (session, clock) = fixture.flying_session().await;
        fixture.testbed.set_fault(busy(None, Some(asked)));
        let error = session.refresh().await.unwrap_err();
        let Error::TokenRefresh(TokenRefreshError::Answer { cause, .. }) = &error else {
            panic!("{error}");
        };
        let bounded = matches!(
            cause, TokenError::Unavailable { retry_after: Some(wait), .. } if *wait == seconds(60)
        );
        assert!(bounded, "{cause:?}");
        assert!(
            clock.slept().is_empty(),
            "nobody else could have the record meanwhile"
        );
        assert_eq!(error.remedy(), Remedy::Retry);
        assert!(fixture.record().await.is_some());
    }
}

#[tokio::test]
async fn a_server_that_is_gone_is_tried_again_and_costs_no_tokens() {
    let (fixture, _) = logged_in().await;
    let (session, clock) = fixture.flying_session().await;
    fixture.testbed.kill_authorization_server().await;
    let error = session.refresh().await.unwrap_err();
    assert!(
        matches!(error, Error::TokenRefresh(TokenRefreshError::Http(_))),
        "{error}"
    );
    assert_eq!(error.remedy(), Remedy::Retry);
    assert_jittered(&clock.slept(), &[1, 2, 4]);
    assert!(fixture.record().await.is_some());
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_once_more_where_the_server_has_grace() {
    let (fixture, _) = logged_in().await;
    let (session, _) = fixture.flying_session().await;
    let before = fixture.record().await;
    fixture.testbed.set_fault(spoil(Corruption::CutAfter(5)));
    fixture.testbed.set_fault(Fault::GraceForSpentRefreshTokens);
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Retry, "{error}");
    assert_eq!(fixture.refreshes(), 2);
    assert_eq!(fixture.record().await, before);
}

#[tokio::test]
async fn a_lost_answer_without_grace_ends_the_login_and_no_loop_begins() {
    let (fixture, _) = logged_in().await;
    let (session, _) = fixture.flying_session().await;
    // The request is processed, and its answer is cut.
    fixture.testbed.set_fault(spoil(Corruption::CutAfter(0)));
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Retry, "{error}");
    assert_eq!(fixture.refreshes(), 2);
    fixture.testbed.clear_faults();
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::LogIn, "{error}");
    assert!(
        matches!(
            error,
            Error::TokenRefresh(TokenRefreshError::Interrupted { .. })
        ),
        "{error}"
    );
    assert_eq!(fixture.refreshes(), 3);
    fixture.assert_nothing_is_stored().await;
    session.refresh().await.unwrap_err();
    assert_eq!(fixture.refreshes(), 3);
}

/// H105: the process that was killed cannot tell, but it has left a note.
#[tokio::test]
async fn a_login_that_died_with_a_process_is_told_from_one_that_was_revoked() {
    for is_interrupted in [false, true] {
        let (fixture, session) = logged_in().await;
        if is_interrupted {
            let lock = fixture.store.lock(&fixture.key()).await.unwrap();
            lock.mark_refresh_started().await.unwrap();
        }
        fixture.testbed.revoke_everything();
        let error = session.refresh().await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::LogIn);
        let is_told = error.to_string().contains("was interrupted");
        assert_eq!(is_told, is_interrupted, "{error}");
    }
}

#[tokio::test]
async fn a_note_is_taken_back_when_it_is_known_what_came_of_the_refresh() {
    let (fixture, session) = logged_in().await;
    let is_in_doubt = async || {
        let lock = fixture.store.lock(&fixture.key()).await.unwrap();
        lock.refresh_interrupted()
    };
    session.refresh().await.unwrap();
    assert!(!is_in_doubt().await, "it is renewed and stored");
    fixture
        .testbed
        .set_fault(Fault::TokenErrorWith200("invalid_scope".to_owned()));
    session.refresh().await.unwrap_err();
    assert!(!is_in_doubt().await, "the server has said no");
    fixture.testbed.clear_faults();
    fixture.testbed.set_fault(spoil(Corruption::CutAfter(0)));
    let (session, _) = fixture.flying_session().await;
    session.refresh().await.unwrap_err();
    assert!(is_in_doubt().await, "the answer was lost");
}

/// What the next one says does not tell what became of the one that was lost.
#[tokio::test]
async fn a_note_outlives_a_later_failure() {
    let (fixture, _) = logged_in().await;
    let (session, _) = fixture.flying_session().await;
    fixture.testbed.set_fault(spoil(Corruption::CutAfter(0)));
    session.refresh().await.unwrap_err();
    fixture.testbed.clear_faults();
    for fault in [
        busy(None, None),
        Fault::TokenErrorWith200("invalid_scope".to_owned()),
    ] {
        fixture.testbed.set_fault(fault);
        session.refresh().await.unwrap_err();
        fixture.testbed.clear_faults();
        let lock = fixture.store.lock(&fixture.key()).await.unwrap();
        assert!(lock.refresh_interrupted());
    }
    let error = session.refresh().await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::TokenRefresh(TokenRefreshError::Interrupted { .. })
        ),
        "{error}"
    );
}

/// A gateway may answer in the place of a server that has done its work: the refresh token may be
/// spent, and is sent once more, as after a lost answer. 503 and 429 are said before anything is
/// done.
#[tokio::test]
async fn an_answer_of_a_gateway_leaves_the_same_doubt_as_a_lost_one() {
    for (status, tries) in [(500, 2), (502, 2), (504, 2), (503, 4), (429, 4)] {
        let (fixture, _) = logged_in().await;
        let (session, _) = fixture.flying_session().await;
        let before = fixture.record().await;
        fixture.testbed.set_fault(Fault::Status {
            path: "/token".to_owned(),
            status,
            body: "<html>later</html>".to_owned(),
            headers: Vec::new(),
            times: None,
        });
        let error = session.refresh().await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::Retry, "{status}: {error}");
        assert_eq!(fixture.posts("/token"), 1 + tries, "{status}");
        assert_eq!(fixture.record().await, before, "{status}");
        let lock = fixture.store.lock(&fixture.key()).await.unwrap();
        assert_eq!(lock.refresh_interrupted(), tries == 2, "{status}");
        drop(lock);
        fixture.testbed.clear_faults();
        session.refresh().await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_costs_no_tokens() {
    for how in [
        Corruption::Html,
        Corruption::Null,
        Corruption::FormEncoded,
        Corruption::TooLarge,
    ] {
        let (fixture, _) = logged_in().await;
        let (session, clock) = fixture.flying_session().await;
        fixture.testbed.set_fault(spoil(how));
        let error = session.refresh().await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::Retry, "{error}");
        assert!(clock.slept().is_empty());
        assert!(fixture.record().await.is_some());
    }
}
