//! Answers of an MCP server, however they come: one JSON text, or an event stream.

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

/// Says how large a JSON answer may be, in bytes, unless the reader says otherwise.
pub const ANSWER_LIMIT: usize = 64 << 20;
/// Says how long a JSON answer may take from its head to its end, unless the reader says otherwise.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(5 * 60);
/// Says how long a reader waits at least before it opens a stream again, whatever the server says (H131).
const SHORTEST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// Returns how long to wait before a stream is opened again for the `attempt`th time without success: what
/// the server asked for (`retry:`), a second at least, and twice as long each time, up to a minute.
pub fn reconnect_delay(retry: Option<Duration>, attempt: u32) -> Duration {
    let first = retry.unwrap_or_default().max(SHORTEST_DELAY);
    let doubled = first.saturating_mul(1 << attempt.min(6));
    doubled.min(LONGEST_DELAY)
}

/// The events of a stream, as they come. Each is 4 MiB at most (H131), unless
/// [`with_limit`](Self::with_limit) says otherwise.
///
/// ```no_run
/// # async fn run(server: mcp_client_oauth::Authorized) -> Result<(), Box<dyn std::error::Error>> {
/// use mcp_client_oauth::Events;
///
/// let url: url::Url = "https://mcp.example/mcp/changes".parse()?;
/// let mut events = Events::new(&url, server.get(url.clone()).open().await?.into_body());
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
    /// Reads the `body` of an answer from `url`.
    pub fn new(url: &Url, body: Body) -> Self {
        Self {
            url: url.clone(),
            body,
            decoder: EventDecoder::new(EVENT_LIMIT),
            is_over: false,
        }
    }

    /// With another limit for the size of an event.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.decoder = EventDecoder::new(limit);
        self
    }

    /// Returns the next event; none when the stream is over. A future that is dropped has taken nothing.
    pub async fn next(&mut self) -> Option<Result<Event, HttpError>> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Returns the id that a reader who comes again names (`Last-Event-ID`): that of the last event which
    /// was whole, or of one that was too large, so that it does not come again.
    pub fn last_id(&self) -> Option<&str> {
        self.decoder.last_id()
    }

    /// Returns how long the server wants a reader to wait before it comes again; see [`reconnect_delay`].
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

/// Holds what an MCP server answers to a message.
#[derive(Debug)]
#[non_exhaustive]
pub struct McpResponse {
    /// The HTTP status, whatever it is.
    pub status: StatusCode,
    /// Holds what came with it.
    pub body: McpBody,
    url: Url,
}

/// Holds what comes with an answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum McpBody {
    /// Nothing, as for a notification.
    Nothing,
    /// One JSON text.
    Json(Bytes),
    /// An event stream, whose events are JSON texts: one of them is the answer.
    Events(Box<EventStream>),
}

/// Says why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum McpResponseError {
    /// The network.
    #[error(transparent)]
    Network(#[from] HttpError),
    /// Neither JSON nor an event stream.
    #[error("{url} answered HTTP {status} with {content_type}, which is no MCP message")]
    NoMessage {
        /// Who.
        url: Url,
        /// Says how.
        status: StatusCode,
        /// And what.
        content_type: UntrustedText,
    },
    /// Holds what came is over, and the answer was not in it.
    #[error("{url} answered HTTP {status}, and the answer to the message was not in it")]
    Missing {
        /// Who.
        url: Url,
        /// Says how.
        status: StatusCode,
    },
}

impl McpResponse {
    /// Reads `response` from `url`: a JSON text to its end, for which the server has
    /// [`ANSWER_DEADLINE`]; of an event stream the head.
    ///
    /// # Errors
    /// [`McpResponseError::NoMessage`] for a body of another kind; what the network says.
    pub async fn from_response(
        url: &Url,
        response: http::Response<Body>,
    ) -> Result<Self, McpResponseError> {
        Self::from_response_with_timeout(ANSWER_DEADLINE, ANSWER_LIMIT, url, response).await
    }

    /// Reads with another time for a JSON text, and another limit for its size in bytes. That of
    /// events is set by [`EventStream::with_limit`].
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub async fn from_response_with_timeout(
        deadline: Duration,
        limit: usize,
        url: &Url,
        response: http::Response<Body>,
    ) -> Result<Self, McpResponseError> {
        let (head, body) = response.into_parts();
        let status = head.status;
        let answer = |body| Self {
            status,
            body,
            url: url.clone(),
        };
        let content_type = head.headers.get(header::CONTENT_TYPE);
        let content_type = content_type.map_or(&[][..], |value| value.as_bytes());
        let kind = content_type.split(|byte| *byte == b';').next();
        let kind = kind.unwrap_or_default().trim_ascii();
        if kind.eq_ignore_ascii_case(b"text/event-stream") {
            return Ok(answer(McpBody::Events(Box::new(EventStream::new(
                url, body,
            )))));
        }
        let bytes = body.read_within(deadline, limit).await;
        let bytes = bytes.map_err(|cause| HttpError::new(url, cause))?;
        let is_json = kind.eq_ignore_ascii_case(b"application/json");
        match bytes.trim_ascii() {
            [] => Ok(answer(McpBody::Nothing)),
            _ if is_json => Ok(answer(McpBody::Json(bytes))),
            _ => Err(McpResponseError::NoMessage {
                url: without_query(url),
                status,
                content_type: UntrustedText::new(&String::from_utf8_lossy(kind)),
            }),
        }
    }

    /// Returns the one message that answers the request with this `id`; others are passed over.
    ///
    /// # Errors
    /// [`McpResponseError::Missing`] if there is none; what the network says.
    pub async fn into_result(self, id: &Value) -> Result<Value, McpResponseError> {
        let fits = |text: &[u8]| {
            let message: Value = serde_json::from_slice(text).ok()?;
            let is_answer = message.get("method").is_none() && message.get("id") == Some(id);
            is_answer.then_some(message)
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
