//! How often a message is sent again, and how long a server that cannot be reached is waited for.

use std::time::Duration;

use super::state::Upstream;

/// Says how often a message is sent again because the server does not know the session.
const SESSIONS: u32 = 3;
/// Says how often one without a side effect is sent again because the answer was lost.
const REPEATS: u32 = 2;
/// Says how long a call waits for a server that cannot be reached. Clients give a call up after ten
/// seconds and more, and a proxy that has not answered by then is taken for dead.
const ABSENCE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

impl Upstream {
    /// Waits for a server that is away; no if that has been too long.
    pub(super) async fn waited(&self, tries: &mut Tries) -> bool {
        let Some(pause) = tries.pause() else {
            return false;
        };
        tracing::debug!("the server cannot be reached: trying again");
        self.door.platform().clock.sleep(pause).await;
        true
    }
}

/// Says how often a message was sent again, and why.
#[derive(Default)]
pub(super) struct Tries {
    sessions: u32,
    repeats: u32,
    waited: Duration,
}

impl Tries {
    pub(super) fn another_session(&mut self) -> bool {
        self.sessions += 1;
        self.sessions <= SESSIONS
    }

    pub(super) fn another_repeat(&mut self) -> bool {
        self.repeats += 1;
        self.repeats <= REPEATS
    }

    /// Returns each pause is as long as all before it, within bounds.
    pub(super) fn pause(&mut self) -> Option<Duration> {
        let pause = self.waited.clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.waited += pause;
        (self.waited <= ABSENCE).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_waits_well_under_ten_seconds_for_a_server_that_is_away() {
        let mut tries = Tries::default();
        let pauses: Vec<_> = std::iter::from_fn(|| tries.pause()).collect();
        assert_eq!(pauses.first(), Some(&FIRST_PAUSE));
        let whole: Duration = pauses.iter().sum();
        assert!(whole <= ABSENCE && whole > ABSENCE / 2, "{whole:?}");
        assert!(ABSENCE < Duration::from_secs(8));
    }
}
