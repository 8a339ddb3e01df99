//! Receives the messages that the server sends on its own, on a stream that is reopened whenever it ends.

use std::{sync::Arc, time::Duration};

use super::{
    super::{error::ProxyError, forward::StreamEnd, response::reconnect_delay},
    state::{McpSession, State, Upstream},
};

/// The time that the first request of a session waits for its stream.
const SLOW_STREAM: Duration = Duration::from_millis(250);
impl Upstream {
    /// Receives the messages that the server sends on its own, as long as there is a session.
    pub(crate) async fn listen(&self) {
        let mut states = self.state.subscribe();
        let mut last = 0;
        loop {
            let is_next = |state: &State| match state {
                State::OpeningStream(session) | State::Open(session) => session.number != last,
                _ => false,
            };
            let session = match states.wait_for(is_next).await {
                Ok(state) => state.session().cloned(),
                Err(_) => return,
            };
            let Some(session) = session else { continue };
            last = session.number;
            tokio::select! {
                () = self.listen_at(&session) => {}
                _other = states.wait_for(|state| state.session().is_some_and(|now| now.number != last)) => {}
            }
        }
    }

    /// Records that the stream is open, or that there is none.
    fn mark_stream_ready(&self, session: &McpSession) {
        self.state.send_if_modified(|state| match state {
            State::OpeningStream(now) if now.number == session.number => {
                *state = State::Open(Arc::clone(now));
                true
            }
            _ => false,
        });
    }

    async fn listen_at(&self, session: &McpSession) {
        let clock = &self.connection.platform().clock;
        if let Some(legacy) = &session.legacy {
            legacy.lost().await;
            let mut attempt = 0;
            while self.reopen(session.number).await.is_err() {
                clock.sleep(reconnect_delay(None, attempt)).await;
                attempt += 1;
            }
            return;
        }
        let mut position = StreamPosition::default();
        loop {
            let slow = async {
                clock.sleep(SLOW_STREAM).await;
                self.mark_stream_ready(session);
                std::future::pending().await
            };
            let stream = tokio::select! {
                stream = self.stream(session, position.last_id.as_deref()) => stream,
                never = slow => never,
            };
            self.mark_stream_ready(session);
            match stream {
                Ok(Some(mut events)) => {
                    let opened = clock.now();
                    let mut has_delivered = false;
                    // An event that is too large is skipped, if the server resumes after its id.
                    while let Some(Ok(event)) = events.next().await {
                        self.forwarder.forward_event(event).await;
                        has_delivered = true;
                    }
                    tracing::debug!("the stream has ended");
                    let lived = clock.now().duration_since(opened).unwrap_or_default();
                    position.record_end(StreamEnd::of(&events), has_delivered, lived);
                }
                // The server has no such stream.
                Ok(None) => return,
                Err(ProxyError::SessionGone) => {
                    if let Err(error) = self.reopen(session.number).await {
                        tracing::debug!(?error, "no other session yet");
                        position.attempt += 1;
                    }
                }
                Err(error) => {
                    tracing::debug!(?error, "no stream");
                    position.attempt += 1;
                }
            }
            clock.sleep(position.delay()).await;
        }
    }
}

/// The position and the delay of the next stream.
#[derive(Default)]
struct StreamPosition {
    last_id: Option<String>,
    retry: Option<Duration>,
    /// The number of consecutive streams without effect.
    attempt: u32,
}

impl StreamPosition {
    /// Records the end of a stream. It had an effect if an event arrived, or if it was open for a while,
    /// like a stream that an intermediary closes after its timeout.
    fn record_end(&mut self, ended: StreamEnd, has_delivered: bool, lived: Duration) {
        let has_moved = ended.last_id.is_some() && ended.last_id != self.last_id;
        let had_effect = has_delivered || has_moved || lived > self.delay();
        self.attempt = if had_effect { 0 } else { self.attempt + 1 };
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
    fn only_streams_without_effect_increase_the_delay() {
        let mut position = StreamPosition::default();
        let seconds = Duration::from_secs;
        let mut record_end = |has_delivered, lived| {
            position.record_end(StreamEnd::default(), has_delivered, lived);
            position.delay()
        };
        assert_eq!(record_end(false, seconds(0)), seconds(2));
        assert_eq!(record_end(false, seconds(1)), seconds(4));
        assert_eq!(record_end(false, seconds(5)), seconds(1));
        assert_eq!(record_end(false, seconds(0)), seconds(2));
        assert_eq!(record_end(true, seconds(0)), seconds(1));
    }
}
