//! The pending logins in a store: logins that end in another request, maybe on another host. They have a
//! lifetime, and nothing else is known about them here.

use std::time::Duration;

use mcp_oauth_store::{Entry, account_of};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Revision, TokenStore,
    record::{decode, encode},
};
use crate::error::TokenStorageError;

/// The start of the name of a pending login.
const PENDING: &str = "pending ";

/// The name of a pending login: a hash, and the account that it belongs to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
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

    /// Returns the account that the login belongs to.
    pub(crate) fn account(&self) -> Option<&str> {
        account_of(&self.0)
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
        self.backend.put(&name.0, None, &entry).await.map(drop)
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
        let is_taken = match self.backend.delete(&name.0, Some(revision)).await {
            Err(TokenStorageError::Conflict { .. }) => false,
            deleted => deleted?,
        };
        if is_taken {
            // The user waits for the tokens, and not for this. After a crash, the sweep does it.
            let (store, name) = (self.clone(), name.clone());
            self.tasks.spawn(async move {
                if let Err(error) = store.remove_pending(&name).await {
                    tracing::debug!(%error, "cannot remove what is left of a login");
                }
            });
        }
        Ok(is_taken)
    }

    /// Removes a pending login, if it is there, and what a store keeps of a deleted one: its name is not used
    /// again, and without this a store with versions would grow with each login.
    ///
    /// # Errors
    /// [`TokenStorageError`].
    pub(crate) async fn remove_pending(&self, name: &PendingName) -> Result<(), TokenStorageError> {
        self.backend.purge(&name.0).await
    }

    /// Returns whether a login is pending.
    ///
    /// # Errors
    /// [`TokenStorageError`].
    pub(crate) async fn has_pending(&self, name: &PendingName) -> Result<bool, TokenStorageError> {
        Ok(self.backend.get(&name.0).await?.is_some())
    }
}
