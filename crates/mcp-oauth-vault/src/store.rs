//! The store: its calls on the engine.

use std::{fmt, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use mcp_client_oauth::{
    TokenStore,
    error::TokenStorageError,
    platform::{Clock, HttpClient, ReqwestClient, SystemClock},
};
use mcp_oauth_store::{
    Backend, Entry, LockGuard, NamePage, NameQuery, Revision, StoredEntry, account_of,
};
use tokio::task::JoinSet;

use crate::{
    error::VaultError,
    kv::{Content, Found, Kv},
    lease,
    options::{VaultAuth, VaultOptions},
    record::{Document, Kept, MAX_RECORD, NOT_A_RECORD, hash, location, new_series, revision},
    shared::Shared,
};

/// The number of records that are read at the same time for their names.
const AT_ONCE: usize = 8;

/// Opens `vault:https://host:8200/mount/prefix`, with the token that `vault login` has stored in the home
/// directory. The mount and the prefix are optional. [`VaultOptions`] has all other options.
///
/// # Errors
/// Those of [`VaultStore::open`], and [`TokenStorageError::NoDirectory`] if the user has no home.
pub fn open(spec: &str) -> Result<TokenStore, TokenStorageError> {
    let location = spec.strip_prefix("vault:").unwrap_or(spec);
    let options = VaultOptions::from_spec(location, VaultAuth::default_token_file()?)?;
    Ok(TokenStore::new(Arc::new(VaultStore::open(&options)?)))
}

/// Stores each record in HashiCorp Vault or OpenBao, in a KV version 2 engine. Cloning shares the
/// connection and the token.
///
/// Vault encrypts its storage; the records are not encrypted again, so every user with a policy for them
/// can read them. Hosts that share a Vault share the records and refresh each of them once: a refresh holds
/// a lease of a minute, by the clock of the server.
#[derive(Clone)]
pub struct VaultStore(Arc<Shared>);

impl VaultStore {
    /// Opens the Vault of `options`. No request is sent yet: the first use checks that it responds, that the
    /// token is valid, and that the mount is a KV version 2 engine.
    ///
    /// # Errors
    /// [`VaultError`] if the address, the mount or the prefix cannot be used; [`TokenStorageError::Io`] if
    /// the CA bundle cannot be read.
    pub fn open(options: &VaultOptions) -> Result<Self, TokenStorageError> {
        let http = match &options.ca_bundle {
            None => ReqwestClient::default(),
            Some(path) => {
                let bundle = std::fs::read(path).map_err(|source| TokenStorageError::Io {
                    action: "read the CA bundle",
                    path: path.clone(),
                    source: Arc::new(source),
                })?;
                let client = ReqwestClient::default().with_roots(&bundle);
                client.map_err(|cause| VaultError::Unreachable(cause).at(&options.address))?
            }
        };
        Self::with_http_client(options, Arc::new(http), Arc::new(SystemClock::default()))
    }

    /// Opens the Vault of `options` with another HTTP client and clock. The client decides which certificates
    /// it trusts: the CA bundle of the options is not read.
    ///
    /// # Errors
    /// [`VaultError`] if the address, the mount or the prefix cannot be used.
    pub fn with_http_client(
        options: &VaultOptions,
        http: Arc<dyn HttpClient>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TokenStorageError> {
        options.check()?;
        let kv = Kv::new(options, http, clock)?;
        Ok(Self(Arc::new(Shared::new(kv))))
    }
}

impl Shared {
    async fn find(&self, name: &str) -> Result<Found<Document>, TokenStorageError> {
        self.kv.read(&path(name)).await
    }

    /// Returns the time when `found` was read.
    fn now(&self, found: &Found<Document>) -> SystemTime {
        found.read_at(&*self.kv.server.clock)
    }

    /// Returns the record in a document, unless it has expired.
    fn kept(&self, name: &str, found: Found<Document>) -> Result<Option<Kept>, TokenStorageError> {
        let now = self.now(&found);
        let kept = match found.content {
            Content::Absent => return Ok(None),
            Content::Unrecognized => Err(NOT_A_RECORD),
            Content::Present(document) => document.into_kept(now),
        };
        match kept.map_err(|why| corrupt(name, why))? {
            Some(kept) if kept.name != name => Err(corrupt(name, "it is another record")),
            kept => Ok(kept),
        }
    }

    /// Returns the record in a document, or a conflict if its revision is not `expected`.
    fn compare(
        &self,
        name: &str,
        found: Found<Document>,
        expected: Option<Revision>,
    ) -> Result<Option<Kept>, TokenStorageError> {
        let version = found.version;
        let kept = self.kept(name, found)?;
        let there = kept.as_ref().map(|kept| revision(kept.series(), version));
        if there == expected {
            return Ok(kept);
        }
        Err(conflict(name))
    }

    /// Returns whether there is nothing to delete. A record that has expired is deleted by the engine.
    fn is_deleted(&self, found: Found<Document>) -> bool {
        let now = self.now(&found);
        match found.content {
            Content::Absent => true,
            Content::Unrecognized => false,
            Content::Present(document) => matches!(document.into_kept(now), Ok(None)),
        }
    }

    /// Returns the names of the records with these hashes.
    async fn names_at(
        self: &Arc<Self>,
        hashes: Vec<String>,
    ) -> Result<Vec<String>, TokenStorageError> {
        let mut hashes = hashes.into_iter();
        let (mut reading, mut names) = (JoinSet::new(), Vec::new());
        loop {
            for hash in hashes.by_ref().take(AT_ONCE - reading.len()) {
                let shared = Arc::clone(self);
                reading.spawn(async move { shared.name_at(&hash).await });
            }
            let Some(read) = reading.join_next().await else {
                return Ok(names);
            };
            let read = read.map_err(|_| self.kv.server.fault(VaultError::Stopped))?;
            names.extend(read?);
        }
    }

    /// Returns the name of the record with the hash `hash_of_name`. A document that is no record is skipped
    /// with a warning, so that it does not hide the records.
    async fn name_at(&self, hash_of_name: &str) -> Result<Option<String>, TokenStorageError> {
        let found: Found<Document> = self.kv.read(&format!("records/{hash_of_name}")).await?;
        let now = self.now(&found);
        let kept = match found.content {
            Content::Absent => Ok(None),
            Content::Unrecognized => Err(NOT_A_RECORD),
            Content::Present(document) => document.into_kept(now),
        };
        match kept {
            Ok(None) => Ok(None),
            Ok(Some(kept)) if hash(&kept.name) == hash_of_name => Ok(Some(kept.name)),
            Ok(Some(_)) | Err(_) => {
                tracing::warn!(hash_of_name, "a document that is no record is skipped");
                Ok(None)
            }
        }
    }
}

#[async_trait]
impl Backend for VaultStore {
    async fn get(&self, name: &str) -> Result<Option<StoredEntry>, TokenStorageError> {
        let found = self.0.find(name).await?;
        let (version, now) = (found.version, self.0.now(&found));
        let Some(kept) = self.0.kept(name, found)? else {
            return Ok(None);
        };
        let stored = kept.stored(version, now);
        let stored = stored.map_err(|why| corrupt(name, why))?;
        Ok(Some(stored))
    }

    /// Checks that the Vault responds, accepts the token, has the engine and allows reading. Only a write
    /// shows whether a policy allows writing.
    async fn check_writable(&self) -> Result<(), TokenStorageError> {
        self.0.find("").await.map(drop)
    }

    /// Waits for the release of the leases: one that is not released keeps others waiting until it expires,
    /// after a minute.
    async fn flush(&self) {
        self.0.endings.close();
        self.0.endings.wait().await;
    }

    async fn put(
        &self,
        name: &str,
        expected: Option<Revision>,
        entry: &Entry,
    ) -> Result<Revision, TokenStorageError> {
        if name.len() + entry.bytes.expose().len() > MAX_RECORD {
            return Err(TokenStorageError::TooLarge {
                location: location(name),
                most: MAX_RECORD,
            });
        }
        let found = self.0.find(name).await?;
        let (version, now) = (found.version, self.0.now(&found));
        let kept = self.0.compare(name, found, expected)?;
        let expires = entry.lifetime.is_some() || kept.as_ref().is_some_and(Kept::expires);
        if kept.is_none() || expires {
            self.0
                .kv
                .keep_newest_only(&path(name), entry.lifetime)
                .await?;
        }
        let series = match kept {
            Some(kept) => kept.series(),
            None => new_series().map_err(|error| self.0.kv.server.fault(error))?,
        };
        let document = Document::of(name, series, entry, now);
        let capacity = document.max_json_len();
        let written = self
            .0
            .kv
            .write(&path(name), version, &document, capacity)
            .await?;
        let version = written.ok_or_else(|| conflict(name))?;
        Ok(revision(series, version))
    }

    async fn delete(
        &self,
        name: &str,
        expected: Option<Revision>,
    ) -> Result<bool, TokenStorageError> {
        loop {
            let found = self.0.find(name).await?;
            let version = found.version;
            if expected.is_some() {
                self.0.compare(name, found, expected)?;
            } else if self.0.is_deleted(found) {
                return Ok(false);
            }
            // Another program may have written the record, with several versions.
            self.0.kv.keep_newest_only(&path(name), None).await?;
            let note = Document::tombstone();
            match self.0.kv.write(&path(name), version, &note, 0).await? {
                Some(_) => return Ok(true),
                None if expected.is_some() => return Err(conflict(name)),
                // The content has changed, and is deleted in any case.
                None => {}
            }
        }
    }

    /// Removes the secret with all that the engine knows of it. A policy that was written for an earlier build
    /// does not allow it; a tombstone stays then.
    async fn purge(&self, name: &str) -> Result<(), TokenStorageError> {
        if self.0.kv.remove(&path(name)).await? {
            return Ok(());
        }
        self.delete(name, None).await.map(drop)
    }

    /// Returns a page of the names. The list of the engine has hashes only, so each record is read for its
    /// name: its metadata would need as many requests, and holds names of up to 512 bytes only. The cursor is
    /// the last hash that was read.
    async fn names(&self, query: &NameQuery) -> Result<NamePage, TokenStorageError> {
        let mut hashes = self.0.kv.list("records").await?;
        hashes.retain(|hash| query.after.as_ref().is_none_or(|after| hash > after));
        hashes.sort_unstable();
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let more = hashes.len() > limit;
        hashes.truncate(limit);
        let next = hashes.last().filter(|_| more).cloned();
        let mut names = self.0.names_at(hashes).await?;
        if let Some(account) = &query.account {
            names.retain(|name| account_of(name) == Some(account));
        }
        Ok(NamePage::new(names, next))
    }

    async fn lock(&self, name: &str) -> Result<Box<dyn LockGuard>, TokenStorageError> {
        lease::hold(&self.0, name).await
    }
}

impl fmt::Debug for VaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultStore")
            .field("address", &self.0.kv.server.address().as_str())
            .finish_non_exhaustive()
    }
}

fn path(name: &str) -> String {
    format!("records/{}", hash(name))
}

fn conflict(name: &str) -> TokenStorageError {
    TokenStorageError::Conflict {
        location: location(name),
    }
}

fn corrupt(name: &str, why: &'static str) -> TokenStorageError {
    TokenStorageError::Corrupt {
        location: location(name),
        why,
    }
}
