//! The number of pending logins in a store, as this process last counted it: to count them, the names of the
//! store have to be listed.

use std::{sync::Mutex, time::SystemTime};

use mcp_oauth_support::mutex::lock;

/// The last count, and what this process has added to it since then.
#[derive(Debug, Default)]
pub(super) struct PendingCount(Mutex<Option<Counted>>);

#[derive(Clone, Copy, Debug)]
struct Counted {
    at: SystemTime,
    number: usize,
}

impl PendingCount {
    pub(super) fn set(&self, number: usize, at: SystemTime) {
        *lock(&self.0) = Some(Counted { at, number });
    }

    /// Returns the number, if it was counted after `oldest`.
    pub(super) fn since(&self, oldest: SystemTime) -> Option<usize> {
        let counted = lock(&self.0).filter(|counted| oldest < counted.at);
        counted.map(|counted| counted.number)
    }

    pub(super) fn add(&self) {
        if let Some(counted) = &mut *lock(&self.0) {
            counted.number = counted.number.saturating_add(1);
        }
    }

    pub(super) fn subtract(&self) {
        if let Some(counted) = &mut *lock(&self.0) {
            counted.number = counted.number.saturating_sub(1);
        }
    }
}
