//! The local store: one file for each record, encrypted with AES-256-GCM.
//!
//! ```text
//! store.json        the ID of the store, and its master key, wrapped            (header)
//! key, key-<random> the wrapping key, if its source is a file                   (master_key)
//! <hash>.enc        one record: a plaintext line about it, then the ciphertext  (record)
//! locks/<hash>      held while a record is refreshed; `locks/write` while files change
//! tmp/<random>.tmp  a file that is being written
//! ```
//! The name of a file is the SHA-256 of its record's name, never the name itself, which may be any text
//! (docs/hostile.md H133, H134).
//! Reading takes no lock, because a file is only ever replaced as a whole. Each change holds
//! `locks/write`: that makes compare-and-swap correct for callers that do not hold the lock of the
//! record, lets the first processes agree on one key, and proves that the writer of an unfinished file
//! is dead. It is not a lock that callers can hold, so it cannot deadlock.
//!
//! Earlier versions called the files `<hash>.sealed` and `new/<random>.tmp`. Their stores open: a record
//! is read from its old file until the first write to it, which creates the new file and then removes the
//! old one. If both exist, the new one counts. A deletion removes the old file first.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use etcetera::BaseStrategy as _;

use self::{
    directory::Directory,
    files::{Files, WriteGuard, conflict, existing, hash, location},
};
use crate::error::TokenStorageError;
use crate::{
    Backend, Entry, KeyKind, KeySource, LockGuard, NamePage, NameQuery, Revision, StoredEntry,
    file_lock::{self, FileLock, off_runtime},
};

mod directory;
mod files;
mod header;
mod key_wrapping;
mod known_records;
mod master_key;
#[cfg_attr(unix, path = "encrypted/permissions_unix.rs")]
#[cfg_attr(not(unix), path = "encrypted/permissions_other.rs")]
mod permissions;
mod record;
mod rekey;

/// The name of the store's directory in the data directory of the platform.
const DIRECTORY: &str = "mcp-oauth";
/// The lock that each change of a file needs.
const WRITE_LOCK: &str = "write";

/// Opens `file:` (the default directory) or `file:/a/directory`: a store with its key in a file.
pub(crate) fn open(rest: &str) -> Result<Arc<dyn Backend>, TokenStorageError> {
    open_with(rest, KeySource::KeyFile)
}

/// Opens `keychain:` (the default directory) or `keychain:/a/directory`: a store with its key in the
/// keychain of the system.
#[cfg(feature = "keychain")]
pub(crate) fn open_with_keychain(rest: &str) -> Result<Arc<dyn Backend>, TokenStorageError> {
    open_with(rest, KeySource::keychain())
}

fn open_with(rest: &str, source: KeySource) -> Result<Arc<dyn Backend>, TokenStorageError> {
    let directory = if rest.is_empty() {
        EncryptedFileStore::default_dir()?
    } else {
        rest.into()
    };
    Ok(Arc::new(EncryptedFileStore::open(directory, source)?))
}

/// Stores each record in a file of its own, encrypted with AES-256-GCM. Cloning shares the store and
/// its key.
///
/// The names of the records (server URLs and issuers) are not secret and can be read in the files;
/// the records cannot. A file that is corrupt, altered, renamed or copied from another store is
/// detected; a whole file that was restored from an older copy of the same store is not.
#[derive(Clone)]
pub struct EncryptedFileStore(Arc<Files>);

impl EncryptedFileStore {
    /// Opens the store in `directory`, which the first lock or write creates if it does not exist.
    /// The key is fetched, and a password checked, when a record is first read or written.
    ///
    /// # Errors
    /// [`TokenStorageError::PasswordNeeded`] or [`TokenStorageError::OtherKey`] if the store is encrypted
    /// with another kind of key; [`TokenStorageError::Insecure`] if other users may change it.
    pub fn open(
        directory: impl Into<PathBuf>,
        source: KeySource,
    ) -> Result<Self, TokenStorageError> {
        let directory = Directory::new(directory.into());
        if let Some(header) = existing(&directory)? {
            master_key::check_kind(&directory, &header, &source)?;
        }
        Ok(Self(Arc::new(Files::new(directory, source))))
    }

    /// Returns the directory of this crate in the data directory of the platform.
    ///
    /// # Errors
    /// [`TokenStorageError::NoDirectory`] if the user has no home.
    pub fn default_dir() -> Result<PathBuf, TokenStorageError> {
        let base = etcetera::base_strategy::choose_native_strategy();
        Ok(base
            .map_err(|_| TokenStorageError::NoDirectory)?
            .data_dir()
            .join(DIRECTORY))
    }

    /// Returns the kind of key that the store in `directory` is encrypted with, or `None` if there is no
    /// store yet.
    ///
    /// # Errors
    /// [`TokenStorageError`] if the store cannot be used.
    pub fn key_kind(directory: impl AsRef<Path>) -> Result<Option<KeyKind>, TokenStorageError> {
        let header = existing(&Directory::new(directory.as_ref().to_owned()))?;
        Ok(header.map(|header| header.parameters.key))
    }

    /// Changes the key of the store to one from `to`, which may be the same source, and returns the store
    /// opened with it. The records do not change: they are encrypted with a master key, and only that is
    /// encrypted again.
    ///
    /// The change is atomic: if this fails or the process dies, the store opens with the old key or with
    /// the new one. Other handles, also in other processes, stay open. The old key file or keychain entry
    /// is removed; if that fails, a warning names it. A store that does not exist yet is created with the
    /// new key.
    ///
    /// A copy of the files from before still opens with the old key.
    ///
    /// # Errors
    /// The errors of opening the store with its key, and of storing the new key; the store has the old key
    /// then. [`TokenStorageError::Io`] if it is unknown whether the change reached the disk.
    pub async fn rekey(&self, to: KeySource) -> Result<Self, TokenStorageError> {
        let guard = self.write_guard().await?;
        // The closure owns the guard: it is held until the work ends, even if the caller is cancelled.
        self.work(move |files| {
            let opened = rekey::rekey(files, &guard, &to)?;
            let files = Files::known(files.directory.clone(), to, &opened);
            Ok(Self(Arc::new(files)))
        })
        .await
    }

    /// Returns the kind of key that the store was opened with.
    pub fn kind(&self) -> KeyKind {
        self.0.source.kind()
    }

    /// Returns the directory of the files.
    pub(crate) fn directory(&self) -> &Path {
        self.0.directory.path()
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> Result<T, TokenStorageError> + Send + 'static,
    ) -> Result<T, TokenStorageError> {
        let files = Arc::clone(&self.0);
        off_runtime(move || work(&files)).await
    }

    /// Waits for a lock in the directory, which is created if it does not exist.
    async fn hold(&self, lock: String, location: &str) -> Result<FileLock, TokenStorageError> {
        let open = move |files: &Files| {
            files.directory.make_ready()?;
            files.directory.lock_file(&lock)
        };
        file_lock::hold(self.work(open).await?, location).await
    }

    async fn write_guard(&self) -> Result<WriteGuard, TokenStorageError> {
        let in_process = Arc::clone(&self.0.writer).lock_owned().await;
        let location = self.directory().display().to_string();
        Ok(WriteGuard {
            _in_process: in_process,
            _across_processes: self.hold(WRITE_LOCK.to_owned(), &location).await?,
        })
    }
}

impl fmt::Debug for EncryptedFileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedFileStore")
            .field("directory", &self.directory())
            .field("key", &self.0.source.kind())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Backend for EncryptedFileStore {
    async fn get(&self, name: &str) -> Result<Option<StoredEntry>, TokenStorageError> {
        let name = name.to_owned();
        self.work(move |files| files.get(&name)).await
    }

    async fn put(
        &self,
        name: &str,
        expected: Option<Revision>,
        entry: &Entry,
    ) -> Result<Revision, TokenStorageError> {
        // A wrong password fails here, before any file is created and before the write lock is held, so
        // that no other process waits for the derivation of the key.
        self.work(Files::opened).await?;
        let guard = self.write_guard().await?;
        let (name, entry) = (name.to_owned(), entry.clone());
        // The closure owns the guard: it is held until the work ends, even if the caller is cancelled.
        self.work(move |files| files.put(&guard, &name, expected, &entry))
            .await
    }

    async fn delete(
        &self,
        name: &str,
        expected: Option<Revision>,
    ) -> Result<bool, TokenStorageError> {
        if !self.work(|files| files.directory.exists()).await? {
            return expected.map_or(Ok(false), |_| Err(conflict(name)));
        }
        let guard = self.write_guard().await?;
        let name = name.to_owned();
        self.work(move |files| files.delete(&guard, &name, expected))
            .await
    }

    async fn check_writable(&self) -> Result<(), TokenStorageError> {
        if self.work(Files::opened).await?.is_some() {
            return Ok(());
        }
        let guard = self.write_guard().await?;
        self.work(move |files| files.opened_or_created(&guard))
            .await
            .map(drop)
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn names(&self, query: &NameQuery) -> Result<NamePage, TokenStorageError> {
        let query = query.clone();
        self.work(move |files| files.names(&query)).await
    }

    async fn lock(&self, name: &str) -> Result<Box<dyn LockGuard>, TokenStorageError> {
        Ok(Box::new(self.hold(hash(name), &location(name)).await?))
    }
}
