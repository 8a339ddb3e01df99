//! The transport of MCP 2024-11-05, HTTP with SSE: one stream for all messages of the server, and an
//! endpoint URL, which the stream names, for all messages of the client.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use mcp_client_oauth::{error::UntrustedText, platform::Body};
use mcp_oauth_adapters::EventStream;
use tokio::sync::{oneshot, watch};
use url::Url;

use crate::{
    connection::{Outgoing, ServerConnection},
    error::{ProxyError, UNKNOWN_OUTCOME},
    forward::Forwarder,
    jsonrpc::{SERVER_ERROR, error_response},
    response::McpBody,
    settings::Limits,
};

/// The time that a stream may take to name the endpoint URL: a stream of another transport never does.
const ENDPOINT_TIMEOUT: Duration = Duration::from_secs(10);

/// An open stream. Dropping it closes it, and ends the requests that wait for a response on it.
#[derive(Debug)]
pub(crate) struct LegacyStream {
    number: u64,
    messages: Url,
    lost: watch::Receiver<bool>,
    /// Ends the reader when it is dropped.
    _open: oneshot::Sender<Infallible>,
}

impl LegacyStream {
    /// Opens the stream, and returns when it has named the endpoint URL. `number` must be unique.
    pub(crate) async fn open(
        number: u64,
        connection: &ServerConnection,
        forwarder: Forwarder,
        limits: Limits,
    ) -> Result<Self, ProxyError> {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::ACCEPT,
            HeaderValue::from_static("text/event-stream"),
        );
        let (method, url) = (Method::GET, connection.url().clone());
        let outgoing = Outgoing {
            method,
            url,
            headers,
            body: Bytes::new(),
            timeout: limits.timeout,
        };
        let response = connection.send(&outgoing).await?;
        let status = response.status();
        let mut events = match McpBody::read(connection.url(), response, limits).await {
            Ok(McpBody::Events(events)) if status.is_success() => events,
            _ => return Err(ProxyError::OtherTransport(status)),
        };
        let named = tokio::select! {
            named = endpoint_url(&mut events, connection.url()) => named?,
            () = connection.platform().clock.sleep(ENDPOINT_TIMEOUT) => {
                return Err(ProxyError::OtherTransport(status));
            }
        };
        let (tell, lost) = watch::channel(false);
        let (open, closed) = oneshot::channel();
        tokio::spawn(async move {
            forward_stream(&forwarder, events, closed).await;
            tracing::debug!("the stream has ended");
            // In this order: a message that is posted after the requests have ended must find the
            // stream lost.
            tell.send_replace(true);
            // It is unknown whether they were carried out, so they are not sent again.
            for id in forwarder.pending.fail_stream(number) {
                let text = format!(
                    "the connection to the server broke before the response; {UNKNOWN_OUTCOME}"
                );
                let line = error_response(Some(&id), SERVER_ERROR, &text, None);
                forwarder.out.write_line(line).await;
            }
        });
        Ok(Self {
            number,
            messages: named,
            lost,
            _open: open,
        })
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Sends a message to the endpoint URL.
    pub(crate) async fn post(
        &self,
        connection: &ServerConnection,
        headers: HeaderMap,
        body: Bytes,
        timeout: Duration,
    ) -> Result<http::Response<Body>, ProxyError> {
        if *self.lost.borrow() {
            return Err(ProxyError::SessionGone);
        }
        let (method, url) = (Method::POST, self.messages.clone());
        connection
            .send(&Outgoing {
                method,
                url,
                headers,
                body,
                timeout,
            })
            .await
    }

    /// Returns when the stream has ended.
    pub(crate) async fn lost(&self) {
        let mut lost = self.lost.clone();
        // An error means that the sender was dropped, so the stream has ended.
        let _ended = lost.wait_for(|lost| *lost).await;
    }
}

/// Forwards events until the stream ends or the [`LegacyStream`] is dropped. Received events are forwarded
/// in any case.
async fn forward_stream(
    forwarder: &Forwarder,
    mut events: Box<EventStream>,
    mut closed: oneshot::Receiver<Infallible>,
) {
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            _closed = &mut closed => return,
        };
        match event {
            Some(Ok(event)) => forwarder.forward_event(event).await,
            Some(Err(_)) | None => return,
        }
    }
}

/// Returns the endpoint URL of the first `endpoint` event. It must have the origin of the server: otherwise
/// a stream could send the messages, and the token with them, to another host (`docs/hostile.md` H90).
async fn endpoint_url(events: &mut EventStream, server: &Url) -> Result<Url, ProxyError> {
    while let Some(event) = events.next().await.transpose()? {
        if event.name != "endpoint" {
            continue;
        }
        let text = String::from_utf8_lossy(&event.data);
        return match server.join(text.trim()) {
            Ok(url) if url.origin() == server.origin() => Ok(url),
            _ => {
                let text = UntrustedText::new(&text);
                Err(ProxyError::Other(format!(
                    "the server sends messages to {text}, which has another origin"
                )))
            }
        };
    }
    Err(ProxyError::Other(
        "the stream ended before it named an endpoint URL".to_owned(),
    ))
}
