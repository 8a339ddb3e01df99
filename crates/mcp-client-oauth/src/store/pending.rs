//! The pending logins in a store: logins that end in another request, maybe on another host. They have a
//! lifetime, and nothing else is known about them here.

use std::time::{Duration, SystemTime};

use mcp_oauth_store::{Entry, NameQuery, account_of, all_names};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Revision, TokenStore,
    record::{decode, encode},
};
use crate::error::TokenStorageError;

/// The start of the name of a pending login.
const PENDING: &str = "pending ";

/// The name of a pending login: a hash, and the account that it belongs to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct PendingName(String);

impl PendingName {
    /// Creates the name of a login of `account`, from the hash of its `state`: a reader of the names of a
    /// store, which some stores do not encrypt, learns no `state`.
    pub(crate) fn new(hash: &str, account: Option<&str>) -> Self {
        Self(match account {
            Some(account) => format!("{PENDING}{hash}#{account}"),
            None => format!("{PENDING}{hash}"),
        })
    }
}

impl TokenStore {
    /// Stores a pending login, which must be new, for this lifetime.
    ///
    /// # Errors
    /// [`TokenStorageError`].
    pub(crate) async fn save_pending<T: Serialize>(
        &self,
        name: &PendingName,
        login: &T,
        lifetime: Duration,
    ) -> Result<(), TokenStorageError> {
        let entry = Entry::new(encode(&name.0, login)?).with_lifetime(lifetime);
        self.backend.put(&name.0, None, &entry).await?;
        self.pending_count.add();
        Ok(())
    }

    /// Reads a pending login.
    ///
    /// # Errors
    /// [`TokenStorageError`].
    pub(crate) async fn load_pending<T: DeserializeOwned>(
        &self,
        name: &PendingName,
    ) -> Result<Option<(T, Revision)>, TokenStorageError> {
        let Some(stored) = self.backend.get(&name.0).await? else {
            return Ok(None);
        };
        let login = decode(&name.0, &stored.entry.bytes)?;
        Ok(Some((login, stored.revision)))
    }

    /// Removes a pending login, if it is still the one that was read. Returns whether this call removed it:
    /// of several calls, on any hosts, one does.
    ///
    /// # Errors
    /// [`TokenStorageError`].
    pub(crate) async fn take_pending(
        &self,
        name: &PendingName,
        revision: Revision,
    ) -> Result<bool, TokenStorageError> {
        let taken = match self.backend.delete(&name.0, Some(revision)).await {
            Err(TokenStorageError::Conflict { .. }) => false,
            deleted => deleted?,
        };
        if taken {
            self.pending_count.subtract();
        }
        Ok(taken)
    }

    /// Removes a pending login that cannot be read.
    ///
    /// # Errors
    /// [`TokenStorageError`].
    pub(crate) async fn remove_pending(&self, name: &PendingName) -> Result<(), TokenStorageError> {
        self.backend.delete(&name.0, None).await.map(drop)
    }

    /// Returns the names of the pending logins of `account`, or of those without an account.
    ///
    /// # Errors
    /// [`TokenStorageError`].
    pub(crate) async fn pending_of(
        &self,
        account: Option<&str>,
    ) -> Result<Vec<PendingName>, TokenStorageError> {
        let mut names = self.names(account).await?;
        names.retain(|name| name.starts_with(PENDING) && account_of(name) == account);
        Ok(names.into_iter().map(PendingName).collect())
    }

    /// Returns the names of all pending logins, and counts them.
    ///
    /// # Errors
    /// [`TokenStorageError`].
    pub(crate) async fn all_pending(
        &self,
        now: SystemTime,
    ) -> Result<Vec<PendingName>, TokenStorageError> {
        let mut names = all_names(&*self.backend, NameQuery::default()).await?;
        names.retain(|name| name.starts_with(PENDING));
        self.pending_count.set(names.len(), now);
        Ok(names.into_iter().map(PendingName).collect())
    }

    /// Returns the number of pending logins, if this process has counted them after `oldest`; other hosts
    /// have begun and finished some since then.
    pub(crate) fn counted_pending(&self, oldest: SystemTime) -> Option<usize> {
        self.pending_count.since(oldest)
    }
}
