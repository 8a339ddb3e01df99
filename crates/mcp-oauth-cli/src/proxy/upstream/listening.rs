//! What the server says of its own accord, on a stream that is opened again whenever it ends.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use mcp_client_oauth::{Answer, Events, reconnect_delay};

use super::{super::door::Trouble, Seat, State, Upstream};

const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
const STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

impl Upstream {
    /// What the server says of its own accord, as long as there is a session.
    pub(in crate::proxy) async fn listen(&self) {
        let mut states = self.state.subscribe();
        let mut last = 0;
        loop {
            let is_next = |state: &State| matches!(state, State::Open(seat) if seat.number != last);
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

    async fn listen_at(&self, seat: &Seat) {
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
        let (mut last_id, mut retry, mut attempt) = (None::<String>, None, 0);
        loop {
            match self.stream(seat, last_id.as_deref()).await {
                Ok(Some(mut events)) => {
                    let outcome = self.relay.pass_events(&mut events).await;
                    tracing::debug!(is_broken = outcome.is_err(), "the stream has ended");
                    let id = events.last_id().map(str::to_owned);
                    attempt = if id.is_some() && id != last_id {
                        0
                    } else {
                        attempt + 1
                    };
                    last_id = id.or(last_id);
                    retry = events.retry().or(retry);
                }
                // The server has none.
                Ok(None) => return,
                Err(Trouble::SessionGone) => {
                    if let Err(trouble) = self.reopen(seat.number).await {
                        tracing::debug!(?trouble, "no other session yet");
                        attempt += 1;
                    }
                }
                Err(trouble) => {
                    tracing::debug!(?trouble, "no stream");
                    attempt += 1;
                }
            }
            clock.sleep(reconnect_delay(retry, attempt)).await;
        }
    }

    /// Opens the stream of a session; none if the server has none.
    pub(super) async fn stream(
        &self,
        seat: &Seat,
        last_id: Option<&str>,
    ) -> Result<Option<Events>, Trouble> {
        let mut headers = seat.headers();
        headers.insert(header::ACCEPT, STREAM);
        if let Some(id) = last_id.and_then(|id| HeaderValue::from_str(id).ok()) {
            headers.insert(LAST_EVENT, id);
        }
        let response = self.send(Method::GET, headers, Bytes::new()).await?;
        match response.status() {
            StatusCode::NOT_FOUND if seat.session.is_some() => Err(Trouble::SessionGone),
            status if status.is_server_error() => Err(Trouble::Said(format!("HTTP {status}"))),
            status if !status.is_success() => Ok(None),
            _ => match Answer::of(self.door.url(), response).await? {
                Answer::Events(events) => Ok(Some(*events)),
                _ => Ok(None),
            },
        }
    }
}
