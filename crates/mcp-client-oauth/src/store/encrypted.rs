//! Files sealed with AES-256-GCM, one for each record: the local store.
//!
//! ```text
//! store.json        which store this is, and its master key, wrapped            (header)
//! key, key-<random> what opens that, if it is in a file, not in the keychain    (master)
//! <hash>.sealed     one record: a plain line about it, then the ciphertext      (record)
//! locks/<hash>      held while a record is refreshed; `locks/write` while files change
//! new/<random>.tmp  a file that is being written
//! ```
//! A file is called by the SHA-256 of its record's name, never by the name itself (H133, H134).
//! Reading takes no lock: a file is only ever replaced whole. Each change takes `locks/write` for
//! as long as it lasts: that makes compare-and-swap true for callers that do not hold the lock of
//! the record, lets first-time processes agree on a key, and proves that an unfinished file that
//! is found has no living maker. It is not the lock that callers hold, so it cannot wait for
//! itself.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use etcetera::BaseStrategy as _;

use self::{
    directory::Directory,
    files::{Files, Turn, conflict, existing, hash, place},
};
use super::{
    Backend, KeyKind, KeySource, LockGuard, Revision, StoredEntry,
    file_lock::{self, FileLock, off_runtime},
};
use crate::{error::TokenStorageError, secret::Secret};

#[cfg_attr(unix, path = "encrypted/permissions_unix.rs")]
#[cfg_attr(not(unix), path = "encrypted/permissions_other.rs")]
mod access;
mod directory;
mod files;
mod header;
mod master;
mod record;
mod rekey;
mod wrapping;

/// Holds what our directory is called among those of other programs.
const DIRECTORY: &str = "mcp-oauth";
/// The lock of whoever changes files.
const WRITE_LOCK: &str = "write";

/// Opens `file:` (the usual directory) or `file:/a/directory`: a store whose key is in a file.
pub(super) fn open(rest: &str) -> Result<Arc<dyn Backend>, TokenStorageError> {
    open_with(rest, KeySource::KeyFile)
}

/// Opens `keychain:` (the usual directory) or `keychain:/a/directory`: a store whose key is in the
/// keychain of the system.
#[cfg(feature = "keychain")]
pub(super) fn open_with_keychain(rest: &str) -> Result<Arc<dyn Backend>, TokenStorageError> {
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

/// Keeps each record in a file of its own, sealed with AES-256-GCM. Cloning shares the store, and
/// its key.
///
/// The names of the records (server URLs and issuers) are not secret and can be read in the files;
/// the records cannot. A file that was damaged, altered, renamed or brought from another store is
/// found out; a whole file that was put back from an older copy of the same store is not.
#[derive(Clone)]
pub struct EncryptedFileStore(Arc<Files>);

impl EncryptedFileStore {
    /// Opens the store in `directory`, or one that will be made there by the first lock or write.
    /// The key is fetched, and a password tried, when a record is first read or written.
    ///
    /// # Errors
    /// [`TokenStorageError::PasswordNeeded`] or [`TokenStorageError::OtherKey`] if the store is
    /// sealed with another kind of key; [`TokenStorageError::Insecure`] if others may change it.
    pub fn open(
        directory: impl Into<PathBuf>,
        source: KeySource,
    ) -> Result<Self, TokenStorageError> {
        let directory = Directory::new(directory.into());
        if let Some(header) = existing(&directory)? {
            master::check_kind(&directory, &header, &source)?;
        }
        Ok(Self(Arc::new(Files::new(directory, source))))
    }

    /// Returns the directory that this platform has for the data of programs, and ours in it.
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

    /// Returns what kind of key the store in `directory` is sealed with; none if there is no store yet.
    ///
    /// # Errors
    /// [`TokenStorageError`] if there is one that cannot be used.
    pub fn key_kind(directory: impl AsRef<Path>) -> Result<Option<KeyKind>, TokenStorageError> {
        let header = existing(&Directory::new(directory.as_ref().to_owned()))?;
        Ok(header.map(|header| header.parameters.key))
    }

    /// Gives the store another key, from the same source or another, and opens it with that. The
    /// records stay as they are: what seals them is a master key, which is sealed anew.
    ///
    /// The store opens with the old key until the moment of the change, and with the new one from
    /// then on, whatever ends this. Who has the store open, here or in another process, goes on. The
    /// old key file or entry in the keychain is removed; if that fails, a warning names it. A store
    /// that does not exist yet is made with the new key.
    ///
    /// A copy of the files from before still opens with the old key.
    ///
    /// # Errors
    /// What opening the store with its key says, or keeping the new one; the store has the old key
    /// then. [`TokenStorageError::Io`] if it cannot be told whether the change reached the disk.
    pub async fn rekey(&self, to: KeySource) -> Result<Self, TokenStorageError> {
        let turn = self.turn().await?;
        // Used up where the work is: it ends with it, even if the caller gives up.
        self.work(move |files| {
            let opened = rekey::rekey(files, &turn, &to)?;
            let files = Files::known(files.directory.clone(), to, &opened);
            Ok(Self(Arc::new(files)))
        })
        .await
    }

    /// Returns which kind of key this was opened with.
    pub fn kind(&self) -> KeyKind {
        self.0.source.kind()
    }

    /// Returns where the files are.
    pub fn directory(&self) -> &Path {
        self.0.directory.path()
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> Result<T, TokenStorageError> + Send + 'static,
    ) -> Result<T, TokenStorageError> {
        let files = Arc::clone(&self.0);
        off_runtime(move || work(&files)).await
    }

    /// Waits for a lock of the directory, which is made if need be.
    async fn hold(&self, lock: String, place: &str) -> Result<FileLock, TokenStorageError> {
        let open = move |files: &Files| {
            files.directory.make_ready()?;
            files.directory.lock_file(&lock)
        };
        file_lock::hold(self.work(open).await?, place).await
    }

    async fn turn(&self) -> Result<Turn, TokenStorageError> {
        let here = Arc::clone(&self.0.turn).lock_owned().await;
        let place = self.directory().display().to_string();
        Ok(Turn {
            _here: here,
            _everywhere: self.hold(WRITE_LOCK.to_owned(), &place).await?,
        })
    }
}

impl fmt::Debug for EncryptedFileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedFiles")
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
        bytes: &Secret<Vec<u8>>,
    ) -> Result<Revision, TokenStorageError> {
        // A wrong password is told here, before anything is made, and nobody waits for the
        // derivation of the key.
        self.work(Files::opened).await?;
        let turn = self.turn().await?;
        let (name, bytes) = (name.to_owned(), bytes.clone());
        // The turn is used up where the work is: it ends with it, even if the caller gives up.
        self.work(move |files| files.put(&turn, &name, expected, &bytes))
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
        let turn = self.turn().await?;
        let name = name.to_owned();
        self.work(move |files| files.delete(&turn, &name, expected))
            .await
    }

    async fn check_writable(&self) -> Result<(), TokenStorageError> {
        if self.work(Files::opened).await?.is_some() {
            return Ok(());
        }
        let turn = self.turn().await?;
        self.work(move |files| files.opened_or_created(&turn))
            .await
            .map(drop)
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn names(&self) -> Result<Vec<String>, TokenStorageError> {
        self.work(Files::names).await
    }

    async fn lock(&self, name: &str) -> Result<Box<dyn LockGuard>, TokenStorageError> {
        Ok(Box::new(self.hold(hash(name), &place(name)).await?))
    }
}
