//! Step 5: storing tokens. A back end (crate `mcp-oauth-store`) stores bytes by name; this module encodes
//! records and client registrations as such bytes.

use std::{
    sync::{Arc, Mutex},
    time::SystemTime,
};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use self::{
    record::{client_name, decode, encode, readable},
    used_clients::UsedClients,
};
use crate::{
    client_registration::RegisteredClient, error::TokenStorageError, proto::server_metadata::Issuer,
};

mod pending;
mod pending_index;
mod record;
mod used_clients;

pub(crate) use mcp_oauth_store::Revision;
use mcp_oauth_store::{Backend, Entry, LockGuard, NameQuery, all_names};
pub(crate) use pending::PendingName;
pub(crate) use pending_index::{IndexedLogin, PendingIndex, Shard};
pub use record::{LoginKey, Record};

/// The lock of a record across tasks, processes and hosts, with the record as it was read under the lock.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct RecordLock {
    key: LoginKey,
    record: Option<Record>,
    revision: Option<Revision>,
    held: Box<dyn LockGuard>,
}

impl RecordLock {
    /// Returns the record, which does not change as long as this lock is held.
    pub fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    /// Returns the revision of the record.
    pub(crate) fn revision(&self) -> Option<Revision> {
        self.revision
    }

    /// Returns whether the refresh token of this record was sent and the result never stored: it may be used
    /// up (docs/hostile.md H104, H105).
    pub fn refresh_interrupted(&self) -> bool {
        self.revision.is_some() && self.held.pending_revision() == self.revision
    }

    /// Checks that the lock is still held, right before the refresh token is sent, and notes that for the
    /// next holder.
    ///
    /// # Errors
    /// [`TokenStorageError::Conflict`] if another task or process holds it now.
    pub async fn mark_refresh_started(&self) -> Result<(), TokenStorageError> {
        match self.revision {
            Some(revision) => self.held.mark_refresh_started(revision).await,
            None => Ok(()),
        }
    }

    /// Removes the note: the result of the refresh is stored.
    pub(crate) async fn mark_refresh_finished(&self) {
        self.held.mark_refresh_finished().await;
    }
}

/// Records by server and account. Cloning shares the store.
#[derive(Clone, Debug)]
pub struct TokenStore {
    backend: Arc<dyn Backend>,
    tasks: TaskTracker,
    used_clients: Arc<UsedClients>,
    /// The last sweep of the pending logins by this process.
    swept_at: Arc<Mutex<Option<SystemTime>>>,
}

impl TokenStore {
    /// Creates a store on any back end.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self {
            backend,
            tasks: TaskTracker::default(),
            used_clients: Arc::default(),
            swept_at: Arc::default(),
        }
    }

    /// Returns the back end, for entries that are no records of this crate.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// Returns whether users of other machines may write records.
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

    /// Creates a store in memory, which ends with the process.
    pub fn memory() -> Self {
        Self::new(Arc::new(mcp_oauth_store::MemoryBackend::default()))
    }

    /// Opens `name:rest`, such as `memory:` or `file:/home/me/tokens`.
    ///
    /// `auto:` (or `auto:/a/directory`) is the best local store of this machine: encrypted files, which keep
    /// the kind of key that they have. For a new store the key is selected on the first write, in the keychain
    /// if one is available, else in a file, which is logged as a warning. An application that shows the
    /// selection to its user, or has a password, calls `auto` of the crate `mcp-oauth-store`.
    ///
    /// # Errors
    /// [`TokenStorageError::UnknownBackend`], or the error of the back end.
    pub fn open(spec: &str) -> Result<Self, TokenStorageError> {
        mcp_oauth_store::open(spec).map(Self::new)
    }

    /// Checks that a record can be stored, before the user goes through a login: a wrong password fails now,
    /// and the user is asked to unlock a locked keychain. A new store is created.
    ///
    /// # Errors
    /// [`TokenStorageError`]: the errors of saving a record.
    pub async fn check_writable(&self) -> Result<(), TokenStorageError> {
        self.backend.check_writable().await
    }

    /// Waits until every refresh that was sent has ended, tokens that could not be saved at once are saved,
    /// and locks are released everywhere. Call it before the process ends: with rotation, a refresh that is
    /// dropped loses the login, and a lease in a Vault that was not released keeps others waiting for a
    /// minute. A timeout around this call cancels none of that work.
    pub async fn flush(&self) {
        // `wait` needs a closed tracker, and a closed tracker still accepts tasks.
        self.tasks.close();
        self.tasks.wait().await;
        self.backend.flush().await;
    }

    /// Spawns a task that only [`flush`](Self::flush) waits for, if there is a runtime.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Ok(runtime) = Handle::try_current() {
            self.tasks.spawn_on(work, &runtime);
        }
    }

    /// Returns the tasks that [`flush`](Self::flush) waits for.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`TokenStorageError`]; reading changes nothing.
    pub async fn load(
        &self,
        key: &LoginKey,
    ) -> Result<Option<(Record, Revision)>, TokenStorageError> {
        let name = key.name();
        let Some(stored) = self.backend.get(&name).await? else {
            return Ok(None);
        };
        let record: Record = decode(&name, &stored.entry.bytes)?;
        // A back end should authenticate the name; this checks it for one that does not.
        if record.discovery.server != *key.server() {
            return Err(TokenStorageError::Corrupt {
                location: key.to_string(),
                why: "it holds the tokens of another server",
            });
        }
        Ok(Some((record, stored.revision)))
    }

    /// Waits for the lock of the record, and reads it.
    ///
    /// # Errors
    /// [`TokenStorageError::Locked`], or the errors of reading.
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

    /// Reads the record of a lock again: a lease may have expired and been taken over, and the record
    /// changed.
    ///
    /// # Errors
    /// [`TokenStorageError`]; the lock still has the record that it had before then.
    pub(crate) async fn reload(&self, lock: &mut RecordLock) -> Result<(), TokenStorageError> {
        (lock.record, lock.revision) = self.load(&lock.key).await?.unzip();
        Ok(())
    }

    /// Writes a record, durably.
    ///
    /// # Errors
    /// [`TokenStorageError`]; the store has the old record then.
    pub async fn save(
        &self,
        lock: &mut RecordLock,
        record: &Record,
    ) -> Result<Revision, TokenStorageError> {
        let name = lock.key.name();
        // A login does not expire: a refresh or a login replaces its tokens.
        let entry = Entry::new(encode(&name, record)?);
        let revision = self.backend.put(&name, lock.revision, &entry).await?;
        lock.record = Some(record.clone());
        lock.revision = Some(revision);
        Ok(revision)
    }

    /// Deletes the record that the lock has read, and no later one. Returns whether there was one.
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

    /// Deletes the record for `key`, even if it cannot be read. Returns whether there was one.
    ///
    /// # Errors
    /// [`TokenStorageError`].
    pub async fn remove(&self, key: &LoginKey) -> Result<bool, TokenStorageError> {
        let name = key.name();
        let _held = self.backend.lock(&name).await?;
        self.backend.delete(&name, None).await
    }

    /// Returns the keys of all logins, sorted.
    ///
    /// # Errors
    /// [`TokenStorageError`] if the names cannot be read; a corrupt record is skipped.
    pub async fn keys(&self) -> Result<Vec<LoginKey>, TokenStorageError> {
        Ok(keys_in(&self.names(None).await?))
    }

    /// Returns the keys of the logins of one account, at all servers, sorted. A store with a query language
    /// reads only those.
    ///
    /// # Errors
    /// Those of [`keys`](Self::keys).
    pub async fn keys_of(&self, account: &str) -> Result<Vec<LoginKey>, TokenStorageError> {
        Ok(keys_in(&self.names(Some(account)).await?))
    }

    /// Returns the names of all entries, or of those of one account, sorted.
    async fn names(&self, account: Option<&str>) -> Result<Vec<String>, TokenStorageError> {
        let mut query = NameQuery::default();
        query.account = account.map(str::to_owned);
        all_names(&*self.backend, query).await
    }

    /// Returns the client that was registered with `issuer` before (MCP authorization, "Authorization Server
    /// Binding"), whether it was stored with the slash of an empty path or without.
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
            Ok(Some(stored)) => decode(&name, &stored.entry.bytes)?,
            Ok(None) => return Ok(None),
            // A new one replaces it: only a client ID is lost.
            Err(error @ TokenStorageError::Corrupt { .. }) => {
                tracing::warn!("a client registration is skipped: {error}");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        Ok(Some(registration).filter(|registration| registration.issuer == *issuer))
    }

    /// Stores a registration for the next login with its issuer.
    ///
    /// # Errors
    /// [`TokenStorageError::UnsupportedVersion`] if a later version of this library has stored one.
    pub async fn save_registration(
        &self,
        registration: &RegisteredClient,
    ) -> Result<(), TokenStorageError> {
        let name = client_name(&registration.issuer);
        let entry = Entry::new(encode(&name, registration)?);
        let _held = self.backend.lock(&name).await?;
        let previous = match self.backend.get(&name).await {
            Err(TokenStorageError::Corrupt { .. }) => {
                self.backend.delete(&name, None).await?;
                None
            }
            found => match found? {
                Some(stored) => {
                    if let Err(newer @ TokenStorageError::UnsupportedVersion { .. }) =
                        readable(&name, &stored.entry.bytes)
                    {
                        return Err(newer);
                    }
                    Some(stored.revision)
                }
                None => None,
            },
        };
        self.backend.put(&name, previous, &entry).await.map(drop)
    }

    /// Returns whether `client` is the stored registration of its issuer. If another process has registered a
    /// newer one, a refusal of `client` is no reason to delete that.
    pub(crate) async fn has_registration(
        &self,
        client: &RegisteredClient,
    ) -> Result<bool, TokenStorageError> {
        let kept = self.registration(&client.issuer).await?;
        Ok(kept.is_some_and(|kept| kept.client_id == client.client_id))
    }

    /// Deletes the registration with `issuer`, with the slash of an empty path and without. Returns whether
    /// there was one.
    ///
    /// # Errors
    /// [`TokenStorageError`].
    pub(crate) async fn remove_registration(
        &self,
        issuer: &Issuer,
    ) -> Result<bool, TokenStorageError> {
        let mut removed = false;
        for issuer in [Some(issuer.clone()), issuer.other_spelling()]
            .iter()
            .flatten()
        {
            let name = client_name(issuer);
            let _held = self.backend.lock(&name).await?;
            removed |= self.backend.delete(&name, None).await?;
        }
        Ok(removed)
    }
}

/// Returns the keys of the names that are logins.
fn keys_in(names: &[String]) -> Vec<LoginKey> {
    let keys = names.iter().map(|name| LoginKey::from_name(name));
    keys.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_registration::PreregisteredClient;

    /// A client that the server no longer knows is removed, however its issuer was written.
    #[tokio::test]
    async fn a_registration_is_removed_under_both_spellings_of_its_issuer() {
        let spellings = ["https://as.example", "https://as.example/"].map(Issuer::from);
        for issuer in &spellings {
            let store = TokenStore::memory();
            let client = PreregisteredClient::new("c", None);
            for spelling in &spellings {
                let client = RegisteredClient::from_preregistered(&client, spelling.clone());
                store.save_registration(&client).await.unwrap();
            }
            assert!(store.remove_registration(issuer).await.unwrap());
            for spelling in &spellings {
                assert_eq!(store.registration(spelling).await.unwrap(), None);
            }
            assert!(!store.remove_registration(issuer).await.unwrap());
        }
    }
}
