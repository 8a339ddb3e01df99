//! Records in HashiCorp Vault or OpenBao, shared by hosts that share nothing else.
//!
//! ```text
//! <mount>/data/<prefix>/records/<hash>   one record: its name, a series, its bytes       (record)
//! <mount>/data/<prefix>/leases/<hash>    held while a record is refreshed: owner, host    (lease)
//! ```
//! The engine is KV version 2 (`kv`); its check-and-set makes every write here a compare-and-swap. This
//! client does not encrypt the values: Vault encrypts its storage, and its policies decide on access. A
//! user who may read the record can read the tokens. A path is the SHA-256 of the record's name; the name
//! is in the document. A policy must allow:
//!
//! ```text
//! path "<mount>/data/<prefix>/*"     { capabilities = ["create", "read", "update"] }
//! path "<mount>/metadata/<prefix>/*" { capabilities = ["create", "update", "list"] }
//! ```
//!
//! This is a thin client of eight calls on [`HttpClient`], so that the network policy, the limits and the
//! redaction are those of every other request here. The crate `vaultrs` would bring 164 crates, a second
//! HTTP stack and hundreds of methods, and its status call fails on OpenBao.
//!
//! A deletion replaces the record by a tombstone, by check-and-set, and the engine is configured to keep no
//! older version: nothing of the tokens is left, and the version number goes on.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use tokio::task::JoinSet;

use self::{
    kv::{Content, Found, Kv},
    record::{Document, Kept, MAX_RECORD, NOT_A_RECORD, hash, location, new_series, revision},
    shared::Shared,
};
use super::backend::{Backend, LockGuard, Revision, StoredEntry};
use crate::{
    error::{TokenStorageError, VaultErrorKind},
    platform::{Clock, HttpClient, ReqwestClient, SystemClock},
    secret::Secret,
};

mod auth;
mod http;
mod kv;
mod lease;
mod options;
mod record;
mod shared;

pub use options::{VaultAuth, VaultOptions};

/// The number of records that are read at the same time for their names.
const AT_ONCE: usize = 8;

/// Opens `vault:https://host:8200/mount/prefix`, with the token that `vault login` has stored in the home
/// directory. [`VaultOptions`] has all other options.
pub(super) fn open(rest: &str) -> Result<Arc<dyn Backend>, TokenStorageError> {
    let options = VaultOptions::from_spec(rest, VaultAuth::default_token_file()?)?;
    Ok(Arc::new(Vault::open(&options, Arc::new(SystemClock))?))
}

/// Stores each record in HashiCorp Vault or OpenBao, in a KV version 2 engine. Cloning shares the
/// connection and the token.
///
/// Vault encrypts its storage; the records are not encrypted again, so every user with a policy for them
/// can read them. Hosts that share a Vault share the records and refresh each of them once: a refresh holds
/// a lease of a minute, by the clock of the server.
#[derive(Clone)]
pub struct Vault(Arc<Shared>);

impl Vault {
    /// Opens the Vault of `options`. No request is sent yet: the first use checks that it responds, that the
    /// token is valid, and that the mount is a KV version 2 engine.
    ///
    /// # Errors
    /// [`TokenStorageError::Vault`] if the address, the mount or the prefix cannot be used;
    /// [`TokenStorageError::Io`] if the CA bundle cannot be read.
    pub fn open(options: &VaultOptions, clock: Arc<dyn Clock>) -> Result<Self, TokenStorageError> {
        let http = match &options.ca_bundle {
            None => ReqwestClient::default(),
            Some(path) => {
                let bundle = std::fs::read(path).map_err(|source| TokenStorageError::Io {
                    action: "read the CA bundle",
                    path: path.clone(),
                    source: Arc::new(source),
                })?;
                let client = ReqwestClient::default().with_roots(&bundle);
                client.map_err(|cause| TokenStorageError::Vault {
                    address: options.address.clone(),
                    cause: VaultErrorKind::Unreachable(cause),
                })?
            }
        };
        Self::with_http_client(options, Arc::new(http), clock)
    }

    /// Opens the Vault of `options` with another HTTP client, which decides which certificates it trusts: the
    /// CA bundle of the options is not read.
    ///
    /// # Errors
    /// [`TokenStorageError::Vault`] if the address, the mount or the prefix cannot be used.
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

    /// Returns the name of the record with the hash `hash_of_name`. A document that is no record is skipped
    /// with a warning, so that it does not hide the records.
    async fn name_at(&self, hash_of_name: &str) -> Result<Option<String>, TokenStorageError> {
        let found: Found<Document> = self.kv.read(&format!("records/{hash_of_name}")).await?;
        let kept = match found.content {
            Content::Absent => Ok(None),
            Content::Unrecognized => Err(NOT_A_RECORD),
            Content::Present(document) => document.into_kept(),
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
impl Backend for Vault {
    async fn get(&self, name: &str) -> Result<Option<StoredEntry>, TokenStorageError> {
        let found = self.0.find(name).await?;
        let version = found.version;
        let Some(kept) = kept(name, found)? else {
            return Ok(None);
        };
        let stored = kept.stored(version).map_err(|why| corrupt(name, why))?;
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
        bytes: &Secret<Vec<u8>>,
    ) -> Result<Revision, TokenStorageError> {
        if name.len() + bytes.expose().len() > MAX_RECORD {
            return Err(TokenStorageError::TooLarge {
                location: location(name),
                most: MAX_RECORD,
            });
        }
        let found = self.0.find(name).await?;
        let version = found.version;
        let series = if let Some(kept) = compare(name, found, expected)? {
            kept.series()
        } else {
            self.0.kv.keep_newest_only(&path(name)).await?;
            new_series()?
        };
        let document = Document::of(name, series, bytes);
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
                compare(name, found, expected)?;
            } else if is_deleted(&found.content) {
                return Ok(false);
            }
            // Another program may have written the record, with several versions.
            self.0.kv.keep_newest_only(&path(name)).await?;
            let note = Document::tombstone();
            match self.0.kv.write(&path(name), version, &note, 0).await? {
                Some(_) => return Ok(true),
                None if expected.is_some() => return Err(conflict(name)),
                // The content has changed, and is deleted in any case.
                None => {}
            }
        }
    }

    /// Returns all names. The list of the engine has hashes only, so each record is read for its name: its
    /// metadata would need as many requests, and holds names of up to 512 bytes only.
    async fn names(&self) -> Result<Vec<String>, TokenStorageError> {
        let mut hashes = self.0.kv.list("records").await?.into_iter();
        let (mut reading, mut names) = (JoinSet::new(), Vec::new());
        loop {
            for hash in hashes.by_ref().take(AT_ONCE - reading.len()) {
                let shared = Arc::clone(&self.0);
                reading.spawn(async move { shared.name_at(&hash).await });
            }
            let Some(read) = reading.join_next().await else {
                return Ok(names);
            };
            let read = read.map_err(|stopped| TokenStorageError::Backend {
                name: "vault",
                source: Arc::new(stopped),
            })?;
            names.extend(read?);
        }
    }

    async fn lock(&self, name: &str) -> Result<Box<dyn LockGuard>, TokenStorageError> {
        lease::hold(&self.0, name).await
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("address", &self.0.kv.server.address().as_str())
            .finish_non_exhaustive()
    }
}

fn path(name: &str) -> String {
    format!("records/{}", hash(name))
}

/// Returns the record in a document.
fn kept(name: &str, found: Found<Document>) -> Result<Option<Kept>, TokenStorageError> {
    let kept = match found.content {
        Content::Absent => return Ok(None),
        Content::Unrecognized => Err(NOT_A_RECORD),
        Content::Present(document) => document.into_kept(),
    };
    match kept.map_err(|why| corrupt(name, why))? {
        Some(kept) if kept.name != name => Err(corrupt(name, "it is another record")),
        kept => Ok(kept),
    }
}

/// Returns the record in a document, or a conflict if its revision is not `expected`.
fn compare(
    name: &str,
    found: Found<Document>,
    expected: Option<Revision>,
) -> Result<Option<Kept>, TokenStorageError> {
    let version = found.version;
    let kept = kept(name, found)?;
    let there = kept.as_ref().map(|kept| revision(kept.series(), version));
    if there == expected {
        return Ok(kept);
    }
    Err(conflict(name))
}

/// Returns whether there is nothing to delete.
fn is_deleted(content: &Content<Document>) -> bool {
    match content {
        Content::Absent => true,
        Content::Unrecognized => false,
        Content::Present(document) => *document == Document::tombstone(),
    }
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
