//! Opens the stream of a session, for the messages that the server sends on its own.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use mcp_oauth_adapters::EventStream;

use super::{
    super::{error::ProxyError, response::McpBody},
    state::{McpSession, State, Upstream},
};

const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
const STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

impl Upstream {
    /// Opens the stream of a session. Returns none if the server has no such stream.
    pub(super) async fn stream(
        &self,
        session: &McpSession,
        last_id: Option<&str>,
    ) -> Result<Option<EventStream>, ProxyError> {
        let mut headers = session.headers();
        headers.insert(header::ACCEPT, STREAM);
        if let Some(id) = last_id.and_then(|id| HeaderValue::from_str(id).ok()) {
            headers.insert(LAST_EVENT, id);
        }
        let response = self.send(Method::GET, headers, Bytes::new()).await?;
        match response.status() {
            StatusCode::NOT_FOUND if session.id.is_some() => Err(ProxyError::SessionGone),
            // It has one, but not now (RFC 9110 §15.5.9 and §15.6, RFC 6585 §4).
            status
                if status.is_server_error()
                    || status == StatusCode::REQUEST_TIMEOUT
                    || status == StatusCode::TOO_MANY_REQUESTS =>
            {
                Err(ProxyError::Other(format!("HTTP {status}")))
            }
            status if !status.is_success() => Ok(None),
            _ => match self.read_body(response).await? {
                McpBody::Events(events) => Ok(Some(*events)),
                _ => Ok(None),
            },
        }
    }

    /// Waits until the stream of a session is open, so that no notification about the first requests is
    /// lost. A slow stream is not waited for.
    pub(super) async fn wait_for_stream(&self, session: Arc<McpSession>) {
        if session.legacy.is_some() {
            self.state.send_replace(State::Open(session));
            return;
        }
        let mut states = self.state.subscribe();
        self.state.send_replace(State::OpeningStream(session));
        // `listen` changes the state, even if this task is cancelled while it waits.
        let opened = states.wait_for(|state| !matches!(state, State::OpeningStream(_)));
        drop(opened.await);
    }
}
