//! Reproducible random numbers, and precise waits for random times.

use std::time::Duration;

use mcp_client_oauth::platform::{Clock as _, SystemClock};

use super::process::env_number;

/// The variable with the seed, to reproduce a failure.
const SEED: &str = "MCP_OAUTH_TEST_SEED";

/// A pseudo-random sequence (`SplitMix64`).
pub(crate) struct Random(u64);

impl Random {
    /// Returns one of many sequences, by its number.
    pub(crate) fn new(number: u64) -> Self {
        let seed = env_number(SEED, 20_261_123);
        Self(seed.wrapping_add(number.wrapping_mul(0xA24B_AED4_963E_E407)))
    }

    /// Returns a number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }

    /// Returns a time shorter than `end`.
    pub(crate) fn within(&mut self, end: Duration) -> Duration {
        let end = u64::try_from(end.as_micros()).unwrap().max(1);
        Duration::from_micros(self.below(end))
    }
}

/// Waits with a precision of microseconds. This synchronizes nothing: it only chooses the moment at
/// which a process is killed.
pub(crate) async fn wait_precisely(time: Duration) {
    /// The largest delay of a timer.
    const LATE: Duration = Duration::from_millis(2);
    let clock = SystemClock::default();
    let end = clock.now() + time;
    if let Some(most) = time.checked_sub(LATE) {
        clock.sleep(most).await;
    }
    while clock.now() < end {
        tokio::task::yield_now().await;
    }
}

/// Returns the result of `work` and the time that it took.
pub(crate) async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let clock = SystemClock::default();
    let began = clock.now();
    let done = work.await;
    (done, clock.now().duration_since(began).unwrap_or_default())
}
