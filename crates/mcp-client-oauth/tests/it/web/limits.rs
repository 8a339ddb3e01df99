//! The number of pending logins is bounded, for an account and for a store.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use futures_util::future::join_all;
use mcp_client_oauth::error::TokenStorageError;
use mcp_oauth_store::{
    Backend, Entry, LockGuard, MemoryBackend, NamePage, NameQuery, Revision, StoredEntry,
};
use serde_json::{Value, json};

use super::*;

const ACCOUNT_LIMIT: usize = 10;
/// The logins in one entry of the index.
const SHARD_LIMIT: usize = 160;

/// A store in memory that counts how often its names are listed, and can ignore lifetimes.
#[derive(Debug, Default)]
struct Counted {
    memory: MemoryBackend,
    lists: AtomicUsize,
    ignores_lifetimes: AtomicBool,
}

#[async_trait]
impl Backend for Counted {
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
        self.lists.fetch_add(1, Ordering::SeqCst);
        self.memory.names(query).await
    }

    async fn lock(&self, name: &str) -> Result<Box<dyn LockGuard>, TokenStorageError> {
        self.memory.lock(name).await
    }
}

async fn counted() -> (Fixture, Arc<Counted>, Client) {
    let mut fixture = Fixture::start().await;
    let counted = Arc::new(Counted::default());
    fixture.store = TokenStore::new(Arc::clone(&counted) as Arc<dyn Backend>);
    let client = fixture.client();
    (fixture, counted, client)
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
async fn logins_that_begin_at_once_keep_the_limit() {
    let (fixture, counted, client) = counted().await;
    let begin = async |_| login(&client, &fixture, "alice").begin().await.unwrap();
    bounded(join_all((0..2 * ACCOUNT_LIMIT).map(begin))).await;
    assert_eq!(pending(&*counted).await, ACCOUNT_LIMIT);
}

/// In some stores, that costs a read of every record.
#[tokio::test]
async fn no_login_lists_the_names_of_the_store() {
    let (fixture, counted, client) = counted().await;
    for account in ["alice", "bob", "alice"] {
        let begun = bounded(login(&client, &fixture, account).begin())
            .await
            .unwrap();
        let callback = approve(&begun).await;
        bounded(client.finish(&callback, &begun.browser_secret))
            .await
            .unwrap();
    }
    fixture.store.flush().await;
    assert_eq!(counted.lists.load(Ordering::SeqCst), 0);
}

/// Returns the entry of the index that exists, and its content.
async fn index(backend: &dyn Backend) -> (String, Value, Revision) {
    let names = mcp_oauth_store::all_names(backend, NameQuery::default());
    let names = names.await.unwrap();
    let name = names.iter().find(|name| name.starts_with("pending-index "));
    let name = name.unwrap().clone();
    let stored = backend.get(&name).await.unwrap().unwrap();
    let content = serde_json::from_slice(stored.entry.bytes.expose()).unwrap();
    (name, content, stored.revision)
}

#[tokio::test]
async fn a_full_store_refuses_a_login_before_any_request_until_some_are_gone() {
    let (fixture, counted, client) = counted().await;
    let begin = || login(&client, &fixture, "alice").begin();
    bounded(begin()).await.unwrap();
    fixture.testbed.clear_requests();
    let (name, mut content, revision) = index(&*counted).await;
    let others: Vec<_> = (0..SHARD_LIMIT)
        .map(|number| format!("pending z#{number}"))
        .collect();
    let logins = content["logins"].as_array_mut().unwrap();
    for other in &others {
        let mut more = logins[0].clone();
        more["name"] = json!(other);
        logins.push(more);
        let entry = Entry::new(Secret::new(b"{}".to_vec()));
        counted.put(other, None, &entry).await.unwrap();
    }
    let full = Entry::new(Secret::new(serde_json::to_vec(&content).unwrap()));
    counted.put(&name, Some(revision), &full).await.unwrap();
    let refuse = async || {
        let error = bounded(begin()).await.unwrap_err();
        let full = matches!(
            error,
            Error::Authorization(AuthorizationError::TooManyPending(number)) if number > SHARD_LIMIT
        );
        assert!(full, "{error}");
        assert_eq!(error.remedy(), Remedy::Retry);
    };
    refuse().await;
    fixture.assert_nothing_was_sent();
    for other in &others {
        counted.delete(other, None).await.unwrap();
    }
    // The logins of a full entry are not read for each attempt.
    refuse().await;
    fixture.clock.advance(Duration::from_secs(5));
    bounded(begin()).await.unwrap();
}

#[tokio::test]
async fn expired_logins_are_removed_from_a_store_that_keeps_them() {
    let (fixture, counted, client) = counted().await;
    counted.ignores_lifetimes.store(true, Ordering::SeqCst);
    for account in 0..25 {
        let account = account.to_string();
        let begun = login(&client, &fixture, &account).begin();
        bounded(begun).await.unwrap();
    }
    assert_eq!(pending(&*counted).await, 25);
    fixture.clock.advance(LIFETIME);
    let begun = login(&client, &fixture, "alice").begin();
    bounded(begun).await.unwrap();
    fixture.store.flush().await;
    assert_eq!(pending(&*counted).await, 1);
}

#[tokio::test]
async fn a_list_of_pending_logins_that_cannot_be_read_stops_no_login() {
    let app = Application::start().await;
    app.begin("alice").await;
    let backend = app.fixture.store.backend();
    let (name, _, revision) = index(&**backend).await;
    let entry = Entry::new(Secret::new(b"garbage".to_vec()));
    backend.put(&name, Some(revision), &entry).await.unwrap();
    app.run(app.login("alice")).await.unwrap();
}
