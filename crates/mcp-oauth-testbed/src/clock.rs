//! The testbed's own clock: real time plus the time that a test has added, or only the latter.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time since the Unix epoch, which a test can move forward.
#[derive(Debug)]
pub(crate) struct Clock {
    /// `None` if only a test moves the clock.
    began: Option<Instant>,
    epoch: Duration,
    skipped: Mutex<Duration>,
}

impl Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the only function of this crate that reads the time; a server has a clock of its own"
    )]
    pub(crate) fn start(stands_still: bool) -> Self {
        Self {
            began: (!stands_still).then(Instant::now),
            epoch: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
            skipped: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Duration {
        let skipped = *self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = self.began.map(|began| began.elapsed()).unwrap_or_default();
        self.epoch + elapsed + skipped
    }

    pub(crate) fn advance(&self, by: Duration) {
        *self.skipped.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}
