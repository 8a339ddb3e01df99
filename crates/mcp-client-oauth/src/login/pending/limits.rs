//! The number of pending logins: a web page can make a browser begin any number of them, and each stays until
//! it is finished or expires.

use std::time::{Duration, SystemTime};

use super::LoginContext;
use crate::{
    error::{AuthorizationError, Error, TokenStorageError},
    store::{IndexedLogin, PendingIndex, PendingName, Shard, TokenStore},
};

/// The number of pending logins of one account. A further one replaces the oldest: so an account can only end
/// its own logins, and a user who begins again is never refused.
const ACCOUNT_LIMIT: usize = 10;
/// The number of pending logins in one entry of the index, of which a store has 64. A further one is refused:
/// to remove one of another account would let an account end the logins of others.
const SHARD_LIMIT: usize = 160;
/// The time between two checks of a full entry, each of which reads its logins.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// The time between two sweeps of this process.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// The number of times that a change is tried again, because another login has changed the entry meanwhile.
const TRIES: usize = 50;

impl LoginContext<'_> {
    /// Checks that there is room for one more pending login, before any request is sent.
    ///
    /// # Errors
    /// [`AuthorizationError::TooManyPending`]; [`Error::TokenStorage`].
    pub(super) async fn check_limit(&self) -> Result<(), Error> {
        let now = self.platform.clock.now();
        if self.store.begins_sweep(now, SWEEP_INTERVAL) {
            let store = self.store.clone();
            self.store
                .tasks()
                .spawn(async move { sweep(&store, now).await });
        }
        let shard = Shard::of(self.key.account());
        let (mut index, revision) = self.store.load_pending_index(shard).await?;
        if index.logins.len() < SHARD_LIMIT {
            return Ok(());
        }
        let recently = |at| now.duration_since(at).unwrap_or_default() < CHECK_INTERVAL;
        if !index.checked_at.is_some_and(recently) {
            let expired = keep_pending(self.store, &mut index, now, |_| true).await?;
            index.checked_at = Some(now);
            // Another login may have done the same meanwhile.
            let _is_saved = self
                .store
                .save_pending_index(shard, &index, revision, now)
                .await?;
            remove(self.store, &expired).await?;
        }
        match index.logins.len() {
            full if full >= SHARD_LIMIT => Err(AuthorizationError::TooManyPending(full).into()),
            _ => Ok(()),
        }
    }

    /// Adds a pending login that is about to be stored, in place of the oldest of its account if that has too
    /// many.
    ///
    /// # Errors
    /// [`Error::TokenStorage`].
    pub(super) async fn add_pending(
        &self,
        name: &PendingName,
        timeout: Duration,
    ) -> Result<(), Error> {
        let (store, account) = (self.store, self.key.account());
        let shard = Shard::of(account);
        for _ in 0..TRIES {
            let now = self.platform.clock.now();
            let (mut index, revision) = store.load_pending_index(shard).await?;
            let is_own = |login: &IndexedLogin| login.name.account() == account;
            let count =
                |index: &PendingIndex| index.logins.iter().filter(|login| is_own(login)).count();
            let mut removed = Vec::new();
            if count(&index) >= ACCOUNT_LIMIT {
                removed = keep_pending(store, &mut index, now, is_own).await?;
            }
            while count(&index) >= ACCOUNT_LIMIT
                && let Some(oldest) = index.logins.iter().position(is_own)
            {
                removed.push(index.logins.remove(oldest).name);
            }
            let expires_at = now.checked_add(timeout).unwrap_or(now);
            index.logins.push(IndexedLogin {
                name: name.clone(),
                expires_at,
            });
            if store
                .save_pending_index(shard, &index, revision, now)
                .await?
            {
                return Ok(remove(store, &removed).await?);
            }
        }
        Err(TokenStorageError::Conflict {
            location: "the list of pending logins".to_owned(),
        }
        .into())
    }
}

/// Keeps those of the selected logins that are still pending, and all others. Returns those that have expired.
async fn keep_pending(
    store: &TokenStore,
    index: &mut PendingIndex,
    now: SystemTime,
    is_selected: impl Fn(&IndexedLogin) -> bool,
) -> Result<Vec<PendingName>, TokenStorageError> {
    let (mut kept, mut expired) = (Vec::new(), Vec::new());
    for login in std::mem::take(&mut index.logins) {
        if !is_selected(&login) {
            kept.push(login);
        } else if login.expires_at <= now {
            expired.push(login.name);
        } else if store.has_pending(&login.name).await? {
            kept.push(login);
        }
    }
    index.logins = kept;
    Ok(expired)
}

async fn remove(store: &TokenStore, names: &[PendingName]) -> Result<(), TokenStorageError> {
    for name in names {
        store.remove_pending(name).await?;
    }
    Ok(())
}

/// Removes the logins that have expired. Most stores remove them themselves.
async fn sweep(store: &TokenStore, now: SystemTime) {
    for shard in Shard::all() {
        if let Err(error) = sweep_shard(store, shard, now).await {
            tracing::debug!(%error, "cannot remove the pending logins that have expired");
        }
    }
}

async fn sweep_shard(
    store: &TokenStore,
    shard: Shard,
    now: SystemTime,
) -> Result<(), TokenStorageError> {
    let (mut index, revision) = store.load_pending_index(shard).await?;
    let has_expired = |login: &mut IndexedLogin| login.expires_at <= now;
    let expired: Vec<_> = index.logins.extract_if(.., has_expired).collect();
    if expired.is_empty() {
        return Ok(());
    }
    if store
        .save_pending_index(shard, &index, revision, now)
        .await?
    {
        let names: Vec<_> = expired.into_iter().map(|login| login.name).collect();
        remove(store, &names).await?;
    }
    Ok(())
}
