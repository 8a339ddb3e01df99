//! The offer to register the client again: some servers show an error page for a client that they no
//! longer know, and never redirect back.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use mcp_client_oauth::platform::Clock;
use tokio::sync::Notify;

/// The time without a response after which the offer is made.
const AFTER: Duration = Duration::from_secs(20);
/// The key that accepts the offer, with Enter.
const KEY: &str = "r";

/// The offer of one login. It is made once.
#[derive(Debug)]
pub(super) struct RegisterAgain {
    clock: Arc<dyn Clock>,
    opened_at: Mutex<Option<SystemTime>>,
    is_made: AtomicBool,
    accepted: Notify,
}

impl RegisterAgain {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            opened_at: Mutex::default(),
            is_made: AtomicBool::new(false),
            accepted: Notify::new(),
        }
    }

    /// Starts the wait: the URL is shown now.
    pub(super) fn opened(&self) {
        *self.opened_at() = Some(self.clock.now());
    }

    /// Returns when the offer is due. The future may be dropped and called again.
    pub(super) async fn is_due(&self) {
        let opened_at = *self.opened_at();
        let (Some(opened_at), false) = (opened_at, self.is_made.load(Ordering::Relaxed)) else {
            return std::future::pending().await;
        };
        let waited = self.clock.now().duration_since(opened_at);
        let left = AFTER.saturating_sub(waited.unwrap_or_default());
        self.clock.sleep(left).await;
        self.is_made.store(true, Ordering::Relaxed);
    }

    /// Returns whether a line that was typed accepts the offer, made or not.
    pub(super) fn accepts(&self, line: &str) -> bool {
        let accepts = line.trim().eq_ignore_ascii_case(KEY);
        if accepts {
            self.accepted.notify_one();
        }
        accepts
    }

    /// Returns when the offer has been accepted.
    pub(super) async fn is_accepted(&self) {
        self.accepted.notified().await;
    }

    fn opened_at(&self) -> std::sync::MutexGuard<'_, Option<SystemTime>> {
        self.opened_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;

    /// A clock that advances by each sleep, up to a limit.
    #[derive(Debug)]
    struct Until(Mutex<Duration>, Duration);

    impl Until {
        fn seconds(limit: u64) -> Arc<Self> {
            Arc::new(Self(Mutex::default(), Duration::from_secs(limit)))
        }
    }

    #[async_trait]
    impl Clock for Until {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + *self.0.lock().unwrap()
        }

        async fn sleep(&self, duration: Duration) {
            let is_over = {
                let mut now = self.0.lock().unwrap();
                let end = *now + duration;
                *now = end.min(self.1);
                end <= self.1
            };
            if !is_over {
                std::future::pending::<()>().await;
            }
        }
    }

    async fn is_ready(future: impl Future<Output = ()>) -> bool {
        tokio::select! {
            biased;
            () = future => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn the_offer_is_made_once_and_twenty_seconds_after_the_url_was_shown() {
        let clock = Until::seconds(20);
        let offer = RegisterAgain::new(clock.clone());
        assert!(!is_ready(offer.is_due()).await, "no URL was shown");
        assert_eq!(clock.now(), SystemTime::UNIX_EPOCH);
        offer.opened();
        assert!(is_ready(offer.is_due()).await);
        assert_eq!(clock.now(), SystemTime::UNIX_EPOCH + AFTER);
        assert!(!is_ready(offer.is_due()).await, "it was made");
    }

    #[tokio::test]
    async fn the_offer_waits_the_whole_time_even_if_the_wait_is_restarted() {
        let clock = Until::seconds(19);
        let offer = RegisterAgain::new(clock.clone());
        offer.opened();
        for _ in 0..3 {
            assert!(!is_ready(offer.is_due()).await);
        }
        assert_eq!(
            clock.now(),
            SystemTime::UNIX_EPOCH + Duration::from_secs(19)
        );
    }

    #[tokio::test]
    async fn one_key_accepts_the_offer_and_a_url_does_not() {
        let offer = RegisterAgain::new(Until::seconds(0));
        for line in ["", "http://127.0.0.1:1/callback?code=r&state=s", "rr", "y"] {
            assert!(!offer.accepts(line), "{line}");
        }
        assert!(!is_ready(offer.is_accepted()).await);
        assert!(offer.accepts(" R\r"));
        assert!(is_ready(offer.is_accepted()).await);
        assert!(!is_ready(offer.is_accepted()).await, "once");
    }
}
