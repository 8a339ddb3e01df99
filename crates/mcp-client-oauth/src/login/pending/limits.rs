//! The number of pending logins: a web page can make a browser begin any number of them, and each stays until
//! it is finished or expires.

use std::time::{Duration, SystemTime};

use super::{LoginContext, record::PendingLogin};
use crate::{
    error::{AuthorizationError, Error, TokenStorageError},
    store::{PendingName, Revision, TokenStore},
};

/// The number of pending logins of one account. A further one replaces the oldest: so an account can only end
/// its own logins, and a user who begins again is never refused.
const ACCOUNT_LIMIT: usize = 10;
/// The number of pending logins in a store. A further one is refused: to remove one of another account would
/// let an account end the logins of others.
const STORE_LIMIT: usize = 10_000;
/// The number of logins of the account that are read to find the oldest. More are there only if that many
/// began at once.
const ACCOUNT_READS: usize = 5 * ACCOUNT_LIMIT;
/// The number of logins that one count of the store reads, to remove those that have expired. Most stores
/// remove them themselves.
const SWEEP_READS: usize = 100;
/// The time between two counts of the store, each of which lists its names.
const COUNT_INTERVAL: Duration = Duration::from_secs(60);
/// The same for a store that is full, so that it is used again soon.
const FULL_COUNT_INTERVAL: Duration = Duration::from_secs(5);

impl LoginContext<'_> {
    /// Makes room for one more pending login, within a bounded number of reads.
    ///
    /// # Errors
    /// [`AuthorizationError::TooManyPending`] if the store is full; [`Error::TokenStorage`].
    pub(super) async fn limit_pending(&self) -> Result<(), Error> {
        let now = self.platform.clock.now();
        limit_account(self.store, self.key.account(), now).await?;
        limit_store(self.store, now).await
    }
}

async fn limit_account(
    store: &TokenStore,
    account: Option<&str>,
    now: SystemTime,
) -> Result<(), Error> {
    let mut names = store.pending_of(account).await?;
    let Some(excess) = (names.len() + 1).checked_sub(ACCOUNT_LIMIT) else {
        return Ok(());
    };
    names.truncate(ACCOUNT_READS);
    let mut pending = Vec::new();
    for name in names {
        if let Some((login, revision)) = readable(store, &name).await? {
            pending.push((login.has_expired(now), login.begun_at, name, revision));
        }
    }
    // Those that have expired first, then the oldest.
    pending.sort_by_key(|(has_expired, begun_at, ..)| (!has_expired, *begun_at));
    for (at, (has_expired, _, name, revision)) in pending.into_iter().enumerate() {
        if has_expired || at < excess {
            store.take_pending(&name, revision).await?;
        }
    }
    Ok(())
}

async fn limit_store(store: &TokenStore, now: SystemTime) -> Result<(), Error> {
    let since = |interval| now.checked_sub(interval).unwrap_or(now);
    let recent = store.counted_pending(since(COUNT_INTERVAL));
    let number = match recent.filter(|number| *number < STORE_LIMIT) {
        Some(number) => number,
        None => match store.counted_pending(since(FULL_COUNT_INTERVAL)) {
            Some(number) => number,
            None => count_and_sweep(store, now).await?,
        },
    };
    if number >= STORE_LIMIT {
        return Err(AuthorizationError::TooManyPending(number).into());
    }
    Ok(())
}

/// Counts the pending logins, and removes some of those that have expired.
async fn count_and_sweep(store: &TokenStore, now: SystemTime) -> Result<usize, Error> {
    let names = store.all_pending(now).await?;
    let mut number = names.len();
    for name in names.iter().take(SWEEP_READS) {
        if let Some((login, revision)) = readable(store, name).await?
            && login.has_expired(now)
            && store.take_pending(name, revision).await?
        {
            number -= 1;
        }
    }
    Ok(number)
}

/// Reads a pending login. One that is corrupt is removed: no callback can end it.
async fn readable(
    store: &TokenStore,
    name: &PendingName,
) -> Result<Option<(PendingLogin, Revision)>, Error> {
    match store.load_pending(name).await {
        Err(error @ TokenStorageError::Corrupt { .. }) => {
            tracing::warn!("a pending login is removed: {error}");
            store.remove_pending(name).await?;
            Ok(None)
        }
        found => Ok(found?),
    }
}
