//! A store in memory.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use mcp_oauth_support::{Secret, mutex::lock};

use crate::error::TokenStorageError;
use crate::{
    backend::{Backend, Entry, LockGuard, Revision, StoredEntry},
    expiry::Expiry,
    names::{NamePage, NameQuery},
    process_locks::ProcessLocks,
};

#[expect(
    clippy::unnecessary_wraps,
    reason = "every row of BACKENDS has this shape"
)]
pub(crate) fn open(_rest: &str) -> Result<Arc<dyn Backend>, TokenStorageError> {
    Ok(Arc::new(MemoryBackend::default()))
}

/// Keeps all entries in the memory of this process.
#[derive(Debug, Default)]
pub struct MemoryBackend {
    contents: Mutex<BTreeMap<String, Content>>,
    locks: ProcessLocks,
    /// The last revision. No revision is used twice, even after a deletion.
    last: AtomicU64,
}

#[derive(Debug)]
struct Content {
    revision: Revision,
    bytes: Secret<Vec<u8>>,
    expiry: Expiry,
}

impl MemoryBackend {
    /// Returns the contents, without those that have expired.
    fn contents(&self) -> MutexGuard<'_, BTreeMap<String, Content>> {
        let mut contents = lock(&self.contents);
        contents.retain(|_, content| !content.expiry.is_over());
        contents
    }

    fn next(&self) -> Revision {
        Revision::new(self.last.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

fn check(
    name: &str,
    found: Option<&Content>,
    expected: Option<Revision>,
) -> Result<(), TokenStorageError> {
    if found.map(|content| content.revision) == expected {
        return Ok(());
    }
    Err(TokenStorageError::Conflict {
        location: format!("the record `{name}`"),
    })
}

#[async_trait]
impl Backend for MemoryBackend {
    async fn get(&self, name: &str) -> Result<Option<StoredEntry>, TokenStorageError> {
        let contents = self.contents();
        Ok(contents.get(name).map(|content| {
            let entry = Entry::new(content.bytes.clone());
            StoredEntry::new(
                content.revision,
                entry.with_lifetime(content.expiry.remaining()),
            )
        }))
    }

    async fn put(
        &self,
        name: &str,
        expected: Option<Revision>,
        entry: &Entry,
    ) -> Result<Revision, TokenStorageError> {
        let mut contents = self.contents();
        check(name, contents.get(name), expected)?;
        let content = Content {
            revision: self.next(),
            bytes: entry.bytes.clone(),
            expiry: Expiry::after(entry.lifetime),
        };
        let revision = content.revision;
        contents.insert(name.to_owned(), content);
        Ok(revision)
    }

    async fn delete(
        &self,
        name: &str,
        expected: Option<Revision>,
    ) -> Result<bool, TokenStorageError> {
        let mut contents = self.contents();
        if expected.is_some() {
            check(name, contents.get(name), expected)?;
        }
        Ok(contents.remove(name).is_some())
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn names(&self, query: &NameQuery) -> Result<NamePage, TokenStorageError> {
        Ok(query.page(self.contents().keys().cloned()))
    }

    async fn lock(&self, name: &str) -> Result<Box<dyn LockGuard>, TokenStorageError> {
        Ok(self.locks.hold(name).await)
    }
}
