//! The stream of a session, for what the server says of its own accord.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use mcp_client_oauth::{EventStream, McpBody};

use super::{
    super::error::Trouble,
    state::{McpSession, State, Upstream},
};

const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
const STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

impl Upstream {
    /// Opens the stream of a session; none if the server has none.
    pub(super) async fn stream(
        &self,
        seat: &McpSession,
        last_id: Option<&str>,
    ) -> Result<Option<EventStream>, Trouble> {
        let mut headers = seat.headers();
        headers.insert(header::ACCEPT, STREAM);
        if let Some(id) = last_id.and_then(|id| HeaderValue::from_str(id).ok()) {
            headers.insert(LAST_EVENT, id);
        }
        let response = self.send(Method::GET, headers, Bytes::new()).await?;
        match response.status() {
            StatusCode::NOT_FOUND if seat.session.is_some() => Err(Trouble::SessionGone),
            // It has one, but not now (RFC 9110 §15.5.9 and §15.6, RFC 6585 §4).
            status
                if status.is_server_error()
                    || status == StatusCode::REQUEST_TIMEOUT
                    || status == StatusCode::TOO_MANY_REQUESTS =>
            {
                Err(Trouble::Said(format!("HTTP {status}")))
            }
            status if !status.is_success() => Ok(None),
            _ => match self.read(response).await? {
                McpBody::Events(events) => Ok(Some(*events)),
                _ => Ok(None),
            },
        }
    }

    /// Lets the stream of a session be opened before anything is asked, so that nothing that the
    /// server says about that is said to nobody. A slow one is not waited for.
    pub(super) async fn listen_first(&self, seat: Arc<McpSession>) {
        if seat.old.is_some() {
            self.state.send_replace(State::Open(seat));
            return;
        }
        let mut states = self.state.subscribe();
        self.state.send_replace(State::Confirmed(seat));
        // Whoever listens sees to the end of this, even if who waits here is cancelled.
        let opened = states.wait_for(|state| !matches!(state, State::Confirmed(_)));
        drop(opened.await);
    }
}
