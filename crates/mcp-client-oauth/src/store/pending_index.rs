//! The names of the pending logins, in a fixed number of entries: to limit their number, no login has to list
//! the names of the store, which costs some stores a read of every record.

use std::time::{Duration, SystemTime};

use mcp_oauth_store::Entry;
use serde::{Deserialize, Serialize};

use super::{
    PendingName, Revision, TokenStore,
    record::{decode, encode},
};
use crate::{error::TokenStorageError, proto::pkce::sha256};

/// The start of the name of an entry.
const INDEX: &str = "pending-index ";
/// The entries: many, so that few logins that begin at the same time change the same one.
const SHARDS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// One entry: the pending logins of some accounts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Shard(char);

impl Shard {
    /// Returns the entry for the logins of an account: the first letter of its hash, in base64url.
    pub(crate) fn of(account: Option<&str>) -> Self {
        let hash = sha256(account.unwrap_or_default());
        Self(hash.chars().next().unwrap_or('A'))
    }

    /// Returns all entries.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        SHARDS.chars().map(Self)
    }

    fn name(self) -> String {
        format!("{INDEX}{}", self.0)
    }
}

/// The content of an entry. A login stays in it after it is finished, until room is needed or it expires.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct PendingIndex {
    /// The logins, the oldest first.
    pub(crate) logins: Vec<IndexedLogin>,
    /// The time at which those that are finished were last removed, because there was no room.
    pub(crate) checked_at: Option<SystemTime>,
}

/// A login that was begun.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct IndexedLogin {
    pub(crate) name: PendingName,
    pub(crate) expires_at: SystemTime,
}

impl TokenStore {
    /// Reads an entry, and its revision if it exists. One that cannot be read is removed.
    ///
    /// # Errors
    /// [`TokenStorageError`].
    pub(crate) async fn load_pending_index(
        &self,
        shard: Shard,
    ) -> Result<(PendingIndex, Option<Revision>), TokenStorageError> {
        let name = shard.name();
        let Some(stored) = self.backend.get(&name).await? else {
            return Ok((PendingIndex::default(), None));
        };
        match decode(&name, &stored.entry.bytes) {
            Err(error @ TokenStorageError::Corrupt { .. }) => {
                tracing::warn!("the list of pending logins is begun again: {error}");
                self.backend.delete(&name, Some(stored.revision)).await?;
                Ok((PendingIndex::default(), None))
            }
            read => Ok((read?, Some(stored.revision))),
        }
    }

    /// Stores an entry that was read with this revision. Returns false if it was changed since.
    ///
    /// # Errors
    /// [`TokenStorageError`].
    pub(crate) async fn save_pending_index(
        &self,
        shard: Shard,
        index: &PendingIndex,
        revision: Option<Revision>,
        now: SystemTime,
    ) -> Result<bool, TokenStorageError> {
        let name = shard.name();
        let end = index.logins.iter().map(|login| login.expires_at).max();
        let lifetime = end.and_then(|end| end.duration_since(now).ok());
        let entry = Entry::new(encode(&name, index)?);
        let entry = entry.with_lifetime(lifetime.unwrap_or(Duration::ZERO));
        match self.backend.put(&name, revision, &entry).await {
            Err(TokenStorageError::Conflict { .. }) => Ok(false),
            stored => stored.map(|_| true),
        }
    }

    /// Returns whether a sweep of the pending logins is due, and notes that one begins.
    pub(crate) fn begins_sweep(&self, now: SystemTime, interval: Duration) -> bool {
        let mut swept_at = mcp_oauth_support::mutex::lock(&self.swept_at);
        let is_due = swept_at.is_none_or(|at| {
            let since = now.duration_since(at);
            since.unwrap_or_default() >= interval
        });
        if is_due {
            *swept_at = Some(now);
        }
        is_due
    }
}
