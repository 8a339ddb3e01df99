//! Time, and the system clock: the one place where the time is read.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;

/// Time.
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync {
    /// Returns the current wall time.
    fn now(&self) -> SystemTime;
    /// Returns after `duration`.
    async fn sleep(&self, duration: Duration);
}

/// The clock of this machine.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everybody else must use"
    )]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everybody else must use"
    )]
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
