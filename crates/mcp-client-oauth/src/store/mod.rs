//! Step 5: keeping tokens. Back ends keep bytes by name; this module knows what they mean.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    discovery::Discovery,
    error::TokenStorageError,
    identity::{ClientIdentity, Registration},
    proto::{challenge::Challenge, scope::Scope, server_metadata::Issuer, token::TokenSet},
    secret::Secret,
    server_url::ServerUrl,
};

#[cfg(feature = "testing")]
pub mod contract;
#[cfg(feature = "sealed-file")]
mod key;
#[cfg(feature = "sealed-file")]
mod lock;
mod memory;
#[cfg(feature = "sealed-file")]
mod sealed;
#[cfg(feature = "vault")]
mod vault;

#[cfg(feature = "sealed-file")]
pub use key::{KeyKind, KeySource};
pub use memory::MemoryBackend;
#[cfg(feature = "sealed-file")]
pub use sealed::SealedFiles;
#[cfg(feature = "vault")]
pub use vault::{Vault, VaultAuth, VaultOptions};

/// The version of what is written in a record.
const RECORD_VERSION: u64 = 1;
/// Before the name of a login, and before that of a client registration.
const LOGIN: &str = "login ";
const CLIENT: &str = "client ";

/// Every back end: what it is called in `--store name:rest`, and how it is opened.
pub const BACKENDS: &[(&str, OpenBackend)] = &[
    #[cfg(feature = "sealed-file")]
    ("file", sealed::open),
    ("memory", memory::open),
    #[cfg(feature = "vault")]
    ("vault", vault::open),
];

/// Opens a back end from what follows the colon.
pub type OpenBackend = fn(&str) -> Result<Arc<dyn Backend>, TokenStorageError>;

/// A place that keeps secret bytes by name. It knows nothing of tokens.
///
/// Names are any text, of any length. What is kept under a name is replaced wholly or not at all,
/// and each change gives it a greater [`Revision`]. What is kept again after a deletion has a
/// revision that the name never had before.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync {
    /// What is kept under `name`, if anything.
    async fn get(&self, name: &str) -> Result<Option<Stored>, TokenStorageError>;

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

    /// Every name, in any order.
    async fn names(&self) -> Result<Vec<String>, TokenStorageError>;

    /// Waits until nobody else, in this process or another, holds `name`. Dropping what is
    /// returned lets go.
    ///
    /// # Errors
    /// [`TokenStorageError::Locked`] if somebody holds it for longer than a refresh can take.
    async fn lock(&self, name: &str) -> Result<Box<dyn Held>, TokenStorageError>;
}

/// A name that is held by nobody else until this is dropped.
#[async_trait]
pub trait Held: fmt::Debug + Send + Sync {
    /// Makes sure that it is still held. A lock of the operating system is, as long as this value
    /// lives; one that is a document with an expiry may have been taken over while we were stopped.
    ///
    /// # Errors
    /// [`TokenStorageError::Conflict`] if somebody else holds it now.
    async fn confirm(&self) -> Result<(), TokenStorageError> {
        Ok(())
    }
}

/// Which of the successive contents of a name.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Revision(u64);

impl Revision {
    /// The revision with this number.
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The revision after this one; the first, after nothing.
    pub fn after(previous: Option<Self>) -> Self {
        Self(previous.map_or(1, |previous| previous.0.saturating_add(1)))
    }
}

/// What is kept under a name.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stored {
    /// Which content this is.
    pub revision: Revision,
    /// The content.
    pub bytes: Secret<Vec<u8>>,
}

impl Stored {
    /// A content of given parts.
    pub fn new(revision: Revision, bytes: Secret<Vec<u8>>) -> Self {
        Self { revision, bytes }
    }
}

/// Whose tokens: one account at one server. Several accounts at a server never mix, and a name
/// that is pointed at another URL finds nothing (H92, H93).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct RecordKey {
    server: ServerUrl,
    account: Option<String>,
}

impl RecordKey {
    /// The only account at `server`.
    pub fn new(server: ServerUrl) -> Self {
        Self {
            server,
            account: None,
        }
    }

    /// One of several accounts at the server.
    #[must_use]
    pub fn with_account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// The server.
    pub fn server(&self) -> &ServerUrl {
        &self.server
    }

    /// The account, if there are several.
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// A server URL has no fragment and no blank, so the parts cannot run into each other.
    fn name(&self) -> String {
        match &self.account {
            Some(account) => format!("{LOGIN}{}#{account}", self.server),
            None => format!("{LOGIN}{}", self.server),
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        let rest = name.strip_prefix(LOGIN)?;
        let (server, account) = match rest.split_once('#') {
            Some((server, account)) => (server, Some(account.to_owned())),
            None => (rest, None),
        };
        Some(Self {
            server: server.parse().ok()?,
            account,
        })
    }
}

impl From<&ServerUrl> for RecordKey {
    fn from(server: &ServerUrl) -> Self {
        Self::new(server.clone())
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.account {
            Some(account) => write!(f, "{} ({account})", self.server),
            None => self.server.fmt(f),
        }
    }
}

/// Everything that is kept of one login.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Record {
    /// What was discovered. The endpoints in it are the only ones that ever see these tokens, so a
    /// later change of the server's metadata cannot redirect them (H6).
    pub discovery: Discovery,
    /// Who we are there.
    pub identity: ClientIdentity,
    /// The scope that was asked for.
    pub requested: Option<Scope>,
    /// The tokens.
    pub tokens: TokenSet,
}

impl Record {
    /// A record of given parts.
    pub fn new(
        discovery: Discovery,
        identity: ClientIdentity,
        requested: Option<Scope>,
        tokens: TokenSet,
    ) -> Self {
        Self {
            discovery,
            identity,
            requested,
            tokens,
        }
    }

    /// What a login has to ask for to satisfy `challenge`: what was asked for and granted before,
    /// and what is asked for now (spec-checklist G4).
    pub fn widened_scope(&self, challenge: &Challenge) -> Option<Scope> {
        let before = self.known_scope();
        Scope::union_of(before.as_ref(), challenge.scope.as_ref())
    }

    /// What was asked for, and what was granted.
    pub fn known_scope(&self) -> Option<Scope> {
        Scope::union_of(self.requested.as_ref(), self.tokens.scope.as_ref())
    }

    /// The part of the requested scope that was not granted. A server that says nothing granted
    /// what was asked (RFC 6749 §5.1).
    pub fn missing_scope(&self) -> Option<Scope> {
        self.requested
            .as_ref()?
            .missing_from(self.tokens.scope.as_ref()?)
    }
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u64,
    #[serde(flatten)]
    content: T,
}

/// Proof that no other task, process or host is changing a record, and what the record was when
/// that began: whoever holds it has re-read the store.
#[derive(Debug)]
#[must_use = "the record is let go when this is dropped"]
pub struct RecordLock {
    name: String,
    record: Option<Record>,
    revision: Option<Revision>,
    held: Box<dyn Held>,
}

impl RecordLock {
    /// What the store has, as long as this lock is held.
    pub fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    /// Which content that is.
    pub fn revision(&self) -> Option<Revision> {
        self.revision
    }

    /// Makes sure that the record is still ours to change, right before something that cannot be
    /// taken back.
    ///
    /// # Errors
    /// [`TokenStorageError::Conflict`] if somebody else holds it now.
    pub async fn confirm(&self) -> Result<(), TokenStorageError> {
        self.held.confirm().await
    }
}

/// Records by server and account. Cloning shares the store.
#[derive(Clone, Debug)]
pub struct TokenStore {
    backend: Arc<dyn Backend>,
}

impl TokenStore {
    /// Over any back end.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }

    /// A store that forgets everything when the process ends.
    pub fn memory() -> Self {
        Self::new(Arc::new(MemoryBackend::default()))
    }

    /// Opens `name:rest`, such as `memory:` or `file:/home/me/tokens`.
    ///
    /// # Errors
    /// [`TokenStorageError::UnknownBackend`], or what the back end says.
    pub fn open(spec: &str) -> Result<Self, TokenStorageError> {
        let (name, rest) = spec.split_once(':').unwrap_or((spec, ""));
        let found = BACKENDS.iter().find(|(known, _)| *known == name);
        let (_, open) = found.ok_or_else(|| TokenStorageError::UnknownBackend(name.to_owned()))?;
        open(rest).map(Self::new)
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`TokenStorageError`]; nothing is changed by reading.
    pub async fn load(
        &self,
        key: &RecordKey,
    ) -> Result<Option<(Record, Revision)>, TokenStorageError> {
        let name = key.name();
        let Some(stored) = self.backend.get(&name).await? else {
            return Ok(None);
        };
        let record: Record = decode(&name, &stored.bytes)?;
        // The name is authenticated by the back end; this guards against one that does not (H93).
        if record.discovery.server != key.server {
            return Err(TokenStorageError::Corrupt {
                place: key.to_string(),
                why: "it holds the tokens of another server",
            });
        }
        Ok(Some((record, stored.revision)))
    }

    /// Waits until nobody else is changing the record, and reads it.
    ///
    /// # Errors
    /// [`TokenStorageError::Locked`], or what reading says.
    pub async fn lock(&self, key: &RecordKey) -> Result<RecordLock, TokenStorageError> {
        let name = key.name();
        let held = self.backend.lock(&name).await?;
        let (record, revision) = self.load(key).await?.unzip();
        Ok(RecordLock {
            name,
            record,
            revision,
            held,
        })
    }

    /// Writes a record, durably; only with the lock held.
    ///
    /// # Errors
    /// [`TokenStorageError`]; the store has the old record then.
    pub async fn save(
        &self,
        lock: &mut RecordLock,
        record: &Record,
    ) -> Result<Revision, TokenStorageError> {
        let bytes = encode(&lock.name, record)?;
        let revision = self.backend.put(&lock.name, lock.revision, &bytes).await?;
        lock.record = Some(record.clone());
        lock.revision = Some(revision);
        Ok(revision)
    }

    /// Forgets the record that the lock has read, and no later one. Whether there was one.
    ///
    /// # Errors
    /// [`TokenStorageError`]; the store has the old record then.
    pub async fn delete(&self, lock: &mut RecordLock) -> Result<bool, TokenStorageError> {
        let Some(revision) = lock.revision.take() else {
            return Ok(false);
        };
        lock.record = None;
        self.backend.delete(&lock.name, Some(revision)).await
    }

    /// Forgets whatever is kept for `key`, even if it cannot be read. Whether there was anything.
    ///
    /// # Errors
    /// [`TokenStorageError`].
    pub async fn forget(&self, key: &RecordKey) -> Result<bool, TokenStorageError> {
        let name = key.name();
        let _held = self.backend.lock(&name).await?;
        self.backend.delete(&name, None).await
    }

    /// Whose records are kept, sorted.
    ///
    /// # Errors
    /// [`TokenStorageError`] if the names cannot be read; one damaged record hides no other.
    pub async fn keys(&self) -> Result<Vec<RecordKey>, TokenStorageError> {
        let mut names = self.backend.names().await?;
        names.sort_unstable();
        Ok(names
            .iter()
            .filter_map(|name| RecordKey::from_name(name))
            .collect())
    }

    /// The client that was registered with `issuer` before (spec-checklist D12).
    ///
    /// # Errors
    /// [`TokenStorageError`].
    pub async fn registration(
        &self,
        issuer: &Issuer,
    ) -> Result<Option<Registration>, TokenStorageError> {
        let name = client_name(issuer);
        let Some(stored) = self.backend.get(&name).await? else {
            return Ok(None);
        };
        let registration: Registration = decode(&name, &stored.bytes)?;
        Ok(Some(registration).filter(|registration| registration.issuer == *issuer))
    }

    /// Keeps a registration for the next login with its issuer.
    ///
    /// # Errors
    /// [`TokenStorageError`].
    pub async fn save_registration(
        &self,
        registration: &Registration,
    ) -> Result<(), TokenStorageError> {
        let name = client_name(&registration.issuer);
        let bytes = encode(&name, registration)?;
        let _held = self.backend.lock(&name).await?;
        let previous = self.backend.get(&name).await?.map(|stored| stored.revision);
        self.backend.put(&name, previous, &bytes).await.map(drop)
    }

    /// Forgets the registration with `issuer`.
    ///
    /// # Errors
    /// [`TokenStorageError`].
    pub async fn forget_registration(&self, issuer: &Issuer) -> Result<bool, TokenStorageError> {
        let name = client_name(issuer);
        let _held = self.backend.lock(&name).await?;
        self.backend.delete(&name, None).await
    }
}

fn client_name(issuer: &Issuer) -> String {
    format!("{CLIENT}{}", issuer.as_str())
}

fn encode<T: Serialize>(name: &str, content: &T) -> Result<Secret<Vec<u8>>, TokenStorageError> {
    // Room for the largest tokens, so that no copy is left behind when the buffer grows.
    let mut bytes = Secret::new(Vec::with_capacity(96 * 1024));
    serde_json::to_writer(
        bytes.expose_mut(),
        &Versioned {
            version: RECORD_VERSION,
            content,
        },
    )
    .map_err(|_| corrupt(name, "it cannot be written as JSON"))?;
    Ok(bytes)
}

fn decode<T: DeserializeOwned>(
    name: &str,
    bytes: &Secret<Vec<u8>>,
) -> Result<T, TokenStorageError> {
    #[derive(Deserialize)]
    struct Version {
        version: u64,
    }
    let unreadable = |_| corrupt(name, "it is not a record of ours");
    let Version { version } = serde_json::from_slice(bytes.expose()).map_err(unreadable)?;
    if version > RECORD_VERSION {
        return Err(TokenStorageError::Newer {
            place: name.to_owned(),
            version,
        });
    }
    let versioned: Versioned<T> = serde_json::from_slice(bytes.expose()).map_err(unreadable)?;
    Ok(versioned.content)
}

fn corrupt(name: &str, why: &'static str) -> TokenStorageError {
    TokenStorageError::Corrupt {
        place: format!("the record `{name}`"),
        why,
    }
}
