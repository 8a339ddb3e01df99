//! Refreshes at a server that fails temporarily are retried, and the tokens are kept (RFC 6749 §5.2,
//! RFC 9110 §10.2.3, §15.6, RFC 9700 §4.14.2).

use mcp_client_oauth::error::TokenError;

use super::*;

pub(super) fn unavailable(times: Option<u32>, retry_after: Option<&str>) -> Fault {
    let header = |value: &str| ("retry-after".to_owned(), value.to_owned());
    Fault::Status {
        path: "/token".to_owned(),
        status: 503,
        body: "<html>later</html>".to_owned(),
        headers: retry_after.map(header).into_iter().collect(),
        times,
    }
}

/// Asserts that each sleep is between its base and twice its base.
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
async fn a_busy_server_gets_four_requests_and_the_tokens_are_kept() {
    let (fixture, _) = logged_in().await;
    let before = fixture.record().await;
    let (session, clock) = fixture.auto_advancing_session().await;
    fixture.testbed.set_fault(unavailable(None, None));
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Retry);
    assert_jittered(&clock.slept(), &[1, 2, 4]);
    assert_eq!(fixture.posts("/token"), 1 + 4);
    assert_eq!(fixture.record().await, before);

    fixture.testbed.clear_faults();
    session.refresh().await.unwrap();
}

#[tokio::test]
async fn a_server_that_recovers_causes_no_error() {
    let (fixture, _) = logged_in().await;
    let (session, clock) = fixture.auto_advancing_session().await;
    fixture.testbed.set_fault(unavailable(Some(2), None));
    session.refresh().await.unwrap();
    assert_jittered(&clock.slept(), &[1, 2]);
    assert!(fixture.testbed.families()[0].alive);
}

#[tokio::test]
async fn retry_after_is_respected() {
    for wait in [3, 7, 30] {
        let (fixture, _) = logged_in().await;
        let (session, clock) = fixture.auto_advancing_session().await;
        fixture
            .testbed
            .set_fault(unavailable(Some(1), Some(&wait.to_string())));
        session.refresh().await.unwrap();
        assert_eq!(clock.slept(), [seconds(wait)], "{wait}");
    }
    for nonsense in ["-1", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", "0"] {
        let (fixture, _) = logged_in().await;
        let (session, clock) = fixture.auto_advancing_session().await;
        fixture
            .testbed
            .set_fault(unavailable(Some(1), Some(nonsense)));
        session.refresh().await.unwrap();
        assert_jittered(&clock.slept(), &[1]);
    }
}

#[tokio::test]
async fn a_retry_after_above_the_limit_is_returned_to_the_caller() {
    for wait in ["60", "1000000000", "99999999999999999999"] {
        let (fixture, _) = logged_in().await;
        let (session, clock) = fixture.auto_advancing_session().await;
        fixture.testbed.set_fault(unavailable(None, Some(wait)));
        let error = session.refresh().await.unwrap_err();
        let Error::TokenRefresh(TokenRefreshError::Response { cause, .. }) = &error else {
            panic!("{error}");
        };
        let bounded = matches!(
            cause, TokenError::Unavailable { retry_after: Some(wait), .. } if *wait == seconds(60)
        );
        assert!(bounded, "{cause:?}");
        assert!(clock.slept().is_empty(), "the record was locked meanwhile");
        assert_eq!(error.remedy(), Remedy::Retry);
        assert!(fixture.record().await.is_some());
    }
}

#[tokio::test]
async fn an_unreachable_server_is_retried_and_the_tokens_are_kept() {
    let (fixture, _) = logged_in().await;
    let (session, clock) = fixture.auto_advancing_session().await;
    fixture.testbed.stop_authorization_server().await;
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
async fn a_lost_response_is_requested_once_more_where_the_server_allows_reuse() {
    let (fixture, _) = logged_in().await;
    let (session, _) = fixture.auto_advancing_session().await;
    let before = fixture.record().await;
    fixture
        .testbed
        .set_fault(corruption(Corruption::CutAfter(5)));
    fixture
        .testbed
        .set_fault(Fault::AcceptsSpentRefreshTokenOnce);
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Retry, "{error}");
    assert_eq!(fixture.refreshes(), 2);
    assert_eq!(fixture.record().await, before);
}

#[tokio::test]
async fn a_lost_response_without_reuse_ends_the_login_without_a_loop() {
    let (fixture, _) = logged_in().await;
    let (session, _) = fixture.auto_advancing_session().await;
    // The request is processed, and its response is cut off.
    fixture
        .testbed
        .set_fault(corruption(Corruption::CutAfter(0)));
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

/// A killed process leaves its refresh mark in the record (docs/hostile.md H105).
#[tokio::test]
async fn a_refresh_interrupted_by_a_crash_is_distinguished_from_a_revocation() {
    for is_interrupted in [false, true] {
        let (fixture, session) = logged_in().await;
        if is_interrupted {
            let lock = fixture.store.lock(&fixture.key()).await.unwrap();
            lock.mark_refresh_started().await.unwrap();
        }
        fixture.testbed.revoke_all_tokens();
        let error = session.refresh().await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::LogIn);
        let is_reported = error.to_string().contains("was interrupted");
        assert_eq!(is_reported, is_interrupted, "{error}");
    }
}

#[tokio::test]
async fn the_refresh_mark_is_removed_when_the_outcome_is_known() {
    let (fixture, session) = logged_in().await;
    let is_marked = async || {
        let lock = fixture.store.lock(&fixture.key()).await.unwrap();
        lock.refresh_interrupted()
    };
    session.refresh().await.unwrap();
    assert!(!is_marked().await, "the refreshed tokens are stored");
    fixture
        .testbed
        .set_fault(Fault::TokenErrorWith200("invalid_scope".to_owned()));
    session.refresh().await.unwrap_err();
    assert!(!is_marked().await, "the server rejected the request");
    fixture.testbed.clear_faults();
    fixture
        .testbed
        .set_fault(corruption(Corruption::CutAfter(0)));
    let (session, _) = fixture.auto_advancing_session().await;
    session.refresh().await.unwrap_err();
    assert!(is_marked().await, "the response was lost");
}

/// The next response does not show whether the lost request was processed.
#[tokio::test]
async fn the_refresh_mark_survives_a_later_failure() {
    let (fixture, _) = logged_in().await;
    let (session, _) = fixture.auto_advancing_session().await;
    fixture
        .testbed
        .set_fault(corruption(Corruption::CutAfter(0)));
    session.refresh().await.unwrap_err();
    fixture.testbed.clear_faults();
    for fault in [
        unavailable(None, None),
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

/// A gateway may respond instead of a server that has processed the request: the refresh token may be
/// used already, and is sent once more, as after a lost response. 503 and 429 are sent before the
/// request is processed.
#[tokio::test]
async fn a_gateway_error_is_treated_like_a_lost_response() {
    for (status, tries) in [(500, 2), (502, 2), (504, 2), (503, 4), (429, 4)] {
        let (fixture, _) = logged_in().await;
        let (session, _) = fixture.auto_advancing_session().await;
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
async fn an_invalid_response_keeps_the_tokens() {
    for how in [
        Corruption::Html,
        Corruption::Null,
        Corruption::FormEncoded,
        Corruption::TooLarge,
    ] {
        let (fixture, _) = logged_in().await;
        let (session, clock) = fixture.auto_advancing_session().await;
        fixture.testbed.set_fault(corruption(how));
        let error = session.refresh().await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::Retry, "{error}");
        assert!(clock.slept().is_empty());
        assert!(fixture.record().await.is_some());
    }
}
