//! The transport of 2024-11-05, HTTP with SSE: one stream for all that the server says, and a place,
//! which that stream names, for all that the client says.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use mcp_client_oauth::{
    EventStream, McpBody, McpResponse, platform::Body, proto::untrusted_text::UntrustedText,
};
use tokio::sync::{oneshot, watch};
use url::Url;

use super::{
    connection::{Outgoing, ServerConnection},
    error::{Trouble, UNKNOWN_OUTCOME},
    forward::Relay,
    jsonrpc::{SERVER_ERROR, error},
    options::Limits,
};

/// Says how long a stream may take to name the place for messages: one of another transport never does.
const NAMING: Duration = Duration::from_secs(10);

/// An open stream. Dropping it closes it, and ends the calls whose answers were to come by it.
#[derive(Debug)]
pub(super) struct OldStream {
    number: u64,
    messages: Url,
    lost: watch::Receiver<bool>,
    /// Its reader ends with it.
    _open: oneshot::Sender<Infallible>,
}

impl OldStream {
    /// Opens the stream, and returns when it has named the place for messages. No other stream has
    /// this number.
    pub(super) async fn open(
        number: u64,
        door: &ServerConnection,
        relay: Relay,
        limits: Limits,
    ) -> Result<Self, Trouble> {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::ACCEPT,
            HeaderValue::from_static("text/event-stream"),
        );
        let (method, url) = (Method::GET, door.url().clone());
        let outgoing = Outgoing {
            method,
            url,
            headers,
            body: Bytes::new(),
            patience: limits.patience,
        };
        let response = door.send(&outgoing).await?;
        let status = response.status();
        let mut events = match McpResponse::from_response(door.url(), response)
            .await
            .map(|answer| answer.body)
        {
            Ok(McpBody::Events(events)) if status.is_success() => events.with_limit(limits.size),
            _ => return Err(Trouble::OtherTransport(status)),
        };
        let named = tokio::select! {
            named = place(&mut events, door.url()) => named?,
            () = door.platform().clock.sleep(NAMING) => return Err(Trouble::OtherTransport(status)),
        };
        let (tell, lost) = watch::channel(false);
        let (open, closed) = oneshot::channel();
        tokio::spawn(async move {
            read(&relay, events, closed).await;
            tracing::debug!("the stream has ended");
            // In this order: who posts after the calls have ended finds that the stream is lost.
            tell.send_replace(true);
            // Whether they were carried out, nobody knows: they are not sent again.
            for id in relay.calls.end_with(number) {
                let text = format!(
                    "the connection to the server broke before the answer; {UNKNOWN_OUTCOME}"
                );
                let line = error(Some(&id), SERVER_ERROR, &text, None);
                relay.out.line(line).await;
            }
        });
        Ok(Self {
            number,
            messages: named,
            lost,
            _open: open,
        })
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Sends a message there.
    pub(super) async fn post(
        &self,
        door: &ServerConnection,
        headers: HeaderMap,
        body: Bytes,
        patience: Duration,
    ) -> Result<http::Response<Body>, Trouble> {
        if *self.lost.borrow() {
            return Err(Trouble::SessionGone);
        }
        let (method, url) = (Method::POST, self.messages.clone());
        door.send(&Outgoing {
            method,
            url,
            headers,
            body,
            patience,
        })
        .await
    }

    /// Returns when the stream has ended.
    pub(super) async fn lost(&self) {
        let mut lost = self.lost.clone();
        // Without its sender it has ended as well.
        let _ended = lost.wait_for(|lost| *lost).await;
    }
}

/// Until the stream ends, or nobody has it any more. What has come is passed on in any case.
async fn read(relay: &Relay, mut events: EventStream, mut closed: oneshot::Receiver<Infallible>) {
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            _closed = &mut closed => return,
        };
        match event {
            Some(Ok(event)) => relay.pass_event(event).await,
            Some(Err(_)) | None => return,
        }
    }
}

/// Returns the first event names the place, which is of the same origin: a stream that sends our messages
/// elsewhere is not followed (H90).
async fn place(events: &mut EventStream, server: &Url) -> Result<Url, Trouble> {
    while let Some(event) = events.next().await.transpose()? {
        if event.name != "endpoint" {
            continue;
        }
        let text = String::from_utf8_lossy(&event.data);
        return match server.join(text.trim()) {
            Ok(url) if url.origin() == server.origin() => Ok(url),
            _ => {
                let text = UntrustedText::new(&text);
                Err(Trouble::Said(format!(
                    "messages would go to {text}, which is elsewhere"
                )))
            }
        };
    }
    Err(Trouble::Said(
        "the stream ended before it named a place for messages".to_owned(),
    ))
}
