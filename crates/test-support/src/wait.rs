//! A timeout for every wait.

use std::time::Duration;

/// The timeout of one step: it turns a test that would hang into one that fails.
const LIMIT: Duration = Duration::from_secs(60);

/// Waits for a future, and panics if it takes too long.
pub async fn bounded<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(LIMIT, future)
        .await
        .expect("a step timed out")
}
