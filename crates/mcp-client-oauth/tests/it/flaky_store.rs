//! A store in memory with faults that a test chooses.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use mcp_client_oauth::{TokenStore, error::TokenStorageError};
use mcp_oauth_store::{
    Backend, Entry, LockGuard, MemoryBackend, NamePage, NameQuery, Revision, StoredEntry,
};
use tokio::sync::{Notify, Semaphore};

use crate::support::lock;

/// A store with writes that can fail or wait, and records that another process can hold locked.
#[derive(Debug)]
pub(crate) struct FlakyStore {
    memory: MemoryBackend,
    /// Says whether writes fail.
    pub(crate) fails: AtomicBool,
    /// Says whether reads fail.
    pub(crate) is_unreadable: AtomicBool,
    /// The number of the next writes that fail in any case.
    pub(crate) failures: AtomicUsize,
    /// The number of writes, failed ones included.
    pub(crate) tries: AtomicUsize,
    /// One permit for each write that may continue.
    pub(crate) writes: Semaphore,
    pub(crate) waiting: Notify,
    /// Says for each of the next locks whether it is refused.
    pub(crate) locked: Mutex<VecDeque<bool>>,
    pub(crate) notes: Arc<Notes>,
}

/// The notes of the lock holders.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// The number of refreshes that were marked as started.
    pub(crate) begun: AtomicUsize,
    /// Says whether that mark fails.
    pub(crate) fail: AtomicBool,
}

#[derive(Debug)]
struct Holder(Box<dyn LockGuard>, Arc<Notes>);

impl FlakyStore {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            memory: MemoryBackend::default(),
            fails: AtomicBool::new(false),
            is_unreadable: AtomicBool::new(false),
            failures: AtomicUsize::new(0),
            tries: AtomicUsize::new(0),
            writes: Semaphore::new(1000),
            waiting: Notify::new(),
            locked: Mutex::default(),
            notes: Arc::default(),
        })
    }

    pub(crate) fn store(self: &Arc<Self>) -> TokenStore {
        TokenStore::new(Arc::clone(self) as Arc<dyn Backend>)
    }

    /// Makes all further writes wait.
    pub(crate) async fn stop_writes(&self) {
        assert!(self.writes.forget_permits(usize::MAX) > 0);
        // Consumes the notification of an earlier write.
        self.waiting.notify_one();
        self.waiting.notified().await;
    }
}

fn failure() -> TokenStorageError {
    TokenStorageError::Backend {
        location: "the flaky store".to_owned(),
        source: Arc::new(std::io::Error::other("the disk is full")),
        is_temporary: false,
    }
}

#[async_trait]
impl Backend for FlakyStore {
    async fn get(&self, name: &str) -> Result<Option<StoredEntry>, TokenStorageError> {
        if self.is_unreadable.load(Ordering::SeqCst) {
            return Err(failure());
        }
        self.memory.get(name).await
    }

    async fn put(
        &self,
        name: &str,
        expected: Option<Revision>,
        entry: &Entry,
    ) -> Result<Revision, TokenStorageError> {
        self.waiting.notify_one();
        self.writes.acquire().await.unwrap().forget();
        self.tries.fetch_add(1, Ordering::SeqCst);
        let (set, fetch) = (Ordering::SeqCst, Ordering::SeqCst);
        let left = |left: usize| left.checked_sub(1);
        let fails = self.failures.fetch_update(set, fetch, left).is_ok();
        if fails || self.fails.load(Ordering::SeqCst) {
            return Err(failure());
        }
        self.memory.put(name, expected, entry).await
    }

    async fn delete(
        &self,
        name: &str,
        expected: Option<Revision>,
    ) -> Result<bool, TokenStorageError> {
        self.memory.delete(name, expected).await
    }

    async fn names(&self, query: &NameQuery) -> Result<NamePage, TokenStorageError> {
        self.memory.names(query).await
    }

    async fn lock(&self, name: &str) -> Result<Box<dyn LockGuard>, TokenStorageError> {
        if name.starts_with("login ") && lock(&self.locked).pop_front() == Some(true) {
            let location = name.to_owned();
            return Err(TokenStorageError::Locked { location });
        }
        let held = self.memory.lock(name).await?;
        Ok(Box::new(Holder(held, Arc::clone(&self.notes))))
    }
}

#[async_trait]
impl LockGuard for Holder {
    fn pending_revision(&self) -> Option<Revision> {
        self.0.pending_revision()
    }

    async fn mark_refresh_started(&self, revision: Revision) -> Result<(), TokenStorageError> {
        self.1.begun.fetch_add(1, Ordering::SeqCst);
        if self.1.fail.load(Ordering::SeqCst) {
            return Err(failure());
        }
        self.0.mark_refresh_started(revision).await
    }

    async fn mark_refresh_finished(&self) {
        self.0.mark_refresh_finished().await;
    }
}
