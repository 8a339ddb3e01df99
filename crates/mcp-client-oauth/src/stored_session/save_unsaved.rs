//! Retries to save tokens that the store has not saved.

use std::sync::atomic::Ordering;

use super::{inner::Inner, pending_save::waits};
use crate::error::TokenStorageError;

impl Inner {
    /// Retries to save the unsaved tokens, if there are any, for about an hour.
    pub(super) async fn store_unsaved(&self) {
        self.try_to_store_unsaved().await;
        self.unsaved.emptied.notify_waiters();
    }

    async fn try_to_store_unsaved(&self) {
        if self.unsaved.slot.lock().await.is_none() {
            return;
        }
        let round = self.unsaved.rounds.fetch_add(1, Ordering::AcqRel) + 1;
        let is_last = || self.unsaved.rounds.load(Ordering::Acquire) == round;
        for wait in waits() {
            self.platform.clock.sleep(wait).await;
            let mut waiting = self.unsaved.slot.lock().await;
            if !is_last() {
                return;
            }
            let Some(mut unsaved) = waiting.take() else {
                return;
            };
            // Another process has taken the lease over, and its record counts from now on.
            if let Err(TokenStorageError::Conflict { .. }) =
                unsaved.lock.mark_refresh_started().await
            {
                return;
            }
            match self.save(&mut unsaved.lock, unsaved.record.clone()).await {
                Ok(()) => {
                    tracing::info!(server = %self.key, "refreshed tokens are saved now");
                    return;
                }
                // Another process has written a record, which counts from now on.
                Err(TokenStorageError::Conflict { .. }) => return,
                Err(error) => {
                    tracing::warn!(server = %self.key, %error, "refreshed tokens are still not saved");
                }
            }
            *waiting = Some(unsaved);
        }
        // Other processes may lock the record again.
        let mut waiting = self.unsaved.slot.lock().await;
        if is_last() && waiting.take().is_some() {
            tracing::error!(server = %self.key, "refreshed tokens were never saved");
        }
    }
}
