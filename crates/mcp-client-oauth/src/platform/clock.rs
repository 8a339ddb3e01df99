//! Time, and the system clock: the only module that reads the time.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;

/// The source of time.
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync {
    /// Returns the current wall-clock time.
    fn now(&self) -> SystemTime;
    /// Returns after `duration`.
    async fn sleep(&self, duration: Duration);
}

/// The system clock.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that all other code uses"
    )]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that all other code uses"
    )]
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
