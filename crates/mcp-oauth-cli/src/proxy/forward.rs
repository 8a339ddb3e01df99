//! What the server says, on its way to the client.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use mcp_client_oauth::{
    EventStream, McpBody,
    proto::{event_stream::Event, untrusted_text::UntrustedText},
};
use serde_json::value::RawValue;

use super::{
    error::Trouble,
    filter::Filter,
    header_params::Parameters,
    jsonrpc::{Kind, Message},
    pending_requests::{Calls, Requester},
    stdio::Output,
};

/// Passes on what is for the client. Cloning shares it.
#[derive(Clone)]
pub(super) struct Relay {
    pub(super) calls: Arc<Calls>,
    pub(super) out: Output,
    pub(super) filter: Arc<Filter>,
    pub(super) parameters: Arc<Parameters>,
}

impl Relay {
    /// One message of the server. An answer that nobody waits for is dropped (H164).
    pub(super) async fn pass(&self, text: Bytes) {
        let message = match Message::read(&text) {
            Ok(message) => message,
            Err(broken) => {
                tracing::warn!(why = broken.why, "dropped what the server sent");
                return;
            }
        };
        match &message.kind {
            Kind::Answer(id) => {
                self.parameters.learn(&message.line);
                let line = self.filter.answer(&message.line);
                match self.calls.end(id, &line) {
                    Requester::Client => self.out.line(line).await,
                    Requester::Ourselves => {}
                    Requester::Nobody => tracing::debug!("dropped an answer that nobody waits for"),
                }
            }
            Kind::Batch(_) => self.pass_batch(&message.line).await,
            Kind::Request(_) | Kind::Notification => self.out.line(message.line).await,
        }
    }

    /// Several answers in one, as in 2025-03-26: each is passed on by itself.
    async fn pass_batch(&self, line: &Bytes) {
        let all: Vec<&RawValue> = serde_json::from_slice(line).unwrap_or_default();
        for one in all {
            Box::pin(self.pass(line.slice_ref(one.get().as_bytes()))).await;
        }
    }

    /// Returns an answer to its end, or until it `is_enough`.
    pub(super) async fn pass_answer(
        &self,
        answer: McpBody,
        is_enough: impl Fn() -> bool,
    ) -> Result<Ended, Trouble> {
        match answer {
            McpBody::Json(text) => self.pass(text).await,
            McpBody::Events(mut events) => {
                let outcome = self.pass_events(&mut events, is_enough).await;
                let ended = Ended::of(&events);
                return match outcome {
                    Err(trouble) if ended.last_id.is_none() || trouble.is_too_large() => {
                        Err(trouble)
                    }
                    _ => Ok(ended),
                };
            }
            _ => {}
        }
        Ok(Ended::default())
    }

    /// Returns an answer with a status that says no: the server's own words, if they are for the client.
    pub(super) async fn pass_refusal(
        &self,
        status: StatusCode,
        body: Bytes,
    ) -> Result<Ended, Trouble> {
        let is_for_client =
            |message: &Message| matches!(&message.kind, Kind::Answer(id) if self.calls.is_open(id));
        match Message::read(&body) {
            Ok(message) if is_for_client(&message) => {
                self.pass(body).await;
                Ok(Ended::default())
            }
            _ => {
                let words = UntrustedText::new(&String::from_utf8_lossy(&body));
                let words = if body.is_empty() {
                    String::new()
                } else {
                    format!(": {words}")
                };
                Err(Trouble::Said(format!(
                    "the server answers HTTP {status}{words}"
                )))
            }
        }
    }

    /// The messages of a stream, until it ends or `is_enough`: a server may leave it open after the
    /// answer (2025-11-25, streamable HTTP: it SHOULD close it).
    pub(super) async fn pass_events(
        &self,
        events: &mut EventStream,
        is_enough: impl Fn() -> bool,
    ) -> Result<(), Trouble> {
        while !is_enough() {
            match events.next().await.transpose()? {
                Some(event) => self.pass_event(event).await,
                None => break,
            }
        }
        Ok(())
    }

    pub(super) async fn pass_event(&self, event: Event) {
        if event.name == "message" {
            self.pass(event.data).await;
        }
    }
}

/// Says where a stream has ended, for who comes again.
#[derive(Debug, Default)]
pub(super) struct Ended {
    pub(super) last_id: Option<String>,
    pub(super) retry: Option<std::time::Duration>,
}

impl Ended {
    pub(super) fn of(events: &EventStream) -> Self {
        Self {
            last_id: events.last_id().map(str::to_owned),
            retry: events.retry(),
        }
    }
}
