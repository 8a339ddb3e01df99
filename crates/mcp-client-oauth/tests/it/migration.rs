//! The migration of all logins and registrations from one store to another.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use mcp_client_oauth::{Secret, TokenStore, error::TokenStorageError};
use mcp_oauth_store::{
    Backend, ConflictPolicy, EncryptedFileStore, Entry, KeySource, LockGuard, MemoryBackend,
    MigrationCopy, MigrationError, NamePage, NameQuery, Revision, Skipped, StoredEntry,
};

use crate::{
    encrypted::{Home, sorted_names},
    support::{Fixture, lock},
};

const ONE: &str = "login https://one.example/mcp";
const TWO: &str = "login https://two.example/mcp#work";
const CLIENT: &str = "client https://issuer.example";

fn entry(text: &str) -> Entry {
    Entry::new(Secret::new(text.as_bytes().to_vec()))
}

/// A store in memory that fails at a chosen call, changes a record before a deletion, and requires that
/// a record is locked when it is changed.
#[derive(Debug, Default)]
struct TestStore {
    inner: MemoryBackend,
    held: Arc<Mutex<BTreeSet<String>>>,
    /// The number of calls that succeed; shared by both stores.
    remaining_calls: Arc<AtomicUsize>,
    /// The change by another process just before a deletion.
    meanwhile: Mutex<Option<(String, String)>>,
    /// The names of corrupt records.
    corrupt: Mutex<BTreeSet<String>>,
    /// Says whether reads return other content than was written.
    returns_other_content: bool,
}

impl TestStore {
    fn new() -> Arc<Self> {
        let store = Self::default();
        store.remaining_calls.store(usize::MAX, Ordering::SeqCst);
        Arc::new(store)
    }

    /// Returns a store with three records.
    async fn with_records() -> Arc<Self> {
        let store = Self::new();
        for name in [ONE, TWO, CLIENT] {
            store.set(name, &format!("of {name}")).await;
        }
        store
    }

    fn store(self: &Arc<Self>) -> TokenStore {
        TokenStore::new(Arc::clone(self) as Arc<dyn Backend>)
    }

    async fn set(&self, name: &str, text: &str) {
        let existing = self.inner.get(name).await.unwrap();
        let revision = existing.map(|stored| stored.revision);
        self.inner.put(name, revision, &entry(text)).await.unwrap();
    }

    async fn contents(&self) -> BTreeMap<String, String> {
        let mut contents = BTreeMap::new();
        for name in sorted_names(&self.inner).await {
            let stored = self.inner.get(&name).await.unwrap().unwrap();
            let text = String::from_utf8(stored.entry.bytes.expose().clone()).unwrap();
            contents.insert(name, text);
        }
        contents
    }

    fn count_call(&self) -> Result<(), TokenStorageError> {
        let left = self
            .remaining_calls
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        left.map(drop).map_err(|_| TokenStorageError::Locked {
            location: "everything".to_owned(),
        })
    }

    fn assert_held(&self, name: &str) {
        assert!(lock(&self.held).contains(name), "{name} is not held");
    }
}

#[derive(Debug)]
struct Guard {
    name: String,
    held: Arc<Mutex<BTreeSet<String>>>,
}

impl LockGuard for Guard {}

impl Drop for Guard {
    fn drop(&mut self) {
        lock(&self.held).remove(&self.name);
    }
}

#[async_trait]
impl Backend for TestStore {
    async fn get(&self, name: &str) -> Result<Option<StoredEntry>, TokenStorageError> {
        self.count_call()?;
        if lock(&self.corrupt).contains(name) {
            return Err(TokenStorageError::Corrupt {
                location: name.to_owned(),
                why: "a test",
            });
        }
        let found = self.inner.get(name).await?;
        Ok(found.map(|stored| {
            if self.returns_other_content {
                StoredEntry::new(stored.revision, entry("something else"))
            } else {
                stored
            }
        }))
    }

    async fn put(
        &self,
        name: &str,
        expected: Option<Revision>,
        entry: &Entry,
    ) -> Result<Revision, TokenStorageError> {
        self.count_call()?;
        self.assert_held(name);
        self.inner.put(name, expected, entry).await
    }

    async fn delete(
        &self,
        name: &str,
        expected: Option<Revision>,
    ) -> Result<bool, TokenStorageError> {
        self.count_call()?;
        self.assert_held(name);
        let meanwhile = lock(&self.meanwhile).take_if(|(changed, _)| changed == name);
        if let Some((name, text)) = meanwhile {
            self.set(&name, &text).await;
        }
        lock(&self.corrupt).remove(name);
        self.inner.delete(name, expected).await
    }

    async fn names(&self, query: &NameQuery) -> Result<NamePage, TokenStorageError> {
        self.count_call()?;
        self.inner.names(query).await
    }

    async fn lock(&self, name: &str) -> Result<Box<dyn LockGuard>, TokenStorageError> {
        self.count_call()?;
        let (name, held) = (name.to_owned(), Arc::clone(&self.held));
        assert!(lock(&held).insert(name.clone()), "{name} is held already");
        Ok(Box::new(Guard { name, held }))
    }
}

async fn copy(from: &Arc<TestStore>, to: &Arc<TestStore>) -> Result<MigrationCopy, MigrationError> {
    mcp_oauth_store::copy(
        from.store().backend(),
        to.store().backend(),
        ConflictPolicy::Refuse,
    )
    .await
}

async fn migrate(
    from: &Arc<TestStore>,
    to: &Arc<TestStore>,
) -> Result<Vec<Skipped>, MigrationError> {
    copy(from, to).await?.delete_originals().await
}

#[tokio::test]
async fn logins_and_registrations_are_moved_and_can_be_read() {
    let (fixture, home) = (Fixture::start().await, Home::new());
    fixture.login().await.unwrap();
    let record = fixture.record().await.unwrap();
    let issuer = record.discovery.issuer();
    let destination = EncryptedFileStore::open(home.path(), KeySource::KeyFile).unwrap();
    let destination = TokenStore::new(Arc::new(destination));
    let policy = ConflictPolicy::Refuse;
    let copied = mcp_oauth_store::copy(fixture.store.backend(), destination.backend(), policy);
    let copied = copied.await.unwrap();
    assert_eq!((copied.logins, copied.registrations), (1, 1));
    assert!(copied.skipped.is_empty());
    assert!(fixture.record().await.is_some(), "deleted too early");

    assert!(copied.delete_originals().await.unwrap().is_empty());
    assert_eq!(
        destination.load(&fixture.key()).await.unwrap().unwrap().0,
        record
    );
    assert!(destination.registration(issuer).await.unwrap().is_some());
    assert_eq!(fixture.record().await, None);
    assert_eq!(fixture.store.registration(issuer).await.unwrap(), None);
}

/// Wherever it stops, each record is in one of the stores, and the next try completes the migration.
#[tokio::test]
async fn an_interruption_loses_nothing_and_the_next_try_completes_the_migration() {
    let mut interruptions = 0;
    for calls in 0.. {
        let from = TestStore::with_records().await;
        let to = Arc::new(TestStore {
            remaining_calls: Arc::clone(&from.remaining_calls),
            ..TestStore::default()
        });
        let all = from.contents().await;
        from.remaining_calls.store(calls, Ordering::SeqCst);
        let ended = migrate(&from, &to).await;
        let (mut kept, destination) = (from.contents().await, to.contents().await);
        assert!(
            kept == all || destination == all,
            "deleted before all was copied"
        );
        kept.extend(destination);
        assert_eq!(kept, all, "after {calls} calls");

        from.remaining_calls.store(usize::MAX, Ordering::SeqCst);
        assert!(migrate(&from, &to).await.unwrap().is_empty());
        assert_eq!(from.contents().await, BTreeMap::new());
        assert_eq!(to.contents().await, all);
        if ended.is_ok() {
            interruptions = calls;
            break;
        }
    }
    assert!(interruptions > 20, "{interruptions}");
}

#[tokio::test]
async fn a_record_that_changed_during_the_migration_is_copied_again() {
    let (from, to) = (TestStore::with_records().await, TestStore::new());
    *lock(&from.meanwhile) = Some((TWO.to_owned(), "refreshed".to_owned()));
    assert!(migrate(&from, &to).await.unwrap().is_empty());
    assert_eq!(from.contents().await, BTreeMap::new());
    assert_eq!(to.contents().await[TWO], "refreshed");
}

/// Both were refreshed between the copy and its end: neither is deleted.
#[tokio::test]
async fn a_copy_that_was_used_is_not_overwritten() {
    let (from, to) = (TestStore::with_records().await, TestStore::new());
    let copied = copy(&from, &to).await.unwrap();
    from.set(TWO, "refreshed here").await;
    to.set(TWO, "refreshed there").await;
    let refused = copied.delete_originals().await.unwrap_err();
    assert!(matches!(refused, MigrationError::Different(what) if what.len() == 1));
    assert_eq!(from.contents().await[TWO], "refreshed here");
    assert_eq!(to.contents().await[TWO], "refreshed there");
}

#[tokio::test]
async fn other_tokens_at_the_destination_are_replaced_only_with_the_replace_policy() {
    let (from, to) = (TestStore::with_records().await, TestStore::new());
    let all = from.contents().await;
    to.set(TWO, "other").await;
    to.set(ONE, &all[ONE]).await;
    let refused = copy(&from, &to).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the other store has other tokens for https://two.example/mcp (work)"
    );
    assert_eq!(from.contents().await, all);
    assert_eq!(to.contents().await[TWO], "other");

    let replaced = mcp_oauth_store::copy(
        from.store().backend(),
        to.store().backend(),
        ConflictPolicy::Replace,
    )
    .await;
    replaced.unwrap().delete_originals().await.unwrap();
    assert_eq!(from.contents().await, BTreeMap::new());
    assert_eq!(to.contents().await, all);
}

#[tokio::test]
async fn a_corrupt_record_at_the_destination_is_replaced_only_with_the_replace_policy() {
    let (from, to) = (TestStore::with_records().await, TestStore::new());
    to.set(ONE, "other").await;
    lock(&to.corrupt).insert(ONE.to_owned());
    let refused = copy(&from, &to).await.unwrap_err();
    assert!(matches!(refused, MigrationError::Different(_)), "{refused}");
    let replaced = mcp_oauth_store::copy(
        from.store().backend(),
        to.store().backend(),
        ConflictPolicy::Replace,
    )
    .await;
    replaced.unwrap().delete_originals().await.unwrap();
    assert_eq!(to.contents().await.len(), 3);
}

/// Each login contains its client: the registration is used only for the next login.
#[tokio::test]
async fn a_registration_at_the_destination_is_kept() {
    let (from, to) = (TestStore::with_records().await, TestStore::new());
    to.set(CLIENT, "other").await;
    assert!(migrate(&from, &to).await.unwrap().is_empty());
    assert_eq!(from.contents().await, BTreeMap::new());
    assert_eq!(to.contents().await[CLIENT], "other");
}

#[tokio::test]
async fn a_corrupt_record_is_reported_and_left_and_the_others_are_moved() {
    let (from, to) = (TestStore::with_records().await, TestStore::new());
    lock(&from.corrupt).insert(TWO.to_owned());
    let skipped = migrate(&from, &to).await.unwrap();
    assert_eq!(skipped.len(), 1);
    assert_eq!(skipped[0].what, "https://two.example/mcp (work)");
    assert!(skipped[0].error.to_string().contains("corrupt"));
    let kept = from.contents().await;
    assert_eq!(kept.keys().collect::<Vec<_>>(), [TWO]);
    assert_eq!(to.contents().await.len(), 2);
}

#[tokio::test]
async fn a_store_that_returns_other_content_gets_no_login() {
    let from = TestStore::with_records().await;
    let to = Arc::new(TestStore {
        remaining_calls: Arc::clone(&from.remaining_calls),
        returns_other_content: true,
        ..TestStore::default()
    });
    let refused = copy(&from, &to).await.unwrap_err();
    assert!(
        refused.to_string().contains("did not return it"),
        "{refused}"
    );
    assert_eq!(from.contents().await.len(), 3);
}

/// A refresh that was started and never finished may have spent the refresh token in both stores.
#[tokio::test]
async fn the_note_of_a_pending_refresh_is_copied() {
    let (source, destination) = (Home::new(), Home::new());
    let open = |home: &Home| EncryptedFileStore::open(home.path(), KeySource::KeyFile).unwrap();
    let (from, to) = (open(&source), open(&destination));
    // The revision differs from the one in the new store, which the note must contain.
    let first = from.put(ONE, None, &entry("one")).await.unwrap();
    let second = from.put(ONE, Some(first), &entry("two")).await.unwrap();
    from.lock(ONE)
        .await
        .unwrap()
        .mark_refresh_started(second)
        .await
        .unwrap();
    let store = TokenStore::new(Arc::new(from));
    let destination = TokenStore::new(Arc::new(to.clone()));
    let policy = ConflictPolicy::Refuse;
    let copied = mcp_oauth_store::copy(store.backend(), destination.backend(), policy);
    copied.await.unwrap().delete_originals().await.unwrap();
    let copy = to.get(ONE).await.unwrap().unwrap().revision;
    assert_eq!(to.lock(ONE).await.unwrap().pending_revision(), Some(copy));
}
