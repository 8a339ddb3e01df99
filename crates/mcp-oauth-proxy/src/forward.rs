//! Forwards the server's messages to the client.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use mcp_client_oauth::error::UntrustedText;
use mcp_oauth_adapters::{Event, EventStream};
use serde_json::value::RawValue;

use crate::{
    error::ProxyError,
    filter::Filter,
    header_params::HeaderParams,
    jsonrpc::{Kind, Message},
    lines::Output,
    pending_requests::{PendingRequests, Requester},
    response::McpBody,
};

/// Forwards messages to the client. Clones share their state.
#[derive(Clone)]
pub(crate) struct Forwarder {
    pub(crate) pending: Arc<PendingRequests>,
    pub(crate) out: Output,
    pub(crate) filter: Arc<Filter>,
    pub(crate) header_params: Arc<HeaderParams>,
}

impl Forwarder {
    /// Forwards one message of the server. A response without a pending request is dropped
    /// (`docs/hostile.md` H164).
    pub(crate) async fn forward(&self, text: Bytes) {
        let message = match Message::parse(&text) {
            Ok(message) => message,
            Err(broken) => {
                tracing::warn!(
                    why = broken.reason,
                    "dropped an invalid message of the server"
                );
                return;
            }
        };
        match &message.kind {
            Kind::Response(id) => {
                self.header_params.learn(&message.line);
                let line = self.filter.hide_tools(&message.line);
                match self.pending.complete(id, &line) {
                    Requester::Client => self.out.write_line(line).await,
                    Requester::Proxy => {}
                    Requester::Unknown => {
                        tracing::debug!("dropped a response without a pending request");
                    }
                }
            }
            Kind::Batch(_) => self.forward_batch(&message.line).await,
            Kind::Request(_) | Kind::Notification => self.out.write_line(message.line).await,
        }
    }

    /// Forwards each message of a batch (MCP 2025-03-26) separately.
    async fn forward_batch(&self, line: &Bytes) {
        let all: Vec<&RawValue> = serde_json::from_slice(line).unwrap_or_default();
        for one in all {
            Box::pin(self.forward(line.slice_ref(one.get().as_bytes()))).await;
        }
    }

    /// Forwards the messages of a response to its end, or until `is_enough` returns true.
    pub(crate) async fn forward_body(
        &self,
        body: McpBody,
        is_enough: impl Fn() -> bool,
    ) -> Result<StreamEnd, ProxyError> {
        match body {
            McpBody::Json(text) => self.forward(text).await,
            McpBody::Events(mut events) => {
                let outcome = self.forward_events(&mut events, is_enough).await;
                let ended = StreamEnd::of(&events);
                return match outcome {
                    Err(error) if ended.last_id.is_none() || error.is_too_large() => Err(error),
                    _ => Ok(ended),
                };
            }
            McpBody::Nothing => {}
        }
        Ok(StreamEnd::default())
    }

    /// Handles a response with an error status: forwards the body if it responds to a pending request,
    /// otherwise returns an error with the status and the body.
    pub(crate) async fn forward_error_status(
        &self,
        status: StatusCode,
        body: Bytes,
    ) -> Result<StreamEnd, ProxyError> {
        let is_for_client = |message: &Message| match &message.kind {
            Kind::Response(id) => self.pending.is_pending(id),
            _ => false,
        };
        match Message::parse(&body) {
            Ok(message) if is_for_client(&message) => {
                self.forward(body).await;
                Ok(StreamEnd::default())
            }
            _ => {
                let words = UntrustedText::new(&String::from_utf8_lossy(&body));
                let words = if body.is_empty() {
                    String::new()
                } else {
                    format!(": {words}")
                };
                Err(ProxyError::Other(format!(
                    "the server returned HTTP {status}{words}"
                )))
            }
        }
    }

    /// Forwards the messages of a stream until it ends or `is_enough` returns true: a server may leave the
    /// stream open after the response (MCP 2025-11-25, streamable HTTP: it SHOULD close it).
    pub(crate) async fn forward_events(
        &self,
        events: &mut EventStream,
        is_enough: impl Fn() -> bool,
    ) -> Result<(), ProxyError> {
        while !is_enough() {
            match events.next().await.transpose()? {
                Some(event) => self.forward_event(event).await,
                None => break,
            }
        }
        Ok(())
    }

    pub(crate) async fn forward_event(&self, event: Event) {
        if event.name == "message" {
            self.forward(event.data).await;
        }
    }
}

/// The position at the end of a stream, for the request that resumes it.
#[derive(Debug, Default)]
pub(crate) struct StreamEnd {
    pub(crate) last_id: Option<String>,
    pub(crate) retry: Option<std::time::Duration>,
}

impl StreamEnd {
    pub(crate) fn of(events: &EventStream) -> Self {
        Self {
            last_id: events.last_id().map(str::to_owned),
            retry: events.retry(),
        }
    }
}
