//! A request, to its answer.

use std::{sync::Arc, time::Duration};

use mcp_client_oauth::reconnect_delay;

use super::{
    super::{connection::Trouble, forward::Ended, jsonrpc::Message},
    Seat, Upstream,
};

/// How often a message is sent again because the server does not know the session.
const SESSIONS: u32 = 3;
/// How often one without a side effect is sent again because the answer was lost.
const REPEATS: u32 = 2;
/// How often in a row a stream for the rest of an answer may fail to open.
const RESUMPTIONS: u32 = 5;
/// How long a call waits for a server that cannot be reached. Clients give a call up after ten
/// seconds and more, and a proxy that has not answered by then is taken for dead.
const ABSENCE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

impl Upstream {
    /// One request of the client, to its answer. It is sent again only where it surely was not taken,
    /// or where it has no side effect.
    pub(in crate::proxy) async fn call(&self, message: &Message) -> Result<(), Trouble> {
        let mut tries = Tries::default();
        loop {
            let trouble = match self.attempt(message).await {
                Ok(()) => return Ok(()),
                Err((trouble, seat)) => match (trouble, seat) {
                    (Trouble::SessionGone, Some(seat)) if tries.another_session() => {
                        match self.reopen(seat).await {
                            Ok(()) => continue,
                            Err(trouble) => trouble,
                        }
                    }
                    (trouble, _) => trouble,
                },
            };
            // It may have its answer by now: then it is not sent again.
            if self.is_answered(message) {
                return Ok(());
            }
            // A client that asks at its start what a server can do tries another way soon.
            let may_wait = !message.is("server/discover");
            if may_wait && trouble.never_sent() && self.waited(&mut tries).await {
                continue;
            }
            let is_safe = message.is_safe() && trouble.is_interrupted();
            if !(is_safe && tries.another_repeat()) {
                return Err(trouble);
            }
        }
    }

    /// Waits for a server that is away; no if that has been too long.
    async fn waited(&self, tries: &mut Tries) -> bool {
        let Some(pause) = tries.pause() else {
            return false;
        };
        tracing::debug!("the server cannot be reached: trying again");
        self.door.platform().clock.sleep(pause).await;
        true
    }

    /// A notification, or an answer of the client.
    pub(in crate::proxy) async fn tell(&self, message: &Message) -> Result<(), Trouble> {
        self.tell_patiently(None, message).await
    }

    /// It is sent again while it surely was not taken, or may be taken twice: at this session, or at
    /// the one of the moment. A connection that was kept from before may break as it is used.
    pub(super) async fn tell_patiently(
        &self,
        at: Option<&Arc<Seat>>,
        message: &Message,
    ) -> Result<(), Trouble> {
        let mut tries = Tries::default();
        loop {
            let seat = match at {
                Some(seat) => Some(Arc::clone(seat)),
                None => self.seat(message).await?,
            };
            match self.tell_at(seat.as_deref(), message).await {
                Err(trouble)
                    if (trouble.never_sent() || message.is_safe() && trouble.is_interrupted())
                        && self.waited(&mut tries).await => {}
                outcome => return outcome,
            }
        }
    }

    pub(super) async fn tell_at(
        &self,
        seat: Option<&Seat>,
        message: &Message,
    ) -> Result<(), Trouble> {
        let response = self.post(seat, message).await?;
        self.take(seat, message, response).await.map(drop)
    }

    /// Once, and which session that was.
    async fn attempt(&self, message: &Message) -> Result<(), (Trouble, Option<u64>)> {
        let seat = self
            .seat(message)
            .await
            .map_err(|trouble| (trouble, None))?;
        // The stream that it was sent by before may have ended meanwhile, and it with that.
        if self.is_answered(message) {
            return Ok(());
        }
        let number = seat.as_ref().map(|seat| seat.number);
        let outcome = self.exchange(seat.as_deref(), message).await;
        outcome.map_err(|trouble| {
            // What was not taken does not end with the stream that it was meant for.
            if trouble.never_sent() || matches!(trouble, Trouble::SessionGone) {
                self.goes_by(message, None);
            }
            (trouble, number)
        })
    }

    async fn exchange(&self, seat: Option<&Seat>, message: &Message) -> Result<(), Trouble> {
        let response = self.post(seat, message).await?;
        let ended = self.take(seat, message, response).await?;
        // The answer comes on the one stream, which answers for it from here on.
        if seat.is_some_and(|seat| seat.old.is_some()) {
            return Ok(());
        }
        if !self.waits_for(message) {
            return Ok(());
        }
        match (seat, ended.last_id) {
            (Some(seat), Some(id)) => self.resume(seat, message, id, ended.retry).await,
            _ => Err(Trouble::Unanswered),
        }
    }

    /// Whether all that it asks is answered; what asks nothing never is.
    pub(super) fn is_answered(&self, message: &Message) -> bool {
        !message.requests().is_empty() && !self.waits_for(message)
    }

    fn waits_for(&self, message: &Message) -> bool {
        message
            .requests()
            .iter()
            .any(|(id, _)| self.relay.calls.is_open(id))
    }

    /// The rest of an answer, whose stream has ended too early (2025-11-25, resumability).
    async fn resume(
        &self,
        seat: &Seat,
        message: &Message,
        mut last_id: String,
        mut retry: Option<Duration>,
    ) -> Result<(), Trouble> {
        // A server may close each stream at once, and wants to be asked again (2025-11-25, polling).
        let mut failures = 0;
        loop {
            let clock = &self.door.platform().clock;
            clock.sleep(reconnect_delay(retry, failures)).await;
            let mut events = match self.stream(seat, Some(&last_id)).await {
                Ok(Some(events)) => events,
                // It has no streams, or the session is gone, and with it the answer.
                Ok(None) | Err(Trouble::SessionGone) => return Err(Trouble::Unanswered),
                Err(_) => {
                    failures += 1;
                    if failures == RESUMPTIONS {
                        return Err(Trouble::Unanswered);
                    }
                    continue;
                }
            };
            failures = 0;
            let is_enough = || self.is_answered(message);
            let outcome = self.relay.pass_events(&mut events, is_enough).await;
            if self.is_answered(message) {
                return Ok(());
            }
            if let Some(trouble) = outcome.err().filter(Trouble::is_too_large) {
                return Err(trouble);
            }
            let ended = Ended::of(&events);
            last_id = ended.last_id.unwrap_or(last_id);
            retry = ended.retry.or(retry);
        }
    }
}

/// How often a message was sent again, and why.
#[derive(Default)]
struct Tries {
    sessions: u32,
    repeats: u32,
    waited: Duration,
}

impl Tries {
    fn another_session(&mut self) -> bool {
        self.sessions += 1;
        self.sessions <= SESSIONS
    }

    fn another_repeat(&mut self) -> bool {
        self.repeats += 1;
        self.repeats <= REPEATS
    }

    /// Each pause is as long as all before it, within bounds.
    fn pause(&mut self) -> Option<Duration> {
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
