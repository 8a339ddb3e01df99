//! The locks of a store that only this process uses.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use mcp_oauth_support::mutex::lock;
use tokio::sync::OwnedMutexGuard;

use crate::backend::{LockGuard, Revision};
use crate::error::TokenStorageError;

/// The locks of the names, each with its note. They end with the process.
#[derive(Debug, Default)]
pub(crate) struct ProcessLocks(Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<Note>>>>);

/// The revision of a refresh that was started and not finished.
type Note = Option<Revision>;

impl ProcessLocks {
    /// Waits for the lock of `name`.
    pub(crate) async fn hold(&self, name: &str) -> Box<dyn LockGuard> {
        let note = self.of(name).lock_owned().await;
        Box::new(Guard {
            unfinished: *note,
            note: Mutex::new(note),
        })
    }

    fn of(&self, name: &str) -> Arc<tokio::sync::Mutex<Note>> {
        let mut locks = lock(&self.0);
        // Locks that are not in use are removed, unless they have a note.
        locks.retain(|_, lock| {
            Arc::strong_count(lock) > 1 || lock.try_lock().is_ok_and(|note| note.is_some())
        });
        Arc::clone(locks.entry(name.to_owned()).or_default())
    }
}

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
