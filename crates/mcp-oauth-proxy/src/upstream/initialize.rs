//! Starts a session, with whichever transport the server supports.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use serde_json::Value;
use tokio::sync::oneshot;

use super::{
    super::{
        error::ProxyError,
        jsonrpc::{Id, Message},
        legacy_sse::LegacyStream,
        pending_requests::PendingRequests,
        settings::Transport,
    },
    http::SESSION,
    state::{McpSession, Upstream},
};

impl Upstream {
    /// Returns the response to `initialize`, and the session, unless the response is an error.
    pub(super) async fn open_session(
        &self,
        initialize_request: &Message,
    ) -> Result<(Bytes, Option<McpSession>), ProxyError> {
        let legacy_first = matches!(self.transport, Transport::SseFirst | Transport::SseOnly);
        let first = if legacy_first {
            self.open_legacy(initialize_request).await
        } else {
            self.open_streamable(initialize_request).await
        };
        match (first, self.transport) {
            (Err(ProxyError::OtherTransport(_)), Transport::SseFirst) => {
                self.open_streamable(initialize_request).await
            }
            (Err(ProxyError::OtherTransport(status)), Transport::HttpFirst) => {
                let second = self.open_legacy(initialize_request).await;
                second.map_err(|error| match error {
                    // The status of the current transport is more useful to the user.
                    ProxyError::OtherTransport(_) => ProxyError::OtherTransport(status),
                    other => other,
                })
            }
            (outcome, _) => outcome,
        }
    }

    async fn open_streamable(
        &self,
        initialize_request: &Message,
    ) -> Result<(Bytes, Option<McpSession>), ProxyError> {
        let request = ProxyRequest::begin(&self.forwarder.pending, initialize_request)?;
        let response = self.post(None, initialize_request).await?;
        let (status, id) = (response.status(), response.headers().get(SESSION).cloned());
        let outcome = self
            .handle_response(None, initialize_request, response)
            .await;
        match (request.response().await, outcome) {
            (Some(response), _) => {
                let session = self.session_from(&response, id, None);
                Ok((response, session))
            }
            (None, _) if matches!(status.as_u16(), 400 | 404 | 405) => {
                Err(ProxyError::OtherTransport(status))
            }
            (None, Err(error)) => Err(error),
            (None, Ok(_)) => Err(ProxyError::Unanswered),
        }
    }

    async fn open_legacy(
        &self,
        initialize_request: &Message,
    ) -> Result<(Bytes, Option<McpSession>), ProxyError> {
        let mut request = ProxyRequest::begin(&self.forwarder.pending, initialize_request)?;
        let legacy = LegacyStream::open(
            self.next_number(),
            &self.connection,
            self.forwarder.clone(),
            self.limits,
        )
        .await?;
        let mut session = self.new_session();
        session.legacy = Some(legacy);
        self.send_once(Some(&session), initialize_request).await?;
        let response = tokio::select! {
            response = &mut request.response => response.ok(),
            () = self.connection.platform().clock.sleep(self.limits.timeout) => None,
        };
        let response = response.ok_or(ProxyError::Unanswered)?;
        let session = self.session_from(&response, None, session.legacy.take());
        Ok((response, session))
    }

    fn new_session(&self) -> McpSession {
        let number = self.next_number();
        McpSession {
            number,
            id: None,
            version: None,
            legacy: None,
        }
    }

    /// Returns the session; none if the response is an error.
    fn session_from(
        &self,
        response: &Bytes,
        id: Option<HeaderValue>,
        legacy: Option<LegacyStream>,
    ) -> Option<McpSession> {
        let response: Value = serde_json::from_slice(response).ok()?;
        let version = response
            .get("result")?
            .get("protocolVersion")
            .and_then(Value::as_str);
        let version = version.and_then(|version| HeaderValue::from_str(version).ok());
        Some(McpSession {
            id,
            version,
            legacy,
            ..self.new_session()
        })
    }
}

/// A request with a response for the proxy itself.
struct ProxyRequest {
    pending: Arc<PendingRequests>,
    id: Id,
    response: oneshot::Receiver<Bytes>,
}

impl ProxyRequest {
    fn begin(pending: &Arc<PendingRequests>, message: &Message) -> Result<Self, ProxyError> {
        let first = message.requests().pop();
        let (id, raw) = first.ok_or_else(|| ProxyError::Other("not a request".to_owned()))?;
        let response = pending.start_for_proxy(&id, &raw);
        Ok(Self {
            pending: Arc::clone(pending),
            id,
            response,
        })
    }

    /// Returns the response, if it has arrived.
    async fn response(mut self) -> Option<Bytes> {
        self.pending.cancel(&self.id);
        (&mut self.response).await.ok()
    }
}

impl Drop for ProxyRequest {
    fn drop(&mut self) {
        self.pending.cancel(&self.id);
    }
}

/// Builds the `notifications/initialized` of the proxy.
pub(super) fn initialized_notification() -> Result<Message, ProxyError> {
    let text = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let read = Message::parse(&Bytes::from_static(text.as_bytes()));
    read.map_err(|error| ProxyError::Other(error.reason.to_owned()))
}
