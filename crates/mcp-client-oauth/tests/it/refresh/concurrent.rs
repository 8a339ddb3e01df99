//! Many tasks, sessions and logins over one refresh token.

use super::*;

const TASKS: usize = 1000;

/// Starts all tasks at the same moment: all of them wait for the same refresh, which is held until the
/// last one waits.
async fn run_concurrently<F, Fut>(fixture: &Fixture, ask: F) -> Vec<Result<AccessToken, Error>>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<AccessToken, Error>> + Send + 'static,
{
    fixture.testbed.set_fault(corruption(Corruption::Held));
    let (arrived, mut line) = tokio::sync::mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (arrived, pending) = (arrived.clone(), ask());
        tasks.spawn(async move {
            // This test has one thread: no other task runs between this and the first await.
            arrived.send(()).unwrap();
            pending.await
        });
    }
    for _ in 0..TASKS {
        bounded(line.recv()).await.unwrap();
    }
    bounded(
        fixture
            .testbed
            .wait_for_requests(Peer::AuthorizationServer, "POST", "/token", 2),
    )
    .await;
    fixture.testbed.release();
    bounded(tasks.join_all()).await
}

#[tokio::test]
async fn a_thousand_tasks_with_an_expired_token_refresh_once() {
    let (fixture, session) = logged_in().await;
    fixture.advance(LIFE);
    let tokens = run_concurrently(&fixture, || {
        let session = session.clone();
        async move { session.token().await }
    })
    .await;
    let current = session.token().await.unwrap();
    assert!(
        tokens
            .iter()
            .all(|token| token.as_ref().unwrap() == &current)
    );
    assert_eq!(fixture.refreshes(), 1);
    assert!(fixture.testbed.families()[0].alive);
}

#[tokio::test]
async fn a_thousand_tasks_with_a_rejected_token_refresh_once() {
    let (fixture, session) = logged_in().await;
    let refused = session.token().await.unwrap();
    let tokens = run_concurrently(&fixture, || {
        let (session, refused) = (session.clone(), refused.clone());
        async move {
            session
                .refresh_after_rejection(&refused, &Challenge::default())
                .await
        }
    })
    .await;
    let current = session.token().await.unwrap();
    assert_ne!(current, refused);
    assert!(
        tokens
            .iter()
            .all(|token| token.as_ref().unwrap() == &current)
    );
    assert_eq!(fixture.refreshes(), 1);
}

#[tokio::test]
async fn a_thousand_tasks_share_one_failure() {
    let (fixture, session) = logged_in().await;
    fixture.advance(LIFE);
    fixture
        .testbed
        .set_fault(Fault::TokenErrorWith200("invalid_grant".to_owned()));
    let outcomes = run_concurrently(&fixture, || {
        let session = session.clone();
        async move { session.token().await }
    })
    .await;
    for outcome in outcomes {
        assert_eq!(outcome.unwrap_err().remedy(), Remedy::LogIn);
    }
    assert_eq!(fixture.refreshes(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_on_several_threads_refresh_once() {
    let (fixture, session) = logged_in().await;
    for round in 1..=20 {
        fixture.advance(LIFE);
        let tasks: JoinSet<_> = (0..64)
            .map(|_| {
                let session = session.clone();
                async move { session.token().await }
            })
            .collect();
        for token in bounded(tasks.join_all()).await {
            token.unwrap();
        }
        assert_eq!(fixture.refreshes(), round);
    }
}

#[tokio::test]
async fn two_sessions_over_one_store_refresh_once() {
    let (fixture, one) = logged_in().await;
    let two = fixture.client().session(fixture.key()).await.unwrap();
    fixture.advance(LIFE);
    let (first, second) = tokio::join!(one.token(), two.token());
    assert_eq!(first.unwrap(), second.unwrap());
    assert_eq!(fixture.refreshes(), 1);
}

#[tokio::test]
async fn a_login_of_another_session_is_used() {
    let (fixture, session) = logged_in().await;
    fixture.advance(seconds(290));
    let elsewhere = fixture.login().await.unwrap();
    assert_eq!(
        session.token().await.unwrap(),
        elsewhere.token().await.unwrap()
    );
    assert_eq!(session.record(), elsewhere.record());
    assert_eq!(fixture.refreshes(), 0);
}

#[tokio::test]
async fn a_logout_of_another_session_is_not_undone() {
    let (fixture, session) = logged_in().await;
    fixture.store.remove(&fixture.key()).await.unwrap();
    fixture.advance(LIFE);
    let error = session.token().await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Authorization(AuthorizationError::LoginRequired(_))
        ),
        "{error}"
    );
    assert_eq!(error.remedy(), Remedy::LogIn);
    assert_eq!(fixture.refreshes(), 0);
    fixture.assert_nothing_is_stored().await;
}

#[tokio::test]
async fn a_cancelled_caller_loses_no_rotated_token() {
    let (fixture, session) = logged_in().await;
    fixture.advance(LIFE);
    fixture.testbed.set_fault(corruption(Corruption::Held));
    let spent = refresh_token(&fixture).await;
    let clone = session.clone();
    let caller = tokio::spawn(async move { clone.token().await });
    bounded(
        fixture
            .testbed
            .wait_for_requests(Peer::AuthorizationServer, "POST", "/token", 2),
    )
    .await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    assert_eq!(
        refresh_token(&fixture).await,
        spent,
        "the response has not arrived yet"
    );
    fixture.testbed.release();

    bounded(session.token()).await.unwrap();
    assert_eq!(fixture.refreshes(), 1);
    assert_ne!(refresh_token(&fixture).await, spent);
    session.refresh().await.unwrap();
    assert!(fixture.testbed.families()[0].alive);
}

#[tokio::test]
async fn a_caller_during_a_pending_attempt_gets_its_error() {
    let (fixture, session) = logged_in().await;
    fixture.advance(LIFE);
    let fault = Fault::TokenErrorWith200("temporarily_unavailable".to_owned());
    fixture.testbed.set_fault(fault);
    fixture.testbed.set_fault(corruption(Corruption::Held));
    let ask = || {
        let session = session.clone();
        tokio::spawn(async move { session.token().await })
    };
    let first = ask();
    bounded(
        fixture
            .testbed
            .wait_for_requests(Peer::AuthorizationServer, "POST", "/token", 2),
    )
    .await;
    let late = ask();
    // This test has one thread: after this, the task waits.
    tokio::task::yield_now().await;
    fixture.testbed.release();
    for outcome in [first, late] {
        assert!(bounded(outcome).await.unwrap().is_err());
    }
    assert_eq!(fixture.refreshes(), 1);
    session.token().await.unwrap_err();
    assert_eq!(
        fixture.refreshes(),
        2,
        "a later caller starts a new attempt"
    );
}
