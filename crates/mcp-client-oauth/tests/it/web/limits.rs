//! The number of pending logins is bounded, for an account and for a store.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use mcp_client_oauth::error::TokenStorageError;
use mcp_oauth_store::{
    Backend, Entry, LockGuard, MemoryBackend, NamePage, NameQuery, Revision, StoredEntry,
};

use super::*;

const ACCOUNT_LIMIT: usize = 10;
const STORE_LIMIT: usize = 10_000;

/// A store in memory that can list many other names, or ignore lifetimes.
#[derive(Debug, Default)]
struct Crowded {
    memory: MemoryBackend,
    others: AtomicUsize,
    lists: AtomicUsize,
    ignores_lifetimes: AtomicBool,
}

#[async_trait]
impl Backend for Crowded {
    async fn get(&self, name: &str) -> Result<Option<StoredEntry>, TokenStorageError> {
        self.memory.get(name).await
    }

    async fn put(
        &self,
        name: &str,
        expected: Option<Revision>,
        entry: &Entry,
    ) -> Result<Revision, TokenStorageError> {
        let mut entry = entry.clone();
        if self.ignores_lifetimes.load(Ordering::SeqCst) {
            entry.lifetime = None;
        }
        self.memory.put(name, expected, &entry).await
    }

    async fn delete(
        &self,
        name: &str,
        expected: Option<Revision>,
    ) -> Result<bool, TokenStorageError> {
        self.memory.delete(name, expected).await
    }

    async fn names(&self, query: &NameQuery) -> Result<NamePage, TokenStorageError> {
        let mut page = self.memory.names(query).await?;
        if query.account.is_none() && page.next.is_none() {
            self.lists.fetch_add(1, Ordering::SeqCst);
            let others = 0..self.others.load(Ordering::SeqCst);
            let others = others.map(|number| format!("pending z{number}#{number}"));
            page.names.extend(others);
        }
        Ok(page)
    }

    async fn lock(&self, name: &str) -> Result<Box<dyn LockGuard>, TokenStorageError> {
        self.memory.lock(name).await
    }
}

async fn crowded() -> (Fixture, Arc<Crowded>, Client) {
    let mut fixture = Fixture::start().await;
    let crowded = Arc::new(Crowded::default());
    fixture.store = TokenStore::new(Arc::clone(&crowded) as Arc<dyn Backend>);
    let client = fixture.client();
    (fixture, crowded, client)
}

async fn pending(store: &dyn Backend) -> usize {
    let names = mcp_oauth_store::all_names(store, NameQuery::default());
    let names = names.await.unwrap();
    let pending = |name: &&String| name.starts_with("pending ");
    names.iter().filter(pending).count()
}

#[tokio::test]
async fn a_further_login_of_an_account_replaces_its_oldest_one() {
    let app = Application::start().await;
    let other = app.begin("bob").await;
    let mut begun = Vec::new();
    for _ in 0..=ACCOUNT_LIMIT {
        begun.push(app.begin("alice").await);
        app.fixture.clock.advance(Duration::from_secs(1));
    }
    let backend = app.fixture.store.backend();
    assert_eq!(pending(&**backend).await, ACCOUNT_LIMIT + 1);
    let oldest = &begun[0];
    let callback = approve(oldest).await;
    let refused = app.finish(&callback, &oldest.browser_secret).await;
    assert!(matches!(refusal(refused), AuthorizationError::NotPending));
    for kept in [&begun[1], &begun[ACCOUNT_LIMIT], &other] {
        let callback = approve(kept).await;
        app.finish(&callback, &kept.browser_secret).await.unwrap();
    }
}

#[tokio::test]
async fn a_full_store_refuses_a_login_before_any_request_until_some_are_gone() {
    let (fixture, crowded, client) = crowded().await;
    crowded.others.store(STORE_LIMIT, Ordering::SeqCst);
    let begin = || login(&client, &fixture, "alice").begin();
    for _ in 0..3 {
        let error = bounded(begin()).await.unwrap_err();
        let Error::Authorization(AuthorizationError::TooManyPending(number)) = error else {
            panic!("{error}");
        };
        assert_eq!(number, STORE_LIMIT);
        assert_eq!(error.remedy(), Remedy::Retry);
    }
    fixture.assert_nothing_was_sent();
    // The names of a full store are not listed for each attempt.
    assert_eq!(crowded.lists.load(Ordering::SeqCst), 1);
    crowded.others.store(0, Ordering::SeqCst);
    fixture.clock.advance(Duration::from_secs(5));
    bounded(begin()).await.unwrap();
}

#[tokio::test]
async fn the_store_is_counted_once_a_minute() {
    let (fixture, crowded, client) = crowded().await;
    crowded.others.store(STORE_LIMIT - 2, Ordering::SeqCst);
    let begin = || bounded(login(&client, &fixture, "alice").begin());
    begin().await.unwrap();
    begin().await.unwrap();
    // This process adds its own logins to the last count.
    assert!(begin().await.is_err());
    let lists = crowded.lists.load(Ordering::SeqCst);
    crowded.others.store(0, Ordering::SeqCst);
    fixture.clock.advance(Duration::from_secs(60));
    for _ in 0..5 {
        begin().await.unwrap();
    }
    assert_eq!(crowded.lists.load(Ordering::SeqCst), lists + 1);
}

#[tokio::test]
async fn expired_logins_are_removed_from_a_store_that_keeps_them() {
    let (fixture, crowded, client) = crowded().await;
    crowded.ignores_lifetimes.store(true, Ordering::SeqCst);
    for account in 0..25 {
        let account = account.to_string();
        let begun = login(&client, &fixture, &account).begin();
        bounded(begun).await.unwrap();
    }
    assert_eq!(pending(&*crowded).await, 25);
    fixture.clock.advance(LIFETIME);
    let begun = login(&client, &fixture, "alice").begin();
    bounded(begun).await.unwrap();
    assert_eq!(pending(&*crowded).await, 1);
}

#[tokio::test]
async fn a_pending_login_that_cannot_be_read_stops_no_other_one() {
    let app = Application::start().await;
    let backend = app.fixture.store.backend();
    for number in 0..ACCOUNT_LIMIT {
        let entry = Entry::new(Secret::new(b"garbage".to_vec())).with_lifetime(LIFETIME);
        let name = format!("pending {number}#alice");
        backend.put(&name, None, &entry).await.unwrap();
    }
    app.run(app.login("alice")).await.unwrap();
    assert_eq!(pending(&**backend).await, 0);
}
