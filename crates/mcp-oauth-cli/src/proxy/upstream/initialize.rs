//! The begin of a session, by whichever transport the server speaks.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use serde_json::Value;
use tokio::sync::oneshot;

use super::{
    super::{
        error::Trouble,
        jsonrpc::{Id, Message},
        legacy_sse::OldStream,
        options::Transport,
        pending_requests::Calls,
    },
    http::SESSION,
    state::{McpSession, Upstream},
};

impl Upstream {
    /// Returns the answer to `initialize`, and the session, unless the answer is an error.
    pub(super) async fn open_session(
        &self,
        initialize_request: &Message,
    ) -> Result<(Bytes, Option<McpSession>), Trouble> {
        let old_first = matches!(self.transport, Transport::SseFirst | Transport::SseOnly);
        let first = if old_first {
            self.open_old(initialize_request).await
        } else {
            self.open_streamable(initialize_request).await
        };
        match (first, self.transport) {
            (Err(Trouble::OtherTransport(_)), Transport::SseFirst) => {
                self.open_streamable(initialize_request).await
            }
            (Err(Trouble::OtherTransport(status)), Transport::HttpFirst) => {
                let second = self.open_old(initialize_request).await;
                second.map_err(|trouble| match trouble {
                    // What it says to the transport of today is what the person wants to know.
                    Trouble::OtherTransport(_) => Trouble::OtherTransport(status),
                    other => other,
                })
            }
            (outcome, _) => outcome,
        }
    }

    async fn open_streamable(
        &self,
        initialize_request: &Message,
    ) -> Result<(Bytes, Option<McpSession>), Trouble> {
        let own = OwnCall::begin(&self.relay.calls, initialize_request)?;
        let response = self.post(None, initialize_request).await?;
        let (status, session) = (response.status(), response.headers().get(SESSION).cloned());
        let outcome = self.take(None, initialize_request, response).await;
        match (own.answer().await, outcome) {
            (Some(answer), _) => {
                let seat = self.seat_of(&answer, session, None);
                Ok((answer, seat))
            }
            (None, _) if matches!(status.as_u16(), 400 | 404 | 405) => {
                Err(Trouble::OtherTransport(status))
            }
            (None, Err(trouble)) => Err(trouble),
            (None, Ok(_)) => Err(Trouble::Unanswered),
        }
    }

    async fn open_old(
        &self,
        initialize_request: &Message,
    ) -> Result<(Bytes, Option<McpSession>), Trouble> {
        let mut own = OwnCall::begin(&self.relay.calls, initialize_request)?;
        let old = OldStream::open(
            self.next_number(),
            &self.door,
            self.relay.clone(),
            self.limits,
        )
        .await?;
        let mut seat = self.empty_seat();
        seat.old = Some(old);
        self.tell_at(Some(&seat), initialize_request).await?;
        let answer = tokio::select! {
            answer = &mut own.answer => answer.ok(),
            () = self.door.platform().clock.sleep(self.limits.patience) => None,
        };
        let answer = answer.ok_or(Trouble::Unanswered)?;
        let seat = self.seat_of(&answer, None, seat.old.take());
        Ok((answer, seat))
    }

    fn empty_seat(&self) -> McpSession {
        let number = self.next_number();
        McpSession {
            number,
            session: None,
            version: None,
            old: None,
        }
    }

    /// Returns none if the answer is an error.
    fn seat_of(
        &self,
        answer: &Bytes,
        session: Option<HeaderValue>,
        old: Option<OldStream>,
    ) -> Option<McpSession> {
        let answer: Value = serde_json::from_slice(answer).ok()?;
        let version = answer
            .get("result")?
            .get("protocolVersion")
            .and_then(Value::as_str);
        let version = version.and_then(|version| HeaderValue::from_str(version).ok());
        Some(McpSession {
            session,
            version,
            old,
            ..self.empty_seat()
        })
    }
}

/// A request whose answer is for us.
struct OwnCall {
    calls: Arc<Calls>,
    id: Id,
    answer: oneshot::Receiver<Bytes>,
}

impl OwnCall {
    fn begin(calls: &Arc<Calls>, message: &Message) -> Result<Self, Trouble> {
        let request = message.requests().pop();
        let (id, raw) = request.ok_or_else(|| Trouble::Said("it is no request".to_owned()))?;
        let answer = calls.begin_own(&id, &raw);
        Ok(Self {
            calls: Arc::clone(calls),
            id,
            answer,
        })
    }

    /// Returns what has come, if it has.
    async fn answer(mut self) -> Option<Bytes> {
        self.calls.cancel(&self.id);
        (&mut self.answer).await.ok()
    }
}

impl Drop for OwnCall {
    fn drop(&mut self) {
        self.calls.cancel(&self.id);
    }
}

/// Our own word that a session is understood.
pub(super) fn initialized() -> Result<Message, Trouble> {
    let text = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let read = Message::read(&Bytes::from_static(text.as_bytes()));
    read.map_err(|broken| Trouble::Said(broken.why.to_owned()))
}
