//! Step 5: keeping tokens. Back ends keep bytes by name; this module knows what they mean.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use self::{
    record::{client_name, decode, encode, readable},
    used_clients::UsedClients,
};
use crate::{
    client_registration::RegisteredClient, error::TokenStorageError, proto::server_metadata::Issuer,
};

#[cfg(feature = "sealed-file")]
pub mod atomic_file;
#[cfg(feature = "sealed-file")]
mod auto_select;
mod backend;
#[cfg(feature = "testing")]
pub mod contract;
#[cfg(feature = "sealed-file")]
mod encrypted;
#[cfg(feature = "sealed-file")]
mod file_lock;
#[cfg(feature = "sealed-file")]
mod hex;
#[cfg(feature = "sealed-file")]
mod key;
#[cfg(feature = "sealed-file")]
mod keychain;
mod memory;
pub mod migration;
mod record;
mod used_clients;
#[cfg(feature = "vault")]
mod vault;

#[cfg(feature = "sealed-file")]
pub use auto_select::{AutoOptions, SelectionReason, StoreSelection, key_kinds};
pub use backend::{Backend, LockGuard, OpenBackend, Revision, StoredEntry};
#[cfg(feature = "sealed-file")]
pub use encrypted::EncryptedFileStore;
#[cfg(feature = "sealed-file")]
pub use key::{KEYCHAIN_SERVICE, KeyKind, KeySource};
pub use memory::MemoryBackend;
pub use record::{LoginKey, Record};
#[cfg(feature = "vault")]
pub use vault::{Vault, VaultAuth, VaultOptions};

/// Every back end: what it is called in `--store name:rest`, and how it is opened.
pub const BACKENDS: &[(&str, OpenBackend)] = &[
    #[cfg(feature = "sealed-file")]
    ("auto", auto_select::backend::open),
    #[cfg(feature = "sealed-file")]
    ("file", encrypted::open),
    #[cfg(feature = "keychain")]
    ("keychain", encrypted::open_with_keychain),
    ("memory", memory::open),
    #[cfg(feature = "vault")]
    ("vault", vault::open),
];

/// Proof that no other task, process or host is changing a record, and what the record was when
/// that began: whoever holds it has re-read the store.
#[derive(Debug)]
#[must_use = "the record is let go when this is dropped"]
pub struct RecordLock {
    key: LoginKey,
    record: Option<Record>,
    revision: Option<Revision>,
    held: Box<dyn LockGuard>,
}

impl RecordLock {
    /// Returns what the store has, as long as this lock is held.
    pub fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    /// Returns which content that is.
    pub fn revision(&self) -> Option<Revision> {
        self.revision
    }

    /// Returns whether somebody sent the refresh token of this very record, and never said what came of it:
    /// it may be spent (H104, H105).
    pub fn refresh_interrupted(&self) -> bool {
        self.revision.is_some() && self.held.pending_revision() == self.revision
    }

    /// Makes sure that the record is still ours to change, right before its refresh token is sent,
    /// and notes that for the next holder.
    ///
    /// # Errors
    /// [`TokenStorageError::Conflict`] if somebody else holds it now.
    pub async fn mark_refresh_started(&self) -> Result<(), TokenStorageError> {
        match self.revision {
            Some(revision) => self.held.mark_refresh_started(revision).await,
            None => Ok(()),
        }
    }

    /// Takes the note back: it is known what became of the refresh token, and that is stored.
    pub async fn mark_refresh_finished(&self) {
        self.held.mark_refresh_finished().await;
    }
}

/// Records by server and account. Cloning shares the store.
#[derive(Clone, Debug)]
pub struct TokenStore {
    backend: Arc<dyn Backend>,
    tasks: TaskTracker,
    used_clients: Arc<UsedClients>,
}

impl TokenStore {
    /// Over any back end.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self {
            backend,
            tasks: TaskTracker::default(),
            used_clients: Arc::default(),
        }
    }

    /// Returns the back end, for what is no record of ours.
    #[cfg(feature = "rmcp-credentials")]
    pub(crate) fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// Returns whether others than the user of this machine may write records.
    pub(crate) fn is_shared(&self) -> bool {
        self.backend.is_shared()
    }

    /// Remembers for this process whether the last login with `client` succeeded.
    pub(crate) fn note_use(&self, client: &RegisteredClient, succeeded: bool) {
        self.used_clients.set(client, succeeded);
    }

    /// Returns whether the last login of this process at the issuer of `client` succeeded with it.
    pub(crate) fn has_used(&self, client: &RegisteredClient) -> bool {
        self.used_clients.has(client)
    }

    /// A store that forgets everything when the process ends.
    pub fn memory() -> Self {
        Self::new(Arc::new(MemoryBackend::default()))
    }

    /// Opens `name:rest`, such as `memory:` or `file:/home/me/tokens`.
    ///
    /// `auto:` (or `auto:/a/directory`) is the best local store of this machine, selected as
    /// [`auto`](Self::auto) does: a store that exists opens with its kind of key; for a new one the
    /// key is selected on the first write, in the keychain if one answers, else in a file, which is
    /// logged as a warning. An application that shows its user which one it is calls
    /// [`auto`](Self::auto).
    ///
    /// # Errors
    /// [`TokenStorageError::UnknownBackend`], or what the back end says.
    pub fn open(spec: &str) -> Result<Self, TokenStorageError> {
        let (name, rest) = spec.split_once(':').unwrap_or((spec, ""));
        let found = BACKENDS.iter().find(|(known, _)| *known == name);
        let (_, open) = found.ok_or_else(|| TokenStorageError::UnknownBackend(name.to_owned()))?;
        open(rest).map(Self::new)
    }

    /// Returns the best local store of this machine, and why it is that one: sealed files whose key is
    ///
    /// 1. of the kind that the store was made with, if there is a store;
    /// 2. from the password, if one is given;
    /// 3. in the keychain of the system, if one answers, even if it is locked now;
    /// 4. in a file of its own.
    ///
    /// Nothing is made yet, and nobody is asked to unlock anything, before the store is used.
    /// [`open`](Self::open)`("auto:")` selects the same way, on the first write, and logs the choice
    /// instead of returning it.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), mcp_client_oauth::Error> {
    /// use mcp_client_oauth::{TokenStore, store::AutoOptions};
    ///
    /// let (store, choice) = TokenStore::auto(&AutoOptions::default()).await?;
    /// println!("{choice}");
    /// # drop(store);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`TokenStorageError::PasswordNeeded`] if the store has a password and none is given.
    /// [`TokenStorageError::OtherKey`] if one is given and the store has none: who gives a password
    /// must not be served by a store without. [`TokenStorageError::Keychain`] if there is a
    /// keychain that refuses: nothing weaker is taken in its place.
    #[cfg(feature = "sealed-file")]
    pub async fn auto(options: &AutoOptions) -> Result<(Self, StoreSelection), TokenStorageError> {
        let (files, choice) = auto_select::select(options).await?;
        Ok((Self::new(Arc::new(files)), choice))
    }

    /// Makes sure that a record can be kept, before somebody goes through a login for one: a
    /// wrong password is told now, and a locked keychain asks to be unlocked. A new store is made.
    ///
    /// # Errors
    /// [`TokenStorageError`]: what saving a record would say.
    pub async fn check_writable(&self) -> Result<(), TokenStorageError> {
        self.backend.check_writable().await
    }

    /// Waits until every refresh that was sent has ended, what could not be stored at once is stored,
    /// and what was released is released everywhere. Call it before the process ends: with rotation, a
    /// refresh that is dropped loses the login, and a lease in a Vault that was not released keeps
    /// others waiting for a minute. Giving up after a time stops nothing.
    pub async fn flush(&self) {
        // A tracker is waited for once it is closed, and then still takes tasks.
        self.tasks.close();
        self.tasks.wait().await;
        self.backend.flush().await;
    }

    /// Does what only [`settle`](Self::settle) waits for, if there is a runtime to do it.
    pub(crate) fn go_on(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Ok(runtime) = Handle::try_current() {
            self.tasks.spawn_on(work, &runtime);
        }
    }

    /// Returns the tasks that [`settle`](Self::settle) waits for.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`TokenStorageError`]; nothing is changed by reading.
    pub async fn load(
        &self,
        key: &LoginKey,
    ) -> Result<Option<(Record, Revision)>, TokenStorageError> {
        let name = key.name();
        let Some(stored) = self.backend.get(&name).await? else {
            return Ok(None);
        };
        let record: Record = decode(&name, &stored.bytes)?;
        // The name is authenticated by the back end; this guards against one that does not (H93).
        if record.discovery.server != *key.server() {
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
    pub async fn lock(&self, key: &LoginKey) -> Result<RecordLock, TokenStorageError> {
        let held = self.backend.lock(&key.name()).await?;
        let (record, revision) = self.load(key).await?.unzip();
        Ok(RecordLock {
            key: key.clone(),
            record,
            revision,
            held,
        })
    }

    /// Reads the record of a lock once more: one that is a document with an expiry may have been
    /// taken over, and the record changed.
    ///
    /// # Errors
    /// [`TokenStorageError`]; the lock knows what it knew before then.
    pub async fn reload(&self, lock: &mut RecordLock) -> Result<(), TokenStorageError> {
        (lock.record, lock.revision) = self.load(&lock.key).await?.unzip();
        Ok(())
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
        let name = lock.key.name();
        let bytes = encode(&name, record)?;
        let revision = self.backend.put(&name, lock.revision, &bytes).await?;
        lock.record = Some(record.clone());
        lock.revision = Some(revision);
        Ok(revision)
    }

    /// Forgets the record that the lock has read, and no later one. Whether there was one.
    ///
    /// # Errors
    /// [`TokenStorageError`]; the store has the old record then.
    pub async fn delete(&self, lock: &mut RecordLock) -> Result<bool, TokenStorageError> {
        let Some(revision) = lock.revision else {
            return Ok(false);
        };
        let name = lock.key.name();
        let deleted = self.backend.delete(&name, Some(revision)).await?;
        (lock.record, lock.revision) = (None, None);
        Ok(deleted)
    }

    /// Forgets whatever is kept for `key`, even if it cannot be read. Whether there was anything.
    ///
    /// # Errors
    /// [`TokenStorageError`].
    pub async fn forget(&self, key: &LoginKey) -> Result<bool, TokenStorageError> {
        let name = key.name();
        let _held = self.backend.lock(&name).await?;
        self.backend.delete(&name, None).await
    }

    /// TargetArgs records are kept, sorted.
    ///
    /// # Errors
    /// [`TokenStorageError`] if the names cannot be read; one damaged record hides no other.
    pub async fn keys(&self) -> Result<Vec<LoginKey>, TokenStorageError> {
        let mut names = self.backend.names().await?;
        names.sort_unstable();
        Ok(names
            .iter()
            .filter_map(|name| LoginKey::from_name(name))
            .collect())
    }

    /// Returns the client that was registered with `issuer` before (spec-checklist D12), whether it was written
    /// with the slash of an empty path or without ([`Issuer::is_same_as`]).
    ///
    /// # Errors
    /// [`TokenStorageError`].
    pub async fn registration(
        &self,
        issuer: &Issuer,
    ) -> Result<Option<RegisteredClient>, TokenStorageError> {
        if let Some(found) = self.registration_as_written(issuer).await? {
            return Ok(Some(found));
        }
        let Some(other) = issuer.other_spelling() else {
            return Ok(None);
        };
        let found = self.registration_as_written(&other).await?;
        Ok(found.map(|registration| RegisteredClient {
            issuer: issuer.clone(),
            ..registration
        }))
    }

    async fn registration_as_written(
        &self,
        issuer: &Issuer,
    ) -> Result<Option<RegisteredClient>, TokenStorageError> {
        let name = client_name(issuer);
        let registration: RegisteredClient = match self.backend.get(&name).await {
            Ok(Some(stored)) => decode(&name, &stored.bytes)?,
            Ok(None) => return Ok(None),
            // A new one is made in its place: nothing is lost with it but a client id.
            Err(damaged @ TokenStorageError::Corrupt { .. }) => {
                tracing::warn!("a client registration is passed over: {damaged}");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        Ok(Some(registration).filter(|registration| registration.issuer == *issuer))
    }

    /// Keeps a registration for the next login with its issuer.
    ///
    /// # Errors
    /// [`TokenStorageError::UnsupportedVersion`] if a later version of this library keeps one there.
    pub async fn save_registration(
        &self,
        registration: &RegisteredClient,
    ) -> Result<(), TokenStorageError> {
        let name = client_name(&registration.issuer);
        let bytes = encode(&name, registration)?;
        let _held = self.backend.lock(&name).await?;
        let previous = match self.backend.get(&name).await {
            Err(TokenStorageError::Corrupt { .. }) => {
                self.backend.delete(&name, None).await?;
                None
            }
            found => match found? {
                Some(stored) => {
                    if let Err(newer @ TokenStorageError::UnsupportedVersion { .. }) =
                        readable(&name, &stored.bytes)
                    {
                        return Err(newer);
                    }
                    Some(stored.revision)
                }
                None => None,
            },
        };
        self.backend.put(&name, previous, &bytes).await.map(drop)
    }

    /// Returns whether the registration that is kept for the issuer of `client` is `client`: another process may
    /// have registered a newer one, which no refusal of `client` and nothing learned with it is about.
    pub(crate) async fn keeps(&self, client: &RegisteredClient) -> Result<bool, TokenStorageError> {
        let kept = self.registration(&client.issuer).await?;
        Ok(kept.is_some_and(|kept| kept.client_id == client.client_id))
    }

    /// Forgets the registration with `issuer`, however it was written ([`Issuer::is_same_as`]).
    ///
    /// # Errors
    /// [`TokenStorageError`].
    pub async fn forget_registration(&self, issuer: &Issuer) -> Result<bool, TokenStorageError> {
        let mut forgotten = false;
        for issuer in [Some(issuer.clone()), issuer.other_spelling()]
            .iter()
            .flatten()
        {
            let name = client_name(issuer);
            let _held = self.backend.lock(&name).await?;
            forgotten |= self.backend.delete(&name, None).await?;
        }
        Ok(forgotten)
    }
}
