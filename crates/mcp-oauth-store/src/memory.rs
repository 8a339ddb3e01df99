//! A store in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
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
    contents: Mutex<Contents>,
    locks: ProcessLocks,
    /// The last revision. No revision is used twice, even after a deletion.
    last: AtomicU64,
}

#[derive(Debug, Default)]
struct Contents {
    by_name: BTreeMap<String, Content>,
    /// The entries that expire, the first one first.
    expiring: BTreeSet<(Expiry, String)>,
}

#[derive(Debug)]
struct Content {
    revision: Revision,
    bytes: Secret<Vec<u8>>,
    expiry: Expiry,
}

impl Contents {
    fn insert(&mut self, name: &str, content: Content) {
        self.remove(name);
        if content.expiry.is_limited() {
            self.expiring.insert((content.expiry, name.to_owned()));
        }
        self.by_name.insert(name.to_owned(), content);
    }

    fn remove(&mut self, name: &str) -> bool {
        let Some(removed) = self.by_name.remove(name) else {
            return false;
        };
        if removed.expiry.is_limited() {
            self.expiring.remove(&(removed.expiry, name.to_owned()));
        }
        true
    }

    /// Removes the entries that have expired. It looks at no other: a store has an entry for each user.
    fn remove_expired(&mut self) {
        while let Some(first) = self.expiring.first()
            && first.0.is_over()
        {
            let name = first.1.clone();
            self.remove(&name);
        }
    }
}

impl MemoryBackend {
    /// Returns the contents, without those that have expired.
    fn contents(&self) -> MutexGuard<'_, Contents> {
        let mut contents = lock(&self.contents);
        contents.remove_expired();
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
        Ok(contents.by_name.get(name).map(|content| {
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
        check(name, contents.by_name.get(name), expected)?;
        let content = Content {
            revision: self.next(),
            bytes: entry.bytes.clone(),
            expiry: Expiry::after(entry.lifetime),
        };
        let revision = content.revision;
        contents.insert(name, content);
        Ok(revision)
    }

    async fn delete(
        &self,
        name: &str,
        expected: Option<Revision>,
    ) -> Result<bool, TokenStorageError> {
        let mut contents = self.contents();
        if expected.is_some() {
            check(name, contents.by_name.get(name), expected)?;
        }
        Ok(contents.remove(name))
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn names(&self, query: &NameQuery) -> Result<NamePage, TokenStorageError> {
        Ok(query.page(self.contents().by_name.keys().cloned()))
    }

    async fn lock(&self, name: &str) -> Result<Box<dyn LockGuard>, TokenStorageError> {
        Ok(self.locks.hold(name).await)
    }
}
