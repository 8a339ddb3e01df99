//! Many users in one process: a client keeps a bounded number of sessions open, and none is lost.

use std::{
    future::IntoFuture as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use mcp_client_oauth::{Client, Session, TokenStore, error::TokenStorageError, store::LoginKey};
use mcp_oauth_store::{Backend, Entry, LockGuard, NamePage, NameQuery, Revision, StoredEntry};
use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Peer};

use crate::{
    flaky_store::FlakyStore,
    support::{Fixture, bounded},
};

const LIFE: Duration = Duration::from_secs(300);
/// More than fit.
const CROWD: usize = 24_000;
/// The largest number of open sessions (`client/open_sessions.rs`).
const CAPACITY: usize = 10_240;
/// The prefix of the accounts that have a copy of the login of the fixture.
const COPY: &str = "copy-";

/// A store in which each account `copy-…` has the login of the server's only account.
#[derive(Debug)]
struct Copies {
    inner: Arc<FlakyStore>,
    /// The number of records that were read.
    reads: AtomicUsize,
}

fn original(name: &str) -> &str {
    match name.split_once('#') {
        Some((original, account)) if account.starts_with(COPY) => original,
        _ => name,
    }
}

#[async_trait]
impl Backend for Copies {
    async fn get(&self, name: &str) -> Result<Option<StoredEntry>, TokenStorageError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.inner.get(original(name)).await
    }

    async fn put(
        &self,
        name: &str,
        expected: Option<Revision>,
        entry: &Entry,
    ) -> Result<Revision, TokenStorageError> {
        self.inner.put(name, expected, entry).await
    }

    async fn delete(
        &self,
        name: &str,
        expected: Option<Revision>,
    ) -> Result<bool, TokenStorageError> {
        self.inner.delete(name, expected).await
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn names(&self, query: &NameQuery) -> Result<NamePage, TokenStorageError> {
        self.inner.names(query).await
    }

    async fn lock(&self, name: &str) -> Result<Box<dyn LockGuard>, TokenStorageError> {
        self.inner.lock(name).await
    }
}

/// A login, a client that has it open, and the store of its copies.
struct Crowd {
    fixture: Fixture,
    client: Client,
    flaky: Arc<FlakyStore>,
    copies: Arc<Copies>,
}

impl Crowd {
    async fn start() -> Self {
        let mut fixture = Fixture::start().await;
        let flaky = FlakyStore::new();
        let copies = Arc::new(Copies {
            inner: Arc::clone(&flaky),
            reads: AtomicUsize::new(0),
        });
        fixture.store = TokenStore::new(Arc::clone(&copies) as _);
        let client = fixture.client();
        bounded(client.login(&fixture.server).into_future())
            .await
            .unwrap();
        Self {
            fixture,
            client,
            flaky,
            copies,
        }
    }

    fn copy(&self, number: usize) -> LoginKey {
        self.fixture.key().with_account(format!("{COPY}{number}"))
    }

    async fn open(&self, numbers: impl IntoIterator<Item = usize>) -> Vec<Session> {
        let mut sessions = Vec::new();
        for number in numbers {
            sessions.push(self.client.session(self.copy(number)).await.unwrap());
        }
        sessions
    }

    /// Returns whether opening a session reads its record: it was not open.
    async fn is_closed(&self, key: LoginKey) -> bool {
        let before = self.copies.reads.load(Ordering::SeqCst);
        self.client.session(key).await.unwrap();
        self.copies.reads.load(Ordering::SeqCst) > before
    }
}

#[tokio::test]
async fn the_number_of_open_sessions_is_bounded() {
    let crowd = Crowd::start().await;
    for number in 0..CROWD {
        drop(crowd.open([number]).await);
    }
    let mut open = 0;
    // The last ones first: each that is closed is opened, which closes one that was used before it.
    for number in (0..CROWD).rev() {
        open += usize::from(!crowd.is_closed(crowd.copy(number)).await);
    }
    assert!(open <= CAPACITY, "{open} sessions were open");
    assert!(open > CAPACITY * 8 / 10, "only {open} sessions were open");
}

#[tokio::test]
async fn a_session_that_is_not_used_for_half_an_hour_is_closed() {
    // Idle sessions are closed when their set gets a session. Accounts are spread over the sets by chance: the
    // first number of others fills no set, and the second one leaves none without a session.
    for (minutes, others, closed) in [(29, 2_000, 0), (31, 10_000, 100)] {
        let crowd = Crowd::start().await;
        drop(crowd.open(0..100).await);
        crowd
            .fixture
            .clock
            .advance(Duration::from_secs(minutes * 60));
        drop(crowd.open(100..100 + others).await);
        let mut found = 0;
        for number in 0..100 {
            found += usize::from(crowd.is_closed(crowd.copy(number)).await);
        }
        assert_eq!(found, closed, "after {minutes} minutes");
    }
}

#[tokio::test]
async fn a_session_that_a_caller_holds_is_closed_last() {
    let crowd = Crowd::start().await;
    let held = crowd.open(0..100).await;
    crowd.fixture.clock.advance(Duration::from_secs(3600));
    for number in 100..CROWD {
        drop(crowd.open([number]).await);
    }
    for session in &held {
        assert!(!crowd.is_closed(session.key()).await);
    }
}

#[tokio::test]
async fn a_session_that_is_refreshing_stays_open() {
    let crowd = Crowd::start().await;
    let fixture = &crowd.fixture;
    fixture.advance(LIFE);
    fixture
        .testbed
        .set_fault(Fault::Corrupt(Endpoint::Token, Corruption::Held));
    let session = crowd.client.session(fixture.key()).await.unwrap();
    let caller = tokio::spawn(async move { session.header().await });
    let (server, path) = (Peer::AuthorizationServer, "/token");
    let sent = fixture.testbed.wait_for_requests(server, "POST", path, 2);
    bounded(sent).await;
    // The caller gives up. The refresh goes on.
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    let held = crowd.open(0..CROWD).await;
    assert!(!crowd.is_closed(fixture.key()).await);
    fixture.testbed.release();
    let session = crowd.client.session(fixture.key()).await.unwrap();
    bounded(session.header()).await.unwrap();
    assert_eq!(fixture.refreshes(), 1);
    drop((held, session));
    // Then it may be closed as any other.
    bounded(crowd.client.flush()).await;
    drop(crowd.open(CROWD..2 * CROWD).await);
    assert!(crowd.is_closed(fixture.key()).await);
}

#[tokio::test]
async fn a_session_with_unsaved_tokens_stays_open() {
    let crowd = Crowd::start().await;
    let fixture = &crowd.fixture;
    fixture.advance(LIFE);
    crowd.flaky.fails.store(true, Ordering::SeqCst);
    let session = crowd.client.session(fixture.key()).await.unwrap();
    bounded(session.header()).await.unwrap_err();
    drop(session);
    let held = crowd.open(0..CROWD).await;
    assert!(!crowd.is_closed(fixture.key()).await);
    let session = crowd.client.session(fixture.key()).await.unwrap();
    bounded(session.header()).await.unwrap();
    assert_eq!(fixture.refreshes(), 1);
    drop(held);
}

#[tokio::test]
async fn two_sessions_of_one_login_refresh_once() {
    let crowd = Crowd::start().await;
    let fixture = &crowd.fixture;
    let first = crowd.client.session(fixture.key()).await.unwrap();
    // Callers hold all sessions, so the one that was used first is closed.
    let held = crowd.open(0..CROWD).await;
    assert!(crowd.is_closed(fixture.key()).await);
    let second = crowd.client.session(fixture.key()).await.unwrap();
    fixture.advance(LIFE);
    let (one, other) = bounded(async { tokio::join!(first.header(), second.header()) }).await;
    assert_eq!(one.unwrap(), other.unwrap());
    assert_eq!(fixture.refreshes(), 1);
    drop(held);
}
