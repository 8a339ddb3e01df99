//! A store without compare-and-swap, for the processes of an application that runs only once.

use std::{error::Error, fmt, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use mcp_oauth_support::{Secret, UntrustedText, system_time};

use crate::error::TokenStorageError;
use crate::{
    backend::{Backend, Entry, LockGuard, Revision, StoredEntry},
    expiry::Expiry,
    names::{NamePage, NameQuery},
    process_locks::ProcessLocks,
};

/// The first byte of each content: the version of its format.
const VERSION: u8 = 1;
/// The length of the head: the version, the revision, and the expiry in milliseconds since 1970 or 0.
const HEAD: usize = 1 + 8 + 8;

/// A map from names to bytes, without revisions or locks. [`OneProcess`] makes a [`Backend`] of it.
///
/// The bytes hold tokens in plaintext: a store that keeps them encrypts them.
#[async_trait]
pub trait SimpleStore: fmt::Debug + Send + Sync {
    /// Returns the bytes of `name`, if there are any.
    async fn get(
        &self,
        name: &str,
    ) -> Result<Option<Secret<Vec<u8>>>, Box<dyn Error + Send + Sync>>;

    /// Stores or replaces the bytes of `name`, wholly or not at all.
    async fn put(
        &self,
        name: &str,
        bytes: &Secret<Vec<u8>>,
    ) -> Result<(), Box<dyn Error + Send + Sync>>;

    /// Deletes the bytes of `name`, if there are any.
    async fn delete(&self, name: &str) -> Result<(), Box<dyn Error + Send + Sync>>;

    /// Returns all names, in any order.
    async fn names(&self) -> Result<Vec<String>, Box<dyn Error + Send + Sync>>;
}

/// A [`Backend`] of a [`SimpleStore`] that **only one process** uses, through one value of this type.
///
/// Revisions and locks are those of this process. If two processes use the same store, both refresh, and with
/// rotation the login is lost.
///
/// ```
/// use std::{collections::HashMap, error::Error, sync::{Arc, Mutex}};
///
/// use async_trait::async_trait;
/// use mcp_oauth_store::{Backend, OneProcess, Secret, SimpleStore};
///
/// #[derive(Debug, Default)]
/// struct Settings(Mutex<HashMap<String, Secret<Vec<u8>>>>);
///
/// #[async_trait]
/// impl SimpleStore for Settings {
///     async fn get(&self, name: &str) -> Result<Option<Secret<Vec<u8>>>, Box<dyn Error + Send + Sync>> {
///         Ok(self.0.lock().unwrap().get(name).cloned())
///     }
///     async fn put(&self, name: &str, bytes: &Secret<Vec<u8>>) -> Result<(), Box<dyn Error + Send + Sync>> {
///         self.0.lock().unwrap().insert(name.to_owned(), bytes.clone());
///         Ok(())
///     }
///     async fn delete(&self, name: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
///         self.0.lock().unwrap().remove(name);
///         Ok(())
///     }
///     async fn names(&self) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
///         Ok(self.0.lock().unwrap().keys().cloned().collect())
///     }
/// }
///
/// // `TokenStore::new` of `mcp-client-oauth` takes it.
/// let store: Arc<dyn Backend> = Arc::new(OneProcess::new(Settings::default()));
/// # drop(store);
/// ```
#[derive(Debug)]
pub struct OneProcess<S> {
    store: S,
    locks: ProcessLocks,
    /// The last revision. Held during each change, so that comparing and writing are one step.
    last: tokio::sync::Mutex<u64>,
}

/// The content of a name.
struct Content {
    revision: Revision,
    expiry: Expiry,
    bytes: Secret<Vec<u8>>,
}

impl<S: SimpleStore> OneProcess<S> {
    /// Uses `store`, which no other process may use.
    pub fn new(store: S) -> Self {
        // Earlier processes began at an earlier time: their revisions are smaller.
        let start = system_time::now().duration_since(SystemTime::UNIX_EPOCH);
        let start = start.unwrap_or_default().as_micros();
        Self {
            store,
            locks: ProcessLocks::default(),
            last: tokio::sync::Mutex::new(u64::try_from(start).unwrap_or_default()),
        }
    }

    /// Returns the content of `name`, unless it has expired.
    async fn find(&self, name: &str) -> Result<Option<Content>, TokenStorageError> {
        let Some(found) = self.store.get(name).await.map_err(failed(name))? else {
            return Ok(None);
        };
        let content = Content::parse(&found).ok_or_else(|| TokenStorageError::Corrupt {
            location: location(name),
            why: "it was not written by this client",
        })?;
        Ok(Some(content).filter(|content| !content.expiry.is_over()))
    }

    /// Checks that the content of `name` has the expected revision.
    async fn compare(
        &self,
        name: &str,
        expected: Option<Revision>,
    ) -> Result<(), TokenStorageError> {
        let found = self.find(name).await?.map(|content| content.revision);
        if found == expected {
            return Ok(());
        }
        Err(TokenStorageError::Conflict {
            location: location(name),
        })
    }
}

impl Content {
    fn parse(stored: &Secret<Vec<u8>>) -> Option<Self> {
        let (head, bytes) = stored.expose().split_at_checked(HEAD)?;
        let (version, numbers) = head.split_first()?;
        let (revision, expiry) = numbers.split_first_chunk()?;
        let expiry = u64::from_be_bytes(expiry.try_into().ok()?);
        (*version == VERSION).then(|| Self {
            revision: Revision::new(u64::from_be_bytes(*revision)),
            expiry: Expiry::from_millis(Some(expiry).filter(|millis| *millis > 0)),
            bytes: Secret::new(bytes.to_vec()),
        })
    }
}

/// Returns the bytes to store. The buffer never grows, which would leave a copy of the tokens in memory.
fn with_head(revision: Revision, entry: &Entry) -> Secret<Vec<u8>> {
    let bytes = entry.bytes.expose();
    let expiry = Expiry::after(entry.lifetime).as_millis().unwrap_or(0);
    let mut stored = Vec::with_capacity(HEAD + bytes.len());
    stored.push(VERSION);
    stored.extend_from_slice(&revision.number().to_be_bytes());
    stored.extend_from_slice(&expiry.to_be_bytes());
    stored.extend_from_slice(bytes);
    Secret::new(stored)
}

#[async_trait]
impl<S: SimpleStore> Backend for OneProcess<S> {
    async fn get(&self, name: &str) -> Result<Option<StoredEntry>, TokenStorageError> {
        let found = self.find(name).await?;
        Ok(found.map(|content| {
            let left = content.expiry.remaining();
            let entry = Entry::new(content.bytes).with_lifetime(left);
            StoredEntry::new(content.revision, entry)
        }))
    }

    async fn put(
        &self,
        name: &str,
        expected: Option<Revision>,
        entry: &Entry,
    ) -> Result<Revision, TokenStorageError> {
        let mut last = self.last.lock().await;
        self.compare(name, expected).await?;
        // The clock may have been set back since an earlier process wrote the content.
        *last = expected.map_or(*last, |found| found.number().max(*last)) + 1;
        let revision = Revision::new(*last);
        let stored = with_head(revision, entry);
        let written = self.store.put(name, &stored).await;
        written.map(|()| revision).map_err(failed(name))
    }

    async fn delete(
        &self,
        name: &str,
        expected: Option<Revision>,
    ) -> Result<bool, TokenStorageError> {
        let _last = self.last.lock().await;
        let existed = if expected.is_some() {
            self.compare(name, expected).await?;
            true
        } else {
            // A corrupt content is deleted too.
            !matches!(self.find(name).await, Ok(None))
        };
        let deleted = self.store.delete(name).await;
        deleted.map(|()| existed).map_err(failed(name))
    }

    /// Returns a page of the names. Each entry on it is read, because only the content says when it expires.
    async fn names(&self, query: &NameQuery) -> Result<NamePage, TokenStorageError> {
        let names = self.store.names().await.map_err(failed(""))?;
        let mut page = query.page(names);
        let mut current = Vec::with_capacity(page.names.len());
        for name in page.names {
            if !matches!(self.find(&name).await, Ok(None)) {
                current.push(name);
            }
        }
        page.names = current;
        Ok(page)
    }

    async fn lock(&self, name: &str) -> Result<Box<dyn LockGuard>, TokenStorageError> {
        Ok(self.locks.hold(name).await)
    }
}

/// Returns the error for a failure of the store.
fn failed(name: &str) -> impl Fn(Box<dyn Error + Send + Sync>) -> TokenStorageError {
    move |source| TokenStorageError::Backend {
        location: location(name),
        source: Arc::from(source),
        is_temporary: false,
    }
}

fn location(name: &str) -> String {
    format!("the record `{}`", UntrustedText::new(name))
}
