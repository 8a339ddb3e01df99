//! The testbed's own clock: real time, plus what a test has skipped.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time since the Unix epoch, which a test can move forward.
#[derive(Debug)]
pub(crate) struct Clock {
    began: Instant,
    epoch: Duration,
    skipped: Mutex<Duration>,
}

impl Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place of this crate that reads the time; a server has a clock of its own"
    )]
    pub(crate) fn start() -> Self {
        Self {
            began: Instant::now(),
            epoch: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
            skipped: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Duration {
        let skipped = *self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        self.epoch + self.began.elapsed() + skipped
    }

    pub(crate) fn advance(&self, by: Duration) {
        *self.skipped.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}
