//! A request, to its answer.

use std::time::Duration;

use mcp_client_oauth::reconnect_delay;

use super::{
    super::{error::Trouble, forward::Ended, jsonrpc::Message},
    retry::Tries,
    state::{McpSession, Upstream},
};

/// Says how often in a row a stream for the rest of an answer may fail to open.
const RESUMPTIONS: u32 = 5;
impl Upstream {
    /// One request of the client, to its answer. It is sent again only where it surely was not taken,
    /// or where it has no side effect.
    pub(crate) async fn call(&self, message: &Message) -> Result<(), Trouble> {
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

    async fn exchange(&self, seat: Option<&McpSession>, message: &Message) -> Result<(), Trouble> {
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

    /// The rest of an answer, whose stream has ended too early (2025-11-25, resumability).
    async fn resume(
        &self,
        seat: &McpSession,
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
