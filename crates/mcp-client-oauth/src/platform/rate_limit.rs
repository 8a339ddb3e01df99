//! Who may ask an issuer for tokens now: a thousand sessions whose tokens end in the same second are
//! not a thousand requests in the same second (H118).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::mutex::lock;

/// Says how many renewals go on at one issuer at once.
const AT_ONCE: usize = 8;

/// The turns at each issuer, for everybody who shares a platform.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns(Arc<Mutex<HashMap<String, Weak<Semaphore>>>>);

impl Turns {
    /// Waits for a turn at `issuer`. It is the next one's when what is returned is dropped.
    pub(crate) async fn at(&self, issuer: &str) -> Option<OwnedSemaphorePermit> {
        // Nobody closes it, so there is always a turn.
        self.queue(issuer).acquire_owned().await.ok()
    }

    /// Issuers at which nobody waits are forgotten, so that this does not grow for ever (H184).
    fn queue(&self, issuer: &str) -> Arc<Semaphore> {
        let mut queues = lock(&self.0);
        if let Some(queue) = queues.get(issuer).and_then(Weak::upgrade) {
            return queue;
        }
        queues.retain(|_, queue| queue.strong_count() > 0);
        let queue = Arc::new(Semaphore::new(AT_ONCE));
        queues.insert(issuer.to_owned(), Arc::downgrade(&queue));
        queue
    }
}
