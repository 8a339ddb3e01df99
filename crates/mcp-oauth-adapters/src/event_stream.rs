//! The events of a server, read while they arrive.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use http_body::Body as _;
use mcp_client_oauth::{
    error::{HttpError, HttpErrorKind},
    platform::Body,
};
use url::Url;

use self::decoder::{EVENT_LIMIT, EventDecoder};

pub(crate) mod decoder;

pub use decoder::Event;

/// The events of a stream (WHATWG HTML §9.2). Each is 4 MiB at most, unless
/// [`with_limit`](Self::with_limit) sets another limit.
///
/// ```no_run
/// # async fn run(session: mcp_client_oauth::Session) -> Result<(), Box<dyn std::error::Error>> {
/// use mcp_oauth_adapters::EventStream;
///
/// let url: url::Url = "https://mcp.example/mcp/changes".parse()?;
/// let body = session.get(&url).send_streaming().await?.into_body();
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

    /// Returns the reconnection time that the server sent (`retry:`).
    ///
    /// It may be zero: wait a second at least before the stream is opened again.
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
