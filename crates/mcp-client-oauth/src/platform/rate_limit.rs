//! Limits the concurrent token requests to an issuer: a thousand sessions with tokens that expire in the
//! same second must not send a thousand requests in that second.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
};

use mcp_oauth_support::mutex::lock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The limit of concurrent token requests to one issuer.
const CONCURRENCY: usize = 8;

/// The limits of all issuers, shared by the clones of a platform.
#[derive(Clone, Debug, Default)]
pub(crate) struct RateLimiter(Arc<Mutex<HashMap<String, Weak<Semaphore>>>>);

impl RateLimiter {
    /// Waits for a permit of `issuer`. Dropping the permit releases it.
    pub(crate) async fn acquire(&self, issuer: &str) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed, so this does not fail.
        self.semaphore(issuer).acquire_owned().await.ok()
    }

    /// Returns the semaphore of `issuer`. Removes those of issuers without pending requests, so that the map
    /// does not grow for ever.
    fn semaphore(&self, issuer: &str) -> Arc<Semaphore> {
        let mut semaphores = lock(&self.0);
        if let Some(semaphore) = semaphores.get(issuer).and_then(Weak::upgrade) {
            return semaphore;
        }
        semaphores.retain(|_, semaphore| semaphore.strong_count() > 0);
        let semaphore = Arc::new(Semaphore::new(CONCURRENCY));
        semaphores.insert(issuer.to_owned(), Arc::downgrade(&semaphore));
        semaphore
    }
}
