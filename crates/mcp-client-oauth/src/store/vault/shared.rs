//! The state of a Vault.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use tokio_util::task::TaskTracker;

use super::kv::Kv;
use crate::mutex::lock;

/// Holds what the clones, and the leases, of a [`Vault`](super::Vault) have in common.
pub(super) struct Shared {
    pub(super) kv: Kv,
    /// Says where the tasks of this process wait for one another, by the name of the record.
    lines: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Leases that are being let go.
    pub(super) endings: TaskTracker,
}

impl Shared {
    pub(super) fn new(kv: Kv) -> Self {
        Self {
            kv,
            lines: Mutex::default(),
            endings: TaskTracker::default(),
        }
    }

    /// Returns the line of the tasks that want to hold `name`.
    pub(super) fn line(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut lines = lock(&self.lines);
        // Lines in which nobody stands are forgotten.
        lines.retain(|_, line| Arc::strong_count(line) > 1);
        Arc::clone(lines.entry(name.to_owned()).or_default())
    }
}
