//! Refreshed tokens are stored before they are returned, and survive a failing store
//! (docs/hostile.md H105, H142).

use std::sync::atomic::Ordering;

use mcp_client_oauth::{
    error::{TokenStorageError, UntrustedText},
    platform::Clock as _,
};

use super::*;
use crate::{flaky_store::FlakyStore, support::lock};

pub(super) async fn logged_in_with(flaky: &Arc<FlakyStore>) -> (Fixture, Session) {
    let mut fixture = Fixture::start().await;
    fixture.store = flaky.store();
    let session = fixture.login().await.unwrap();
    (fixture, session)
}

#[tokio::test]
async fn a_rotated_token_is_stored_before_it_is_returned() {
    let flaky = FlakyStore::new();
    let (fixture, session) = logged_in_with(&flaky).await;
    fixture.advance(LIFE);
    flaky.stop_writes().await;

    let clone = session.clone();
    let caller = tokio::spawn(async move { clone.token().await });
    bounded(flaky.waiting.notified()).await;
    assert_eq!(fixture.refreshes(), 1);
    assert_eq!(session.cached_header(), None, "the token is not stored yet");
    assert!(!caller.is_finished());
    flaky.writes.add_permits(1000);
    let token = bounded(caller).await.unwrap().unwrap();
    assert_eq!(fixture.record().await.unwrap().tokens.access_token, token);
}

#[tokio::test]
async fn a_failing_store_is_reported_once_and_the_login_is_kept() {
    let flaky = FlakyStore::new();
    let (fixture, session) = logged_in_with(&flaky).await;
    let stored = fixture.record().await;
    fixture.advance(LIFE);
    flaky.fails.store(true, Ordering::SeqCst);
    let error = session.token().await.unwrap_err();
    assert!(matches!(error, Error::TokenStorage(_)), "{error}");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(
        fixture.record().await,
        stored,
        "the old record is unchanged"
    );

    // The new tokens are usable meanwhile, and the used refresh token is not sent again.
    let token = session.token().await.unwrap();
    assert_eq!(fixture.refreshes(), 1);
    flaky.fails.store(false, Ordering::SeqCst);
    fixture.advance(LIFE);
    assert_ne!(session.token().await.unwrap(), token);
    assert!(fixture.testbed.families()[0].alive);
    assert_eq!(fixture.record().await, session.record());
}

#[tokio::test]
async fn unsaved_tokens_are_stored_when_the_store_recovers() {
    let flaky = FlakyStore::new();
    let (fixture, session) = logged_in_with(&flaky).await;
    fixture.advance(LIFE);
    flaky.fails.store(true, Ordering::SeqCst);
    session.token().await.unwrap_err();
    flaky.fails.store(false, Ordering::SeqCst);
    // The save is retried without a call.
    fixture.advance(seconds(1));
    bounded(session.flush()).await;
    assert_eq!(fixture.record().await, session.record());
    assert_eq!(fixture.refreshes(), 1);
}

/// The stored refresh token was used: sending it again would end the login.
#[tokio::test]
async fn the_record_stays_locked_until_its_new_tokens_are_stored() {
    let flaky = FlakyStore::new();
    let (fixture, session) = logged_in_with(&flaky).await;
    let other = fixture.client().session(fixture.key()).await.unwrap();
    fixture.advance(LIFE);
    flaky.fails.store(true, Ordering::SeqCst);
    session.token().await.unwrap_err();

    let clone = other.clone();
    let waiting = tokio::spawn(async move { clone.token().await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    flaky.fails.store(false, Ordering::SeqCst);
    fixture.advance(seconds(1));
    let token = bounded(waiting).await.unwrap().unwrap();
    assert_eq!(token, session.token().await.unwrap());
    assert_eq!(fixture.refreshes(), 1);
}

#[tokio::test]
async fn saving_stops_after_an_hour() {
    let flaky = FlakyStore::new();
    let (fixture, _) = logged_in_with(&flaky).await;
    let (session, clock) = fixture.auto_advancing_session().await;
    let started = clock.now();
    flaky.fails.store(true, Ordering::SeqCst);
    session.refresh().await.unwrap_err();
    bounded(session.flush()).await;
    let took = clock.now().duration_since(started).unwrap();
    assert!((seconds(3000)..seconds(4200)).contains(&took), "{took:?}");
    // The lock is free again.
    drop(bounded(fixture.store.lock(&fixture.key())).await.unwrap());
}

#[tokio::test]
async fn a_login_fails_when_its_tokens_cannot_be_stored() {
    let flaky = FlakyStore::new();
    let mut fixture = Fixture::start().await;
    fixture.store = flaky.store();
    flaky.fails.store(true, Ordering::SeqCst);
    let error = fixture.login().await.unwrap_err();
    assert!(matches!(error, Error::TokenStorage(_)), "{error}");
}

/// The tokens of the last refresh are saved for a full hour, whatever was tried before.
#[tokio::test]
async fn a_second_unsaved_refresh_has_its_own_hour() {
    let flaky = FlakyStore::new();
    let (fixture, session) = logged_in_with(&flaky).await;
    flaky.fails.store(true, Ordering::SeqCst);
    session.refresh().await.unwrap_err();
    let advance_15_s = async |count: u64| {
        for _ in 0..count {
            let tries = flaky.tries.load(Ordering::SeqCst);
            fixture.clock.advance(seconds(15));
            bounded(async {
                while flaky.tries.load(Ordering::SeqCst) == tries {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
    };
    // 45 minutes, then 45 more.
    advance_15_s(4 * 45).await;
    session.refresh().await.unwrap_err();
    advance_15_s(4 * 45).await;
    assert_eq!(fixture.refreshes(), 2);
    flaky.fails.store(false, Ordering::SeqCst);
    advance_15_s(1).await;
    bounded(session.flush()).await;
    assert_eq!(fixture.record().await, session.record());
}

/// A refresh fails before its request, while the tokens of an earlier one are only in memory.
#[tokio::test]
async fn unsaved_tokens_survive_a_refresh_that_ends_early() {
    let flaky = FlakyStore::new();
    let (fixture, session) = logged_in_with(&flaky).await;
    flaky.fails.store(true, Ordering::SeqCst);
    session.refresh().await.unwrap_err();
    let unsaved = session.record();
    flaky.notes.fail.store(true, Ordering::SeqCst);
    session.refresh().await.unwrap_err();
    assert_eq!(
        fixture.refreshes(),
        1,
        "nothing was sent without the refresh mark"
    );
    assert_eq!(session.record(), unsaved);
    flaky.notes.fail.store(false, Ordering::SeqCst);
    flaky.fails.store(false, Ordering::SeqCst);
    fixture.advance(seconds(15));
    bounded(session.flush()).await;
    assert_eq!(fixture.record().await, unsaved);
}

/// A rejection that could follow from a refresh by another process removes nothing.
#[tokio::test]
async fn unsaved_tokens_survive_a_failed_read_after_a_rejection() {
    let flaky = FlakyStore::new();
    let (fixture, session) = logged_in_with(&flaky).await;
    flaky.fails.store(true, Ordering::SeqCst);
    session.refresh().await.unwrap_err();
    let unsaved = session.record();
    fixture.testbed.revoke_all_tokens();
    flaky.is_unreadable.store(true, Ordering::SeqCst);
    session.refresh().await.unwrap_err();
    assert_eq!(fixture.refreshes(), 2, "the second was rejected");
    flaky.is_unreadable.store(false, Ordering::SeqCst);
    flaky.fails.store(false, Ordering::SeqCst);
    fixture.advance(seconds(15));
    bounded(session.flush()).await;
    assert_eq!(fixture.record().await, unsaved);
}

/// Each mark extends the lease of the lock: a request is sent within one lease.
#[tokio::test]
async fn each_refresh_attempt_first_marks_the_record() {
    let flaky = FlakyStore::new();
    let (fixture, _) = logged_in_with(&flaky).await;
    let (session, _) = fixture.auto_advancing_session().await;
    fixture
        .testbed
        .set_fault(backoff::unavailable(Some(2), None));
    session.refresh().await.unwrap();
    assert_eq!(fixture.posts("/token"), 1 + 3);
    assert_eq!(flaky.notes.begun.load(Ordering::SeqCst), 3);
}

/// Another process may hold the lock during its own refresh.
#[tokio::test]
async fn a_wider_scope_of_another_session_is_found_without_the_lock() {
    let flaky = FlakyStore::new();
    let (fixture, session) = logged_in_with(&flaky).await;
    let refused = session.token().await.unwrap();
    let other = fixture.client().session(fixture.key()).await.unwrap();
    let newer = other.refresh().await.unwrap();
    let _held = fixture.store.lock(&fixture.key()).await.unwrap();
    let adopted = bounded(session.refresh_after_rejection(&refused, &insufficient())).await;
    assert_eq!(adopted.unwrap(), newer);
}

#[tokio::test]
async fn the_store_is_not_searched_for_a_wider_scope_during_a_refresh() {
    let flaky = FlakyStore::new();
    let (_fixture, session) = logged_in_with(&flaky).await;
    let refused = session.token().await.unwrap();
    flaky.stop_writes().await;
    let refreshing = session.clone();
    let refresh = tokio::spawn(async move { refreshing.refresh().await });
    bounded(flaky.waiting.notified()).await;
    let (clone, before) = (session.clone(), refused.clone());
    let result = tokio::spawn(async move {
        clone
            .refresh_after_rejection(&before, &insufficient())
            .await
    });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(
        !result.is_finished(),
        "the call returned before the refresh"
    );
    flaky.writes.add_permits(1000);
    let refreshed = bounded(refresh).await.unwrap().unwrap();
    assert_eq!(bounded(result).await.unwrap().unwrap(), refreshed);
}

fn insufficient() -> Challenge {
    let mut challenge = Challenge::default();
    challenge.error = Some(UntrustedText::new("insufficient_scope"));
    challenge
}

/// No user should go through a login that cannot be stored.
#[tokio::test]
async fn a_locked_record_fails_the_login_before_the_browser_opens() {
    let flaky = FlakyStore::new();
    let mut fixture = Fixture::start().await;
    fixture.store = flaky.store();
    lock(&flaky.locked).push_back(true);
    let error = fixture.login().await.unwrap_err();
    assert!(
        matches!(error, Error::TokenStorage(TokenStorageError::Locked { .. })),
        "{error}"
    );
    assert_eq!(error.remedy(), Remedy::Retry);
    fixture.assert_nothing_was_sent();
}

#[tokio::test]
async fn a_login_is_stored_although_its_record_is_locked_after_the_consent() {
    let flaky = FlakyStore::new();
    let mut fixture = Fixture::start().await;
    fixture.store = flaky.store();
    lock(&flaky.locked).extend([false, true, true]);
    let session = fixture.login().await.unwrap();
    assert_eq!(fixture.record().await, session.record());
    assert_eq!(fixture.user.opened_urls().len(), 1);

    lock(&flaky.locked).extend([false, true, true, true]);
    fixture.login().await.unwrap_err();
}
