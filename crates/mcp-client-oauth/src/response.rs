//! Responses of an MCP server: one JSON text or an event stream.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use http::{StatusCode, header};
use http_body::Body as _;
use serde_json::Value;
use url::Url;

use crate::{
    platform::{Body, HttpError, HttpErrorKind, without_query},
    proto::{
        event_stream::{EVENT_LIMIT, Event, EventDecoder},
        untrusted_text::UntrustedText,
    },
};

/// The default size limit of a JSON response, in bytes.
pub(crate) const RESPONSE_LIMIT: usize = 64 << 20;
/// The default time limit of a JSON response, from its head to its end.
pub(crate) const RESPONSE_DEADLINE: Duration = Duration::from_secs(5 * 60);
/// The minimum delay before a stream is opened again, whatever `retry` the server sends.
const SHORTEST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// Returns the delay before a stream is opened again after `attempt` failed attempts: `retry` as the server
/// sent it, one second at least, doubled for each attempt, up to one minute.
pub(crate) fn reconnect_delay(retry: Option<Duration>, attempt: u32) -> Duration {
    let first = retry.unwrap_or_default().max(SHORTEST_DELAY);
    let doubled = first.saturating_mul(1 << attempt.min(6));
    doubled.min(LONGEST_DELAY)
}

/// The events of a stream (WHATWG HTML §9.2). Each is 4 MiB at most, unless
/// [`with_limit`](Self::with_limit) sets another limit.
///
/// ```no_run
/// # async fn run(server: mcp_client_oauth::Authorized) -> Result<(), Box<dyn std::error::Error>> {
/// use mcp_client_oauth::EventStream;
///
/// let url: url::Url = "https://mcp.example/mcp/changes".parse()?;
/// let body = server.get(url.clone()).send_streaming().await?.into_body();
/// let mut events = EventStream::new(&url, body);
/// while let Some(event) = events.next().await.transpose()? {
///     println!("{}: {} bytes", event.name, event.data.len());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EventStream {
    url: Url,
    body: Body,
    decoder: EventDecoder,
    is_over: bool,
}

impl EventStream {
    /// Reads the `body` of a response from `url`.
    pub fn new(url: &Url, body: Body) -> Self {
        Self {
            url: url.clone(),
            body,
            decoder: EventDecoder::new(EVENT_LIMIT),
            is_over: false,
        }
    }

    /// Sets another limit for the size of an event.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.decoder = EventDecoder::new(limit);
        self
    }

    /// Returns the next event, or none at the end of the stream. Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Result<Event, HttpError>> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Returns the `Last-Event-ID` for reconnecting: that of the last complete event, or of one that was too
    /// large, so that the server does not send it again.
    pub fn last_id(&self) -> Option<&str> {
        self.decoder.last_id()
    }

    /// Returns the reconnection time that the server sent (`retry:`); see [`reconnect_delay`].
    pub fn retry(&self) -> Option<Duration> {
        self.decoder.retry()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Event, HttpError>>> {
        loop {
            if let Some(event) = self.decoder.event() {
                return Poll::Ready(Some(Ok(event)));
            }
            if self.is_over {
                return Poll::Ready(None);
            }
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
            let fed = match frame {
                None => {
                    self.is_over = true;
                    Ok(())
                }
                Some(Err(cause)) => Err(cause),
                Some(Ok(frame)) => self.feed(frame.data_ref()),
            };
            if let Err(cause) = fed {
                self.is_over = true;
                return Poll::Ready(Some(Err(HttpError::new(&self.url, cause))));
            }
        }
    }

    fn feed(&mut self, bytes: Option<&Bytes>) -> Result<(), HttpErrorKind> {
        let fed = self.decoder.feed(bytes.map_or(&[], |bytes| bytes));
        fed.map_err(|too_large| HttpErrorKind::TooLarge(too_large.0))
    }
}

impl Stream for EventStream {
    type Item = Result<Event, HttpError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }
}

/// The response of an MCP server to a message.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) struct McpResponse {
    /// The HTTP status, also of an error.
    pub status: StatusCode,
    /// The body.
    pub body: McpBody,
    url: Url,
}

/// The body of a response.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum McpBody {
    /// Nothing, as for a notification.
    Nothing,
    /// One JSON text.
    Json(Bytes),
    /// An event stream of JSON texts, one of which is the response.
    Events(Box<EventStream>),
}

/// Says why there is no response.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum McpResponseError {
    /// The network failed.
    #[error(transparent)]
    Network(#[from] HttpError),
    /// The body is neither JSON nor an event stream.
    #[error("{url} returned HTTP {status} with {content_type}, which is not an MCP message")]
    NoMessage {
        /// The URL of the server.
        url: Url,
        /// The HTTP status.
        status: StatusCode,
        /// The content type.
        content_type: UntrustedText,
    },
    /// The body ended without the JSON-RPC response.
    #[error("{url} returned HTTP {status} without a response to the message")]
    Missing {
        /// The URL of the server.
        url: Url,
        /// The HTTP status.
        status: StatusCode,
    },
}

impl McpResponse {
    /// Reads `response` from `url`: a JSON text to its end, within [`RESPONSE_DEADLINE`]; of an event stream
    /// only the head.
    ///
    /// # Errors
    /// [`McpResponseError::NoMessage`] for a body of another kind; [`McpResponseError::Network`].
    pub(crate) async fn from_response(
        url: &Url,
        response: http::Response<Body>,
    ) -> Result<Self, McpResponseError> {
        Self::from_response_with_timeout(RESPONSE_DEADLINE, RESPONSE_LIMIT, url, response).await
    }

    /// Does the same as [`from_response`](Self::from_response), with another time limit and size limit (in
    /// bytes) for a JSON text. The limit of an event is set by [`EventStream::with_limit`].
    ///
    /// # Errors
    /// As [`from_response`](Self::from_response).
    pub(crate) async fn from_response_with_timeout(
        deadline: Duration,
        limit: usize,
        url: &Url,
        response: http::Response<Body>,
    ) -> Result<Self, McpResponseError> {
        let (head, body) = response.into_parts();
        let status = head.status;
        let with_body = |body| Self {
            status,
            body,
            url: url.clone(),
        };
        let content_type = head.headers.get(header::CONTENT_TYPE);
        let content_type = content_type.map_or(&[][..], |value| value.as_bytes());
        let kind = content_type.split(|byte| *byte == b';').next();
        let kind = kind.unwrap_or_default().trim_ascii();
        if kind.eq_ignore_ascii_case(b"text/event-stream") {
            return Ok(with_body(McpBody::Events(Box::new(EventStream::new(
                url, body,
            )))));
        }
        let bytes = body.read_within(deadline, limit).await;
        let bytes = bytes.map_err(|cause| HttpError::new(url, cause))?;
        let is_json = kind.eq_ignore_ascii_case(b"application/json");
        match bytes.trim_ascii() {
            [] => Ok(with_body(McpBody::Nothing)),
            _ if is_json => Ok(with_body(McpBody::Json(bytes))),
            _ => Err(McpResponseError::NoMessage {
                url: without_query(url),
                status,
                content_type: UntrustedText::new(&String::from_utf8_lossy(kind)),
            }),
        }
    }

    /// Returns the JSON-RPC response to the request with this `id`. Other messages are skipped.
    ///
    /// # Errors
    /// [`McpResponseError::Missing`] if there is none; [`McpResponseError::Network`].
    pub(crate) async fn into_result(self, id: &Value) -> Result<Value, McpResponseError> {
        let fits = |text: &[u8]| {
            let message: Value = serde_json::from_slice(text).ok()?;
            let is_response = message.get("method").is_none() && message.get("id") == Some(id);
            is_response.then_some(message)
        };
        let found = match self.body {
            McpBody::Nothing => None,
            McpBody::Json(text) => fits(&text),
            McpBody::Events(mut events) => loop {
                match events.next().await.transpose()? {
                    None => break None,
                    Some(event) => match fits(&event.data) {
                        None => {}
                        found => break found,
                    },
                }
            },
        };
        found.ok_or_else(|| McpResponseError::Missing {
            url: without_query(&self.url),
            status: self.status,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_opened_again_after_a_second_at_least_and_a_minute_at_most() {
        let delay = |retry, attempt| reconnect_delay(retry, attempt).as_millis();
        assert_eq!(delay(None, 0), 1000);
        assert_eq!(delay(Some(Duration::ZERO), 0), 1000);
        assert_eq!(delay(Some(Duration::from_millis(2500)), 1), 5000);
        assert_eq!(delay(None, 63), 60_000);
        assert_eq!(delay(Some(Duration::MAX), 0), 60_000);
    }
}
