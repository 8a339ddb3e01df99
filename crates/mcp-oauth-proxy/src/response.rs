//! The body of a response: one JSON text or an event stream.

use std::time::Duration;

use bytes::Bytes;
use http::header;
use mcp_client_oauth::{
    error::{HttpError, UntrustedText},
    platform::Body,
};
use mcp_oauth_adapters::EventStream;
use url::Url;

use crate::{error::ProxyError, settings::Limits};

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

/// The body of a response.
#[derive(Debug)]
pub(crate) enum McpBody {
    /// Nothing, as for a notification.
    Nothing,
    /// One JSON text.
    Json(Bytes),
    /// An event stream of JSON texts, one of which is the response.
    Events(Box<EventStream>),
}

impl McpBody {
    /// Reads a response from `url`: a JSON text to its end, and of an event stream only the head.
    pub(crate) async fn read(
        url: &Url,
        response: http::Response<Body>,
        limits: Limits,
    ) -> Result<Self, ProxyError> {
        let (head, body) = response.into_parts();
        let content_type = head.headers.get(header::CONTENT_TYPE);
        let content_type = content_type.map_or(&[][..], |value| value.as_bytes());
        let kind = content_type.split(|byte| *byte == b';').next();
        let kind = kind.unwrap_or_default().trim_ascii();
        if kind.eq_ignore_ascii_case(b"text/event-stream") {
            let events = EventStream::new(url, body).with_limit(limits.size);
            return Ok(Self::Events(Box::new(events)));
        }
        let bytes = body.read_within(limits.timeout, limits.size).await;
        let bytes = bytes.map_err(|cause| HttpError::new(url, cause))?;
        let is_json = kind.eq_ignore_ascii_case(b"application/json");
        match bytes.trim_ascii() {
            [] => Ok(Self::Nothing),
            _ if is_json => Ok(Self::Json(bytes)),
            _ => Err(ProxyError::NoMessage {
                url: without_query(url),
                status: head.status,
                content_type: UntrustedText::new(&String::from_utf8_lossy(kind)).to_string(),
            }),
        }
    }
}

/// Returns the URL for a message: its query may be secret.
fn without_query(url: &Url) -> Url {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    shown
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use hyper::body::{Body as HttpBody, Frame};
    use mcp_client_oauth::{Error, error::HttpErrorKind};

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

    async fn read(content_type: &str, body: Body, limits: Limits) -> Result<McpBody, ProxyError> {
        let url = "https://mcp.example/mcp?code=planted".parse().unwrap();
        let response = http::Response::builder().header(header::CONTENT_TYPE, content_type);
        McpBody::read(&url, response.body(body).unwrap(), limits).await
    }

    #[tokio::test]
    async fn an_html_page_is_not_read_as_a_message() {
        let page = Body::from(Bytes::from_static(b"<p>Sign in</p>"));
        let error = read("text/html; charset=utf-8", page, Limits::DEFAULT).await;
        let text = error.unwrap_err().to_string();
        assert!(text.contains("HTTP 200 OK with text/html"), "{text}");
        assert!(!text.contains("planted"), "{text}");
    }

    #[tokio::test]
    async fn a_body_of_whitespace_is_nothing() {
        let body = Body::from(Bytes::from_static(b" \r\n"));
        let body = read("text/plain", body, Limits::DEFAULT).await.unwrap();
        assert!(matches!(body, McpBody::Nothing), "{body:?}");
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_refused_with_the_limit() {
        let limits = Limits {
            size: 4,
            ..Limits::DEFAULT
        };
        let body = Body::from(Bytes::from_static(b"[1,2]"));
        let error = read("application/json", body, limits).await.unwrap_err();
        assert!(matches!(error, ProxyError::TooLarge { limit: 4, .. }));
    }

    /// A body that never arrives.
    struct Stalled;

    impl HttpBody for Stalled {
        type Data = Bytes;
        type Error = HttpErrorKind;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, HttpErrorKind>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_body_that_stalls_times_out() {
        let limits = Limits {
            timeout: Duration::from_millis(50),
            ..Limits::DEFAULT
        };
        let body = Body::new(Stalled);
        let error = read("application/json", body, limits).await.unwrap_err();
        let ProxyError::Request(Error::Http(error)) = error else {
            panic!("{error}");
        };
        assert!(matches!(error.cause, HttpErrorKind::TimedOut(_)), "{error}");
    }
}
