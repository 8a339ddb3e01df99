//! Tokens that the server has issued and the store has not saved. No other process may use the refresh
//! token that they replaced, so the record stays locked, and saving is retried until it succeeds
//! (docs/hostile.md H142).

use std::{sync::atomic::AtomicU64, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::sync::{Mutex, Notify};

use crate::store::{Record, RecordLock};

/// The first wait between two attempts; each is twice the one before, up to the longest. A lease in a
/// Vault ends a minute after it was last renewed, so no wait is longer than that.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// The number of attempts in about an hour. After that the next refresh saves its own tokens, or returns
/// the error.
const TRIES: usize = 247;

pub(super) fn waits() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_WAIT)
        .with_factor(2.0)
        .with_max_delay(LONGEST_WAIT)
        .with_max_times(TRIES)
        .build()
}

/// Tokens that are in memory only, with the lock of their record.
pub(super) struct Unsaved {
    pub(super) lock: RecordLock,
    pub(super) record: Record,
}

/// The tokens that wait to be saved.
#[derive(Default)]
pub(super) struct UnsavedTokens {
    pub(super) slot: Mutex<Option<Unsaved>>,
    pub(super) emptied: Notify,
    /// The number of tasks that have started to save. Only the last one goes on, so that the last tokens
    /// are retried for the whole hour.
    pub(super) rounds: AtomicU64,
}

impl UnsavedTokens {
    pub(super) async fn put(&self, lock: RecordLock, record: Record) {
        *self.slot.lock().await = Some(Unsaved { lock, record });
    }

    /// Returns whether tokens wait to be saved, or are being saved.
    pub(super) fn is_pending(&self) -> bool {
        self.slot.try_lock().map_or(true, |slot| slot.is_some())
    }

    /// Waits until all tokens are saved, or given up.
    pub(super) async fn wait_until_saved(&self) {
        loop {
            // Registered before the check, so that no notification is missed in between.
            let emptied = self.emptied.notified();
            if self.slot.lock().await.is_none() {
                return;
            }
            emptied.await;
        }
    }

    /// Returns the tokens and the lock of their record to a refresh, and removes them here.
    pub(super) async fn take(&self) -> Option<Unsaved> {
        self.slot.lock().await.take()
    }
}
