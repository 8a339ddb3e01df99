//! Tokens that the server has given and the store has not taken: nobody else may spend what they
//! replaced, so the record stays held, and storing them is tried again until it works (H142).

use std::{sync::atomic::AtomicU64, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::sync::{Mutex, Notify};

use crate::store::{Record, RecordLock};

/// The waits between two tries, doubled each time. A lease in a Vault ends a minute after it was
/// last noted that it is ours, so there is no longer one.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// About an hour. After that the next renewal stores its own tokens, or says why not.
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

/// Says where they wait.
#[derive(Default)]
pub(super) struct UnsavedTokens {
    pub(super) slot: Mutex<Option<Unsaved>>,
    pub(super) emptied: Notify,
    /// Says how often somebody has begun to try. Only the last goes on, so that what was put here last
    /// is tried for its whole hour.
    pub(super) rounds: AtomicU64,
}

impl UnsavedTokens {
    pub(super) async fn put(&self, lock: RecordLock, record: Record) {
        *self.slot.lock().await = Some(Unsaved { lock, record });
    }

    /// Waits until nothing waits here.
    pub(super) async fn stored(&self) {
        loop {
            // Registered before the look, so that nothing is missed in between.
            let emptied = self.emptied.notified();
            if self.slot.lock().await.is_none() {
                return;
            }
            emptied.await;
        }
    }

    /// For a renewal, which holds the record from now on.
    pub(super) async fn take(&self) -> Option<Unsaved> {
        self.slot.lock().await.take()
    }
}
