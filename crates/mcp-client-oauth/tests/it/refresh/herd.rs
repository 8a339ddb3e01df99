//! Many tasks, sessions and logins over one refresh token.

use mcp_client_oauth::proto::challenge::Challenge;

use super::*;

const TASKS: usize = 1000;

/// Every task asks at the same moment, and all of them wait behind the same refresh: it is held
/// until the last one stands in the line.
async fn storm<F, Fut>(fixture: &Fixture, ask: F) -> Vec<Result<AccessToken, Error>>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<AccessToken, Error>> + Send + 'static,
{
    fixture.testbed.set_fault(spoil(Corruption::Held));
    let (arrived, mut line) = tokio::sync::mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (arrived, asking) = (arrived.clone(), ask());
        tasks.spawn(async move {
            // On the one thread of this test nobody comes between this and the first await.
            arrived.send(()).unwrap();
            asking.await
        });
    }
    for _ in 0..TASKS {
        bounded(line.recv()).await.unwrap();
    }
    bounded(
        fixture
            .testbed
            .arrived(Peer::AuthorizationServer, "POST", "/token", 2),
    )
    .await;
    fixture.testbed.release();
    bounded(tasks.join_all()).await
}

#[tokio::test]
async fn a_thousand_tasks_with_an_expired_token_refresh_once() {
    let (fixture, session) = logged_in().await;
    fixture.pass(LIFE);
    let tokens = storm(&fixture, || {
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
async fn a_thousand_tasks_with_a_refused_token_refresh_once() {
    let (fixture, session) = logged_in().await;
    let refused = session.token().await.unwrap();
    let tokens = storm(&fixture, || {
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
    fixture.pass(LIFE);
    fixture
        .testbed
        .set_fault(Fault::TokenErrorWith200("invalid_grant".to_owned()));
    let outcomes = storm(&fixture, || {
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
        fixture.pass(LIFE);
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
    let two = Session::open(
        fixture.platform.clone(),
        fixture.store.clone(),
        fixture.key(),
    )
    .await;
    let two = two.unwrap().unwrap();
    fixture.pass(LIFE);
    let (first, second) = tokio::join!(one.token(), two.token());
    assert_eq!(first.unwrap(), second.unwrap());
    assert_eq!(fixture.refreshes(), 1);
}

#[tokio::test]
async fn a_login_elsewhere_is_adopted() {
    let (fixture, session) = logged_in().await;
    fixture.pass(seconds(290));
    let elsewhere = fixture.login().await.unwrap();
    assert_eq!(
        session.token().await.unwrap(),
        elsewhere.token().await.unwrap()
    );
    assert_eq!(session.record(), elsewhere.record());
    assert_eq!(fixture.refreshes(), 0);
}

#[tokio::test]
async fn a_logout_elsewhere_is_respected_and_not_undone() {
    let (fixture, session) = logged_in().await;
    fixture.store.forget(&fixture.key()).await.unwrap();
    fixture.pass(LIFE);
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
async fn a_caller_that_gives_up_loses_no_rotated_token() {
    let (fixture, session) = logged_in().await;
    fixture.pass(LIFE);
    fixture.testbed.set_fault(spoil(Corruption::Held));
    let spent = refresh_token(&fixture).await;
    let asking = session.clone();
    let caller = tokio::spawn(async move { asking.token().await });
    bounded(
        fixture
            .testbed
            .arrived(Peer::AuthorizationServer, "POST", "/token", 2),
    )
    .await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    assert_eq!(
        refresh_token(&fixture).await,
        spent,
        "the answer is not there yet"
    );
    fixture.testbed.release();

    bounded(session.token()).await.unwrap();
    assert_eq!(fixture.refreshes(), 1);
    assert_ne!(refresh_token(&fixture).await, spent);
    session.refresh().await.unwrap();
    assert!(fixture.testbed.families()[0].alive);
}

#[tokio::test]
async fn who_comes_while_an_attempt_is_under_way_shares_its_failure() {
    let (fixture, session) = logged_in().await;
    fixture.pass(LIFE);
    let fault = Fault::TokenErrorWith200("temporarily_unavailable".to_owned());
    fixture.testbed.set_fault(fault);
    fixture.testbed.set_fault(spoil(Corruption::Held));
    let ask = || {
        let session = session.clone();
        tokio::spawn(async move { session.token().await })
    };
    let first = ask();
    bounded(
        fixture
            .testbed
            .arrived(Peer::AuthorizationServer, "POST", "/token", 2),
    )
    .await;
    let late = ask();
    // On the one thread of this test it waits in line after this.
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
        "who comes later tries for themselves"
    );
}
