//! Moving everything from one store to another.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use mcp_client_oauth::{
    Secret, TokenStore,
    error::TokenStorageError,
    store::{
        Backend, EncryptedFileStore, KeySource, LockGuard, MemoryBackend, Revision, StoredEntry,
        migration::{ConflictPolicy, MigrationCopy, MigrationError, Skipped},
    },
};

use crate::{
    sealed::Home,
    support::{Fixture, lock},
};

const ONE: &str = "login https://one.example/mcp";
const TWO: &str = "login https://two.example/mcp#work";
const CLIENT: &str = "client https://issuer.example";

fn bytes(text: &str) -> Secret<Vec<u8>> {
    Secret::new(text.as_bytes().to_vec())
}

/// A store in memory that fails at a chosen moment, changes a record at another, and insists that
/// whoever changes a record holds it.
#[derive(Debug, Default)]
struct Stage {
    inner: MemoryBackend,
    held: Arc<Mutex<BTreeSet<String>>>,
    /// How many calls go well; shared by both stores.
    fuse: Arc<AtomicUsize>,
    /// What somebody else writes just before a deletion.
    meanwhile: Mutex<Option<(String, String)>>,
    /// Names whose content cannot be read.
    damaged: Mutex<BTreeSet<String>>,
    /// Whether what is read is not what was written.
    forgetful: bool,
}

impl Stage {
    fn new() -> Arc<Self> {
        let stage = Self::default();
        stage.fuse.store(usize::MAX, Ordering::SeqCst);
        Arc::new(stage)
    }

    /// With three contents.
    async fn full() -> Arc<Self> {
        let stage = Self::new();
        for name in [ONE, TWO, CLIENT] {
            stage.set(name, &format!("of {name}")).await;
        }
        stage
    }

    fn store(self: &Arc<Self>) -> TokenStore {
        TokenStore::new(Arc::clone(self) as Arc<dyn Backend>)
    }

    async fn set(&self, name: &str, text: &str) {
        let there = self.inner.get(name).await.unwrap();
        let there = there.map(|stored| stored.revision);
        self.inner.put(name, there, &bytes(text)).await.unwrap();
    }

    async fn contents(&self) -> BTreeMap<String, String> {
        let mut contents = BTreeMap::new();
        for name in self.inner.names().await.unwrap() {
            let stored = self.inner.get(&name).await.unwrap().unwrap();
            let text = String::from_utf8(stored.bytes.expose().clone()).unwrap();
            contents.insert(name, text);
        }
        contents
    }

    fn burn(&self) -> Result<(), TokenStorageError> {
        let left = self
            .fuse
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        left.map(drop).map_err(|_| TokenStorageError::Locked {
            place: "everything".to_owned(),
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
impl Backend for Stage {
    async fn get(&self, name: &str) -> Result<Option<StoredEntry>, TokenStorageError> {
        self.burn()?;
        if lock(&self.damaged).contains(name) {
            return Err(TokenStorageError::Corrupt {
                place: name.to_owned(),
                why: "a test",
            });
        }
        let found = self.inner.get(name).await?;
        Ok(found.map(|stored| {
            if self.forgetful {
                StoredEntry::new(stored.revision, bytes("something else"))
            } else {
                stored
            }
        }))
    }

    async fn put(
        &self,
        name: &str,
        expected: Option<Revision>,
        bytes: &Secret<Vec<u8>>,
    ) -> Result<Revision, TokenStorageError> {
        self.burn()?;
        self.assert_held(name);
        self.inner.put(name, expected, bytes).await
    }

    async fn delete(
        &self,
        name: &str,
        expected: Option<Revision>,
    ) -> Result<bool, TokenStorageError> {
        self.burn()?;
        self.assert_held(name);
        let meanwhile = lock(&self.meanwhile).take_if(|(changed, _)| changed == name);
        if let Some((name, text)) = meanwhile {
            self.set(&name, &text).await;
        }
        lock(&self.damaged).remove(name);
        self.inner.delete(name, expected).await
    }

    async fn names(&self) -> Result<Vec<String>, TokenStorageError> {
        self.burn()?;
        self.inner.names().await
    }

    async fn lock(&self, name: &str) -> Result<Box<dyn LockGuard>, TokenStorageError> {
        self.burn()?;
        let (name, held) = (name.to_owned(), Arc::clone(&self.held));
        assert!(lock(&held).insert(name.clone()), "{name} is held already");
        Ok(Box::new(Guard { name, held }))
    }
}

async fn copy(from: &Arc<Stage>, to: &Arc<Stage>) -> Result<MigrationCopy, MigrationError> {
    from.store()
        .copy_to(&to.store(), ConflictPolicy::Refuse)
        .await
}

async fn transfer(from: &Arc<Stage>, to: &Arc<Stage>) -> Result<Vec<Skipped>, MigrationError> {
    copy(from, to).await?.delete_originals().await
}

#[tokio::test]
async fn logins_and_registrations_are_moved_and_work_there() {
    let (fixture, home) = (Fixture::start().await, Home::new());
    fixture.login().await.unwrap();
    let record = fixture.record().await.unwrap();
    let issuer = record.discovery.issuer();
    let there = EncryptedFileStore::open(home.path(), KeySource::KeyFile).unwrap();
    let there = TokenStore::new(Arc::new(there));
    let copied = fixture
        .store
        .copy_to(&there, ConflictPolicy::Refuse)
        .await
        .unwrap();
    assert_eq!((copied.logins(), copied.registrations()), (1, 1));
    assert!(copied.left().is_empty());
    assert!(fixture.record().await.is_some(), "deleted too early");

    assert!(copied.delete_originals().await.unwrap().is_empty());
    assert_eq!(there.load(&fixture.key()).await.unwrap().unwrap().0, record);
    assert!(there.registration(issuer).await.unwrap().is_some());
    assert_eq!(fixture.record().await, None);
    assert_eq!(fixture.store.registration(issuer).await.unwrap(), None);
}

/// Wherever it stops, each content is in one of the stores, and the next try finishes it.
#[tokio::test]
async fn an_interruption_loses_nothing_and_the_next_try_finishes() {
    let mut moments = 0;
    for calls in 0.. {
        let from = Stage::full().await;
        let to = Arc::new(Stage {
            fuse: Arc::clone(&from.fuse),
            ..Stage::default()
        });
        let all = from.contents().await;
        from.fuse.store(calls, Ordering::SeqCst);
        let ended = transfer(&from, &to).await;
        let (mut kept, there) = (from.contents().await, to.contents().await);
        assert!(kept == all || there == all, "deleted before all was there");
        kept.extend(there);
        assert_eq!(kept, all, "after {calls} calls");

        from.fuse.store(usize::MAX, Ordering::SeqCst);
        assert!(transfer(&from, &to).await.unwrap().is_empty());
        assert_eq!(from.contents().await, BTreeMap::new());
        assert_eq!(to.contents().await, all);
        if ended.is_ok() {
            moments = calls;
            break;
        }
    }
    assert!(moments > 20, "{moments}");
}

#[tokio::test]
async fn what_changed_meanwhile_is_copied_again() {
    let (from, to) = (Stage::full().await, Stage::new());
    *lock(&from.meanwhile) = Some((TWO.to_owned(), "refreshed".to_owned()));
    assert!(transfer(&from, &to).await.unwrap().is_empty());
    assert_eq!(from.contents().await, BTreeMap::new());
    assert_eq!(to.contents().await[TWO], "refreshed");
}

/// Both were refreshed between the copy and its end: neither is thrown away.
#[tokio::test]
async fn a_copy_that_somebody_has_used_is_not_written_over() {
    let (from, to) = (Stage::full().await, Stage::new());
    let copied = copy(&from, &to).await.unwrap();
    from.set(TWO, "refreshed here").await;
    to.set(TWO, "refreshed there").await;
    let refused = copied.delete_originals().await.unwrap_err();
    assert!(matches!(refused, MigrationError::Different(what) if what.len() == 1));
    assert_eq!(from.contents().await[TWO], "refreshed here");
    assert_eq!(to.contents().await[TWO], "refreshed there");
}

#[tokio::test]
async fn other_tokens_there_are_not_replaced_unless_asked_for() {
    let (from, to) = (Stage::full().await, Stage::new());
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

    let replaced = from
        .store()
        .copy_to(&to.store(), ConflictPolicy::Replace)
        .await;
    replaced.unwrap().delete_originals().await.unwrap();
    assert_eq!(from.contents().await, BTreeMap::new());
    assert_eq!(to.contents().await, all);
}

#[tokio::test]
async fn a_damaged_record_there_is_not_replaced_unless_asked_for() {
    let (from, to) = (Stage::full().await, Stage::new());
    to.set(ONE, "other").await;
    lock(&to.damaged).insert(ONE.to_owned());
    let refused = copy(&from, &to).await.unwrap_err();
    assert!(matches!(refused, MigrationError::Different(_)), "{refused}");
    let replaced = from
        .store()
        .copy_to(&to.store(), ConflictPolicy::Replace)
        .await;
    replaced.unwrap().delete_originals().await.unwrap();
    assert_eq!(to.contents().await.len(), 3);
}

/// Each login has its client in it: the registration serves the next login alone.
#[tokio::test]
async fn a_registration_that_is_there_stays_there() {
    let (from, to) = (Stage::full().await, Stage::new());
    to.set(CLIENT, "other").await;
    assert!(transfer(&from, &to).await.unwrap().is_empty());
    assert_eq!(from.contents().await, BTreeMap::new());
    assert_eq!(to.contents().await[CLIENT], "other");
}

#[tokio::test]
async fn a_damaged_record_is_named_and_left_and_holds_up_no_other() {
    let (from, to) = (Stage::full().await, Stage::new());
    lock(&from.damaged).insert(TWO.to_owned());
    let left = transfer(&from, &to).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].what, "https://two.example/mcp (work)");
    assert!(left[0].error.to_string().contains("damaged"));
    let kept = from.contents().await;
    assert_eq!(kept.keys().collect::<Vec<_>>(), [TWO]);
    assert_eq!(to.contents().await.len(), 2);
}

#[tokio::test]
async fn a_store_that_does_not_give_back_what_it_takes_gets_no_login() {
    let from = Stage::full().await;
    let to = Arc::new(Stage {
        fuse: Arc::clone(&from.fuse),
        forgetful: true,
        ..Stage::default()
    });
    let refused = copy(&from, &to).await.unwrap_err();
    assert!(refused.to_string().contains("come back"), "{refused}");
    assert_eq!(from.contents().await.len(), 3);
}

/// A refresh that was begun and never ended may have spent the refresh token in both stores.
#[tokio::test]
async fn the_note_of_an_unfinished_refresh_goes_along() {
    let (here, there) = (Home::new(), Home::new());
    let open = |home: &Home| EncryptedFileStore::open(home.path(), KeySource::KeyFile).unwrap();
    let (from, to) = (open(&here), open(&there));
    // Another revision than in the new store: the note must speak of the one there.
    let first = from.put(ONE, None, &bytes("one")).await.unwrap();
    let second = from.put(ONE, Some(first), &bytes("two")).await.unwrap();
    from.lock(ONE)
        .await
        .unwrap()
        .mark_refresh_started(second)
        .await
        .unwrap();
    let store = TokenStore::new(Arc::new(from));
    let there = TokenStore::new(Arc::new(to.clone()));
    let copied = store.copy_to(&there, ConflictPolicy::Refuse);
    copied.await.unwrap().delete_originals().await.unwrap();
    let copy = to.get(ONE).await.unwrap().unwrap().revision;
    assert_eq!(to.lock(ONE).await.unwrap().pending_revision(), Some(copy));
}
