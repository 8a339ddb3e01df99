//! A store in memory.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use tokio::sync::OwnedMutexGuard;

use super::backend::{Backend, LockGuard, Revision, StoredEntry};
use crate::{error::TokenStorageError, mutex::lock, secret::Secret};

#[expect(
    clippy::unnecessary_wraps,
    reason = "every row of BACKENDS has this shape"
)]
pub(super) fn open(_rest: &str) -> Result<Arc<dyn Backend>, TokenStorageError> {
    Ok(Arc::new(MemoryBackend::default()))
}

/// Keeps all entries in the memory of this process.
#[derive(Debug, Default)]
pub struct MemoryBackend {
    contents: Mutex<BTreeMap<String, StoredEntry>>,
    locks: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<Note>>>>,
    /// The last revision. No revision is used twice, even after a deletion.
    last: AtomicU64,
}

impl MemoryBackend {
    fn contents(&self) -> MutexGuard<'_, BTreeMap<String, StoredEntry>> {
        lock(&self.contents)
    }

    fn next(&self) -> Revision {
        Revision::new(self.last.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

fn check(
    name: &str,
    found: Option<&StoredEntry>,
    expected: Option<Revision>,
) -> Result<(), TokenStorageError> {
    if found.map(|stored| stored.revision) == expected {
        return Ok(());
    }
    Err(TokenStorageError::Conflict {
        location: format!("the record `{name}`"),
    })
}

/// The revision of a refresh that was started and not finished.
type Note = Option<Revision>;

#[derive(Debug)]
struct Guard {
    unfinished: Note,
    /// The note for the next holder, in the mutex that is the lock of the name.
    note: Mutex<OwnedMutexGuard<Note>>,
}

impl Guard {
    fn set_note(&self, note: Note) {
        **lock(&self.note) = note;
    }
}

#[async_trait]
impl LockGuard for Guard {
    fn pending_revision(&self) -> Option<Revision> {
        self.unfinished
    }

    async fn mark_refresh_started(&self, revision: Revision) -> Result<(), TokenStorageError> {
        self.set_note(Some(revision));
        Ok(())
    }

    async fn mark_refresh_finished(&self) {
        self.set_note(None);
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    async fn get(&self, name: &str) -> Result<Option<StoredEntry>, TokenStorageError> {
        Ok(self.contents().get(name).cloned())
    }

    async fn put(
        &self,
        name: &str,
        expected: Option<Revision>,
        bytes: &Secret<Vec<u8>>,
    ) -> Result<Revision, TokenStorageError> {
        let mut contents = self.contents();
        check(name, contents.get(name), expected)?;
        let revision = self.next();
        contents.insert(name.to_owned(), StoredEntry::new(revision, bytes.clone()));
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

    async fn names(&self) -> Result<Vec<String>, TokenStorageError> {
        Ok(self.contents().keys().cloned().collect())
    }

    async fn lock(&self, name: &str) -> Result<Box<dyn LockGuard>, TokenStorageError> {
        let lock = {
            let mut locks = lock(&self.locks);
            // Locks that are not in use are removed, unless they have a note.
            locks.retain(|_, lock| {
                Arc::strong_count(lock) > 1 || lock.try_lock().is_ok_and(|note| note.is_some())
            });
            Arc::clone(locks.entry(name.to_owned()).or_default())
        };
        let note = lock.lock_owned().await;
        Ok(Box::new(Guard {
            unfinished: *note,
            note: Mutex::new(note),
        }))
    }
}
