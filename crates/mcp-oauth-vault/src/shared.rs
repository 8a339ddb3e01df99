//! The state that the clones of a Vault share.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio_util::task::TaskTracker;

use crate::kv::Kv;

/// The state that the clones and the leases of a [`VaultStore`](crate::VaultStore) share.
pub(super) struct Shared {
    pub(super) kv: Kv,
    /// The queue of the tasks of this process, by the name of the record.
    queues: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// The leases that are being released.
    pub(super) endings: TaskTracker,
}

impl Shared {
    pub(super) fn new(kv: Kv) -> Self {
        Self {
            kv,
            queues: Mutex::default(),
            endings: TaskTracker::default(),
        }
    }

    /// Returns the queue of the tasks that wait for `name`.
    pub(super) fn queue(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        // Queues without tasks are removed.
        queues.retain(|_, queue| Arc::strong_count(queue) > 1);
        Arc::clone(queues.entry(name.to_owned()).or_default())
    }
}
