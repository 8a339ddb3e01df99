//! Renewed tokens are stored before anybody gets them, and survive a store that fails (H105, H142).

use std::sync::atomic::Ordering;

use mcp_client_oauth::{
    error::TokenStorageError,
    platform::Clock as _,
    proto::{challenge::Challenge, untrusted_text::UntrustedText},
};

use super::*;
use crate::{moody::FlakyStore, support::lock};

pub(super) async fn logged_in_with(moody: &Arc<FlakyStore>) -> (Fixture, Session) {
    let mut fixture = Fixture::start().await;
    fixture.store = moody.store();
    let session = fixture.login().await.unwrap();
    (fixture, session)
}

#[tokio::test]
async fn a_rotated_token_is_stored_before_anybody_gets_it() {
    let moody = FlakyStore::new();
    let (fixture, session) = logged_in_with(&moody).await;
    fixture.pass(LIFE);
    moody.stop_writes().await;

    let asking = session.clone();
    let caller = tokio::spawn(async move { asking.token().await });
    bounded(moody.waiting.notified()).await;
    assert_eq!(fixture.refreshes(), 1);
    assert_eq!(session.ready_header(), None, "it is not stored yet");
    assert!(!caller.is_finished());
    moody.writes.add_permits(1000);
    let token = bounded(caller).await.unwrap().unwrap();
    assert_eq!(fixture.record().await.unwrap().tokens.access_token, token);
}

#[tokio::test]
async fn a_store_that_fails_is_told_once_and_costs_no_login() {
    let moody = FlakyStore::new();
    let (fixture, session) = logged_in_with(&moody).await;
    let stored = fixture.record().await;
    fixture.pass(LIFE);
    moody.fails.store(true, Ordering::SeqCst);
    let error = session.token().await.unwrap_err();
    assert!(matches!(error, Error::TokenStorage(_)), "{error}");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(fixture.record().await, stored, "the old record is intact");

    // The tokens are usable meanwhile, and nobody refreshes with the spent one.
    let token = session.token().await.unwrap();
    assert_eq!(fixture.refreshes(), 1);
    moody.fails.store(false, Ordering::SeqCst);
    fixture.pass(LIFE);
    assert_ne!(session.token().await.unwrap(), token);
    assert!(fixture.testbed.families()[0].alive);
    assert_eq!(fixture.record().await.unwrap(), session.record());
}

#[tokio::test]
async fn tokens_that_could_not_be_stored_are_stored_as_soon_as_that_works() {
    let moody = FlakyStore::new();
    let (fixture, session) = logged_in_with(&moody).await;
    fixture.pass(LIFE);
    moody.fails.store(true, Ordering::SeqCst);
    session.token().await.unwrap_err();
    moody.fails.store(false, Ordering::SeqCst);
    // Nobody asks for anything; time goes by.
    fixture.pass(seconds(1));
    bounded(session.flush()).await;
    assert_eq!(fixture.record().await.unwrap(), session.record());
    assert_eq!(fixture.refreshes(), 1);
}

/// What is stored is spent: whoever sent it would end the login.
#[tokio::test]
async fn nobody_else_may_have_the_record_before_its_new_tokens_are_stored() {
    let moody = FlakyStore::new();
    let (fixture, session) = logged_in_with(&moody).await;
    let other = Session::open(
        fixture.platform.clone(),
        fixture.store.clone(),
        fixture.key(),
    )
    .await;
    let other = other.unwrap().unwrap();
    fixture.pass(LIFE);
    moody.fails.store(true, Ordering::SeqCst);
    session.token().await.unwrap_err();

    let asking = other.clone();
    let waiting = tokio::spawn(async move { asking.token().await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    moody.fails.store(false, Ordering::SeqCst);
    fixture.pass(seconds(1));
    let token = bounded(waiting).await.unwrap().unwrap();
    assert_eq!(token, session.token().await.unwrap());
    assert_eq!(fixture.refreshes(), 1);
}

#[tokio::test]
async fn a_store_that_never_recovers_is_given_up_after_an_hour() {
    let moody = FlakyStore::new();
    let (fixture, _) = logged_in_with(&moody).await;
    let (session, clock) = fixture.flying_session().await;
    let began = clock.now();
    moody.fails.store(true, Ordering::SeqCst);
    session.refresh().await.unwrap_err();
    bounded(session.flush()).await;
    let took = clock.now().duration_since(began).unwrap();
    assert!((seconds(3000)..seconds(4200)).contains(&took), "{took:?}");
    // Others may have it again.
    drop(bounded(fixture.store.lock(&fixture.key())).await.unwrap());
}

#[tokio::test]
async fn a_login_whose_tokens_cannot_be_stored_has_failed() {
    let moody = FlakyStore::new();
    let mut fixture = Fixture::start().await;
    fixture.store = moody.store();
    moody.fails.store(true, Ordering::SeqCst);
    let error = fixture.login().await.unwrap_err();
    assert!(matches!(error, Error::TokenStorage(_)), "{error}");
}

/// The hour of what was put aside last is a whole one, whoever tried before.
#[tokio::test]
async fn a_second_renewal_that_cannot_be_stored_has_an_hour_of_its_own() {
    let moody = FlakyStore::new();
    let (fixture, session) = logged_in_with(&moody).await;
    moody.fails.store(true, Ordering::SeqCst);
    session.refresh().await.unwrap_err();
    let quarters = async |count: u64| {
        for _ in 0..count {
            let tries = moody.tries.load(Ordering::SeqCst);
            fixture.clock.advance(seconds(15));
            bounded(async {
                while moody.tries.load(Ordering::SeqCst) == tries {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
    };
    // 45 minutes, and 45 more.
    quarters(4 * 45).await;
    session.refresh().await.unwrap_err();
    quarters(4 * 45).await;
    assert_eq!(fixture.refreshes(), 2);
    moody.fails.store(false, Ordering::SeqCst);
    quarters(1).await;
    bounded(session.flush()).await;
    assert_eq!(fixture.record().await.unwrap(), session.record());
}

/// A renewal that cannot even begin, with tokens of an earlier one that are in memory only.
#[tokio::test]
async fn what_is_not_stored_is_kept_by_a_renewal_that_ends_early() {
    let moody = FlakyStore::new();
    let (fixture, session) = logged_in_with(&moody).await;
    moody.fails.store(true, Ordering::SeqCst);
    session.refresh().await.unwrap_err();
    let unsaved = session.record();
    moody.notes.fail.store(true, Ordering::SeqCst);
    session.refresh().await.unwrap_err();
    assert_eq!(fixture.refreshes(), 1, "nothing was sent without a note");
    assert_eq!(session.record(), unsaved);
    moody.notes.fail.store(false, Ordering::SeqCst);
    moody.fails.store(false, Ordering::SeqCst);
    fixture.pass(seconds(15));
    bounded(session.flush()).await;
    assert_eq!(fixture.record().await.unwrap(), unsaved);
}

/// A refusal that cannot be told from a renewal of somebody else costs nothing.
#[tokio::test]
async fn what_is_not_stored_is_kept_when_the_store_cannot_be_read_after_a_refusal() {
    let moody = FlakyStore::new();
    let (fixture, session) = logged_in_with(&moody).await;
    moody.fails.store(true, Ordering::SeqCst);
    session.refresh().await.unwrap_err();
    let unsaved = session.record();
    fixture.testbed.revoke_everything();
    moody.is_unreadable.store(true, Ordering::SeqCst);
    session.refresh().await.unwrap_err();
    assert_eq!(fixture.refreshes(), 2, "the second was refused");
    moody.is_unreadable.store(false, Ordering::SeqCst);
    moody.fails.store(false, Ordering::SeqCst);
    fixture.pass(seconds(15));
    bounded(session.flush()).await;
    assert_eq!(fixture.record().await.unwrap(), unsaved);
}

/// The notes of a lease make it last: each request is sent within the length of one.
#[tokio::test]
async fn each_try_of_a_refresh_notes_first_that_the_record_is_ours() {
    let moody = FlakyStore::new();
    let (fixture, _) = logged_in_with(&moody).await;
    let (session, _) = fixture.flying_session().await;
    fixture.testbed.set_fault(patience::busy(Some(2), None));
    session.refresh().await.unwrap();
    assert_eq!(fixture.posts("/token"), 1 + 3);
    assert_eq!(moody.notes.begun.load(Ordering::SeqCst), 3);
}

/// Another process may hold the record for as long as its own renewal takes.
#[tokio::test]
async fn a_wider_scope_of_somebody_else_is_found_without_the_lock() {
    let moody = FlakyStore::new();
    let (fixture, session) = logged_in_with(&moody).await;
    let refused = session.token().await.unwrap();
    let other = Session::open(
        fixture.platform.clone(),
        fixture.store.clone(),
        fixture.key(),
    )
    .await;
    let newer = other.unwrap().unwrap().refresh().await.unwrap();
    let _held = fixture.store.lock(&fixture.key()).await.unwrap();
    let adopted = bounded(session.refresh_after_rejection(&refused, &insufficient())).await;
    assert_eq!(adopted.unwrap(), newer);
}

#[tokio::test]
async fn a_wider_scope_is_not_looked_for_in_the_middle_of_a_renewal() {
    let moody = FlakyStore::new();
    let (_fixture, session) = logged_in_with(&moody).await;
    let refused = session.token().await.unwrap();
    moody.stop_writes().await;
    let renewing = session.clone();
    let renewal = tokio::spawn(async move { renewing.refresh().await });
    bounded(moody.waiting.notified()).await;
    let (asking, before) = (session.clone(), refused.clone());
    let asked = tokio::spawn(async move {
        asking
            .refresh_after_rejection(&before, &insufficient())
            .await
    });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!asked.is_finished(), "the old token was judged");
    moody.writes.add_permits(1000);
    let renewed = bounded(renewal).await.unwrap().unwrap();
    assert_eq!(bounded(asked).await.unwrap().unwrap(), renewed);
}

fn insufficient() -> Challenge {
    let mut challenge = Challenge::default();
    challenge.error = Some(UntrustedText::new("insufficient_scope"));
    challenge
}

/// Nobody goes through a login whose record somebody does not let go of.
#[tokio::test]
async fn a_login_whose_record_is_locked_has_failed_before_the_person_is_asked() {
    let moody = FlakyStore::new();
    let mut fixture = Fixture::start().await;
    fixture.store = moody.store();
    lock(&moody.locked).push_back(true);
    let error = fixture.login().await.unwrap_err();
    assert!(
        matches!(error, Error::TokenStorage(TokenStorageError::Locked { .. })),
        "{error}"
    );
    assert_eq!(error.remedy(), Remedy::Retry);
    fixture.assert_nothing_was_sent();
}

#[tokio::test]
async fn a_login_whose_record_is_locked_after_the_consent_is_stored_all_the_same() {
    let moody = FlakyStore::new();
    let mut fixture = Fixture::start().await;
    fixture.store = moody.store();
    lock(&moody.locked).extend([false, true, true]);
    let session = fixture.login().await.unwrap();
    assert_eq!(fixture.record().await.unwrap(), session.record());
    assert_eq!(fixture.person.opened().len(), 1);

    lock(&moody.locked).extend([false, true, true, true]);
    fixture.login().await.unwrap_err();
}
