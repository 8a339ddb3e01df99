//! The limits of retries: how often a message is sent again, and how long it waits for an unreachable
//! server.

use std::time::Duration;

use super::state::Upstream;

/// The number of retries because the server does not know the session.
const MAX_NEW_SESSIONS: u32 = 3;
/// The number of retries of an idempotent message because its response was lost.
const MAX_REPEATS: u32 = 2;
/// The time that a call waits for an unreachable server. Clients give up a call after ten seconds or more,
/// and treat a proxy that has not responded by then as dead.
const MAX_WAIT: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

impl Upstream {
    /// Waits before the next try. Returns false if the time is over.
    pub(super) async fn wait_to_retry(&self, budget: &mut RetryBudget) -> bool {
        let Some(pause) = budget.next_pause() else {
            return false;
        };
        tracing::debug!("the server cannot be reached: trying again");
        self.connection.platform().clock.sleep(pause).await;
        true
    }
}

/// The retries of a message so far.
#[derive(Default)]
pub(super) struct RetryBudget {
    sessions: u32,
    repeats: u32,
    waiting: Duration,
}

impl RetryBudget {
    pub(super) fn take_session(&mut self) -> bool {
        self.sessions += 1;
        self.sessions <= MAX_NEW_SESSIONS
    }

    pub(super) fn take_repeat(&mut self) -> bool {
        self.repeats += 1;
        self.repeats <= MAX_REPEATS
    }

    /// Returns the next pause: as long as all pauses before it, within bounds. None if the time is over.
    pub(super) fn next_pause(&mut self) -> Option<Duration> {
        let pause = self.waiting.clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.waiting += pause;
        (self.waiting <= MAX_WAIT).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_waits_less_than_eight_seconds_for_an_unreachable_server() {
        let mut budget = RetryBudget::default();
        let pauses: Vec<_> = std::iter::from_fn(|| budget.next_pause()).collect();
        assert_eq!(pauses.first(), Some(&FIRST_PAUSE));
        let whole: Duration = pauses.iter().sum();
        assert!(whole <= MAX_WAIT && whole > MAX_WAIT / 2, "{whole:?}");
        assert!(MAX_WAIT < Duration::from_secs(8));
    }
}
