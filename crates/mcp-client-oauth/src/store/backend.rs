//! What a back end is.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::{error::TokenStorageError, secret::Secret};

/// Opens a back end from what follows the colon.
pub type OpenBackend = fn(&str) -> Result<Arc<dyn Backend>, TokenStorageError>;

/// A place that keeps secret bytes by name. It knows nothing of tokens.
///
/// Names are any text, of any length. What is kept under a name is replaced wholly or not at all,
/// and each change gives it a greater [`Revision`]. What is kept again after a deletion has a
/// revision that the name never had before.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync {
    /// Returns what is kept under `name`, if anything.
    async fn get(&self, name: &str) -> Result<Option<StoredEntry>, TokenStorageError>;

    /// Keeps `bytes` under `name`, durably, if what is there now has the revision `expected`
    /// (none: if nothing is there).
    ///
    /// # Errors
    /// [`TokenStorageError::Conflict`] if something else is there.
    async fn put(
        &self,
        name: &str,
        expected: Option<Revision>,
        bytes: &Secret<Vec<u8>>,
    ) -> Result<Revision, TokenStorageError>;

    /// Forgets `name`, durably, if what is there now has the revision `expected` (none: whatever
    /// is there, even if it cannot be read). Whether anything was there.
    ///
    /// # Errors
    /// [`TokenStorageError::Conflict`] if something else is there.
    async fn delete(
        &self,
        name: &str,
        expected: Option<Revision>,
    ) -> Result<bool, TokenStorageError>;

    /// Makes sure that something can be kept, as far as that can be told without keeping anything:
    /// the key is there, the password is right, the keychain is unlocked.
    ///
    /// # Errors
    /// What keeping something would say.
    async fn check_writable(&self) -> Result<(), TokenStorageError> {
        Ok(())
    }

    /// Waits until everything that was begun and that nobody waits for has ended: a process that
    /// ends without this may keep others waiting.
    async fn flush(&self) {}

    /// Returns whether others than the user of this machine may write here. A back end that does not say
    /// is taken for one where they may: then what a record says of places on this machine is not
    /// believed; see [`TokenStore::trusting_records`](super::TokenStore::trusting_records).
    fn is_shared(&self) -> bool {
        true
    }

    /// Returns every name, in any order.
    async fn names(&self) -> Result<Vec<String>, TokenStorageError>;

    /// Waits until nobody else, in this process or another, holds `name`. Dropping what is
    /// returned lets go.
    ///
    /// # Errors
    /// [`TokenStorageError::Locked`] if somebody holds it for longer than a refresh can take.
    async fn lock(&self, name: &str) -> Result<Box<dyn LockGuard>, TokenStorageError>;
}

/// A name that is held by nobody else until this is dropped.
///
/// It carries a note from one holder to the next: which content somebody was about to use up. A
/// holder that dies in the middle leaves the note behind, and so it can be told why a refresh token
/// is not what it should be (H104, H105). A note about a content that has been replaced since says
/// nothing any more.
#[async_trait]
pub trait LockGuard: fmt::Debug + Send + Sync {
    /// Returns which content an earlier holder had begun to use up, and not said that it ended.
    fn pending_revision(&self) -> Option<Revision> {
        None
    }

    /// Makes sure that the name is still held, and notes that the content with `revision` is about
    /// to be used up. A lock of the operating system is held as long as this value lives; one that
    /// is a document with an expiry may have been taken over while we were stopped.
    ///
    /// # Errors
    /// [`TokenStorageError::Conflict`] if somebody else holds it now.
    async fn mark_refresh_started(&self, revision: Revision) -> Result<(), TokenStorageError> {
        let _no_note = revision;
        Ok(())
    }

    /// Takes the note back: it is known what became of the content.
    async fn mark_refresh_finished(&self) {}
}

/// Says which of the successive contents of a name.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Revision(u64);

impl Revision {
    /// The revision with this number.
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns its number.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The revision after this one; the first, after nothing.
    pub fn after(previous: Option<Self>) -> Self {
        Self(previous.map_or(1, |previous| previous.0.saturating_add(1)))
    }
}

/// Holds what is kept under a name.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoredEntry {
    /// Says which content this is.
    pub revision: Revision,
    /// The content.
    pub bytes: Secret<Vec<u8>>,
}

impl StoredEntry {
    /// A content of given parts.
    pub fn new(revision: Revision, bytes: Secret<Vec<u8>>) -> Self {
        Self { revision, bytes }
    }
}
