//! What the server says of its own accord, on a stream that is opened again whenever it ends.

use std::{sync::Arc, time::Duration};

use mcp_client_oauth::reconnect_delay;

use super::{
    super::{error::Trouble, forward::Ended},
    state::{McpSession, State, Upstream},
};

/// Says how long the first question of a session waits for its stream.
const SLOW_STREAM: Duration = Duration::from_millis(250);
impl Upstream {
    /// Returns what the server says of its own accord, as long as there is a session.
    pub(crate) async fn listen(&self) {
        let mut states = self.state.subscribe();
        let mut last = 0;
        loop {
            let is_next = |state: &State| match state {
                State::Confirmed(seat) | State::Open(seat) => seat.number != last,
                _ => false,
            };
            let seat = match states.wait_for(is_next).await {
                Ok(state) => state.seat().cloned(),
                Err(_) => return,
            };
            let Some(seat) = seat else { continue };
            last = seat.number;
            tokio::select! {
                () = self.listen_at(&seat) => {}
                _other = states.wait_for(|state| state.seat().is_some_and(|now| now.number != last)) => {}
            }
        }
    }

    /// The stream is there, or there is none.
    fn is_heard(&self, seat: &McpSession) {
        self.state.send_if_modified(|state| match state {
            State::Confirmed(now) if now.number == seat.number => {
                *state = State::Open(Arc::clone(now));
                true
            }
            _ => false,
        });
    }

    async fn listen_at(&self, seat: &McpSession) {
        let clock = &self.door.platform().clock;
        if let Some(old) = &seat.old {
            old.lost().await;
            let mut attempt = 0;
            while self.reopen(seat.number).await.is_err() {
                clock.sleep(reconnect_delay(None, attempt)).await;
                attempt += 1;
            }
            return;
        }
        let mut place = StreamPosition::default();
        loop {
            let slow = async {
                clock.sleep(SLOW_STREAM).await;
                self.is_heard(seat);
                std::future::pending().await
            };
            let stream = tokio::select! {
                stream = self.stream(seat, place.last_id.as_deref()) => stream,
                never = slow => never,
            };
            self.is_heard(seat);
            match stream {
                Ok(Some(mut events)) => {
                    let opened = clock.now();
                    let mut has_delivered = false;
                    // One that is too large is passed over, if the server goes on after its id.
                    while let Some(Ok(event)) = events.next().await {
                        self.relay.pass_event(event).await;
                        has_delivered = true;
                    }
                    tracing::debug!("the stream has ended");
                    let lived = clock.now().duration_since(opened).unwrap_or_default();
                    place.leave(Ended::of(&events), has_delivered, lived);
                }
                // The server has none.
                Ok(None) => return,
                Err(Trouble::SessionGone) => {
                    if let Err(trouble) = self.reopen(seat.number).await {
                        tracing::debug!(?trouble, "no other session yet");
                        place.attempt += 1;
                    }
                }
                Err(trouble) => {
                    tracing::debug!(?trouble, "no stream");
                    place.attempt += 1;
                }
            }
            clock.sleep(place.delay()).await;
        }
    }
}

/// Says where the next stream goes on, and how long it is until then.
#[derive(Default)]
struct StreamPosition {
    last_id: Option<String>,
    retry: Option<Duration>,
    /// Says how many have been of no use, one after the other.
    attempt: u32,
}

impl StreamPosition {
    /// A stream has ended. It was of use if something came, or if it was open for a while, as one is
    /// that a proxy in between closes at its time.
    fn leave(&mut self, ended: Ended, has_delivered: bool, lived: Duration) {
        let has_moved = ended.last_id.is_some() && ended.last_id != self.last_id;
        let was_of_use = has_delivered || has_moved || lived > self.delay();
        self.attempt = if was_of_use { 0 } else { self.attempt + 1 };
        self.last_id = ended.last_id.or(self.last_id.take());
        self.retry = ended.retry.or(self.retry);
    }

    fn delay(&self) -> Duration {
        reconnect_delay(self.retry, self.attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_streams_of_no_use_make_the_next_one_later() {
        let mut place = StreamPosition::default();
        let seconds = Duration::from_secs;
        let mut leave = |has_delivered, lived| {
            place.leave(Ended::default(), has_delivered, lived);
            place.delay()
        };
        assert_eq!(leave(false, seconds(0)), seconds(2));
        assert_eq!(leave(false, seconds(1)), seconds(4));
        assert_eq!(leave(false, seconds(5)), seconds(1));
        assert_eq!(leave(false, seconds(0)), seconds(2));
        assert_eq!(leave(true, seconds(0)), seconds(1));
    }
}
