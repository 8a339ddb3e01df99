//! The traits of a back end.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use mcp_oauth_support::Secret;

use crate::error::TokenStorageError;
use crate::names::{NamePage, NameQuery};

/// A store of secret bytes by name. It does not interpret them.
///
/// A name is any text, of any length; [`account_of`](super::account_of) says which account it belongs to.
/// The content of a name is replaced wholly or not at all, and each change gives it a greater [`Revision`].
/// After a deletion, a new content has a revision that the name never had before.
///
/// A content with a lifetime has expired when that time has passed, by the clock of the store: every method
/// treats the name as one without a content then. The store may remove the content at any later time.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync {
    /// Returns the content of `name`, if there is one.
    async fn get(&self, name: &str) -> Result<Option<StoredEntry>, TokenStorageError>;

    /// Stores `entry` under `name`, durably, if the current content has the revision `expected` (`None`: if
    /// there is no content). Its lifetime begins now.
    ///
    /// # Errors
    /// [`TokenStorageError::Conflict`] if the current content is another one.
    async fn put(
        &self,
        name: &str,
        expected: Option<Revision>,
        entry: &Entry,
    ) -> Result<Revision, TokenStorageError>;

    /// Deletes the content of `name`, durably, if it has the revision `expected` (`None`: in any case, even
    /// if it cannot be read). Returns whether there was a content.
    ///
    /// # Errors
    /// [`TokenStorageError::Conflict`] if the current content is another one.
    async fn delete(
        &self,
        name: &str,
        expected: Option<Revision>,
    ) -> Result<bool, TokenStorageError>;

    /// Deletes the content of `name` in any case, with everything that a deletion leaves of it, such as a number
    /// for the next revision. It is only for a name that is not used again. The default is a deletion, for a
    /// store that leaves nothing.
    ///
    /// # Errors
    /// The errors of [`delete`](Self::delete).
    async fn purge(&self, name: &str) -> Result<(), TokenStorageError> {
        self.delete(name, None).await.map(drop)
    }

    /// Checks that a content can be stored, as far as possible without storing one: the key exists, the
    /// password is right, the keychain is unlocked.
    ///
    /// # Errors
    /// The errors of [`put`](Self::put).
    async fn check_writable(&self) -> Result<(), TokenStorageError> {
        Ok(())
    }

    /// Waits for work that goes on in the background, such as the release of locks: if the process ends
    /// without this, others may have to wait.
    async fn flush(&self) {}

    /// Returns whether users of other machines may write here, which is the default. Then a record may be
    /// forged, and an assertion is sent only after the authorization server has been
    /// discovered again.
    fn is_shared(&self) -> bool {
        true
    }

    /// Returns some of the names that `query` selects: those of its account
    /// ([`account_of`](super::account_of)), after its cursor, at most its limit. A store with a query language
    /// runs a query; another one lists its names, and can sort them and use the last name of a page as the
    /// cursor.
    ///
    /// Following [`NamePage::next`] from page to page returns each name once that has a content all the time.
    async fn names(&self, query: &NameQuery) -> Result<NamePage, TokenStorageError>;

    /// Waits for the lock of `name`, which excludes other tasks and processes. Dropping the guard releases
    /// it.
    ///
    /// # Errors
    /// [`TokenStorageError::Locked`] if it is held for longer than a refresh can take.
    async fn lock(&self, name: &str) -> Result<Box<dyn LockGuard>, TokenStorageError>;
}

/// The lock of a name. It is released when this is dropped.
///
/// It carries a note from one holder to the next: the revision with the refresh token that was about to be
/// sent. If a holder dies in the middle, its note stays, so that the next one knows why a refresh token may
/// be refused (docs/hostile.md H104, H105). A note about a content that has been replaced since is ignored.
#[async_trait]
pub trait LockGuard: fmt::Debug + Send + Sync {
    /// Returns the revision of a refresh that an earlier holder has started and not finished.
    fn pending_revision(&self) -> Option<Revision> {
        None
    }

    /// Checks that the lock is still held, and notes that the refresh token in `revision` is about to be
    /// sent. A lock of the operating system is held as long as this value lives; a lease may have expired
    /// and been taken over while this process was paused.
    ///
    /// # Errors
    /// [`TokenStorageError::Conflict`] if another task or process holds the lock now.
    async fn mark_refresh_started(&self, revision: Revision) -> Result<(), TokenStorageError> {
        let _no_note = revision;
        Ok(())
    }

    /// Removes the note: the result of the refresh is known.
    async fn mark_refresh_finished(&self) {}
}

/// The number of one of the successive contents of a name.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Revision(u64);

impl Revision {
    /// Creates the revision with this number.
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns its number.
    pub fn number(self) -> u64 {
        self.0
    }

    /// Returns the revision after `previous`, or the first one for `None`.
    pub fn after(previous: Option<Self>) -> Self {
        Self(previous.map_or(1, |previous| previous.0.saturating_add(1)))
    }
}

/// The content to store under a name.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// Its bytes.
    pub bytes: Secret<Vec<u8>>,
    /// The time after which it expires, or `None` if it does not expire.
    pub lifetime: Option<Duration>,
}

impl Entry {
    /// Creates a content that does not expire.
    pub fn new(bytes: Secret<Vec<u8>>) -> Self {
        Self {
            bytes,
            lifetime: None,
        }
    }

    /// Sets its lifetime.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: impl Into<Option<Duration>>) -> Self {
        self.lifetime = lifetime.into();
        self
    }
}

/// The content of a name, as it was read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoredEntry {
    /// Its revision.
    pub revision: Revision,
    /// The content. Its lifetime is the time that is left.
    pub entry: Entry,
}

impl StoredEntry {
    /// Creates a content from its parts.
    pub fn new(revision: Revision, entry: Entry) -> Self {
        Self { revision, entry }
    }
}
