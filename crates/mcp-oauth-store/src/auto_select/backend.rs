//! `auto:` as a back end. [`open`](crate::open) is synchronous, and a request to the
//! keychain takes seconds on some systems, so a new store selects its key on the first write.

use std::{fmt, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use tokio::sync::OnceCell;

use super::{AutoOptions, SelectionReason, auto, existing_key};
use crate::{
    backend::{Backend, Entry, LockGuard, Revision, StoredEntry},
    encrypted::EncryptedFileStore,
    error::TokenStorageError,
    file_lock::off_runtime,
    key::KeySource,
    names::{NamePage, NameQuery},
};

/// Opens `auto:` (the default directory) or `auto:/a/directory`.
///
/// A store that exists keeps its kind of key, and is opened here, with the same errors as `file:`.
pub(crate) fn open(rest: &str) -> Result<Arc<dyn Backend>, TokenStorageError> {
    let directory = if rest.is_empty() {
        EncryptedFileStore::default_dir()?
    } else {
        rest.into()
    };
    let files = match EncryptedFileStore::key_kind(&directory)? {
        Some(kind) => {
            let source = existing_key(&directory, kind, &AutoOptions::default())?;
            OnceCell::new_with(Some(EncryptedFileStore::open(&directory, source)?))
        }
        None => OnceCell::new(),
    };
    Ok(Arc::new(AutoFiles { directory, files }))
}

/// Encrypted files; the kind of their key is selected on the first write, unless the store exists.
struct AutoFiles {
    directory: PathBuf,
    /// Set once the kind of key is selected. A failed selection is retried.
    files: OnceCell<EncryptedFileStore>,
}

impl AutoFiles {
    /// Returns the store to write to, and selects the kind of key if there is no store yet.
    async fn selected(&self) -> Result<&EncryptedFileStore, TokenStorageError> {
        self.files.get_or_try_init(|| self.select()).await
    }

    async fn select(&self) -> Result<EncryptedFileStore, TokenStorageError> {
        let options = AutoOptions {
            directory: Some(self.directory.clone()),
            ..AutoOptions::default()
        };
        let (files, choice) = auto(&options).await?;
        // The caller gets no `StoreSelection` here, and a weaker key must not be selected silently.
        if let SelectionReason::NoKeychain(_) = choice.reason {
            tracing::warn!("{choice}");
        } else {
            tracing::debug!("{choice}");
        }
        Ok(files)
    }

    /// Returns the store to read from or to lock. Reading selects no key: a store that another process
    /// creates later, with another kind of key, must still open here.
    async fn existing(&self) -> Result<EncryptedFileStore, TokenStorageError> {
        if let Some(files) = self.files.get() {
            return Ok(files.clone());
        }
        let directory = self.directory.clone();
        let kind = off_runtime(move || EncryptedFileStore::key_kind(directory)).await?;
        if kind.is_some() {
            return self.selected().await.cloned();
        }
        // Empty. Locks do not depend on the key.
        EncryptedFileStore::open(&self.directory, KeySource::KeyFile)
    }
}

impl fmt::Debug for AutoFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AutoFiles")
            .field("directory", &self.directory)
            .field("key", &self.files.get().map(EncryptedFileStore::kind))
            .finish()
    }
}

#[async_trait]
impl Backend for AutoFiles {
    async fn get(&self, name: &str) -> Result<Option<StoredEntry>, TokenStorageError> {
        self.existing().await?.get(name).await
    }

    async fn put(
        &self,
        name: &str,
        expected: Option<Revision>,
        entry: &Entry,
    ) -> Result<Revision, TokenStorageError> {
        self.selected().await?.put(name, expected, entry).await
    }

    async fn delete(
        &self,
        name: &str,
        expected: Option<Revision>,
    ) -> Result<bool, TokenStorageError> {
        self.existing().await?.delete(name, expected).await
    }

    async fn check_writable(&self) -> Result<(), TokenStorageError> {
        self.selected().await?.check_writable().await
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn names(&self, query: &NameQuery) -> Result<NamePage, TokenStorageError> {
        self.existing().await?.names(query).await
    }

    async fn lock(&self, name: &str) -> Result<Box<dyn LockGuard>, TokenStorageError> {
        self.existing().await?.lock(name).await
    }
}
