//! One message, there and back, with the headers that its revision of the protocol wants.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use mcp_client_oauth::{McpBody, McpResponse, McpResponseError, platform::Body};

use super::{
    super::{
        connection::Outgoing,
        error::Trouble,
        forward::Ended,
        header_params::header_text,
        jsonrpc::{Message, Routing},
        options::Limits,
    },
    state::{McpSession, State, Upstream, lock},
};

pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

impl Upstream {
    /// Returns the session that a message belongs to, once it is open; none for one that needs none.
    pub(super) async fn seat(&self, message: &Message) -> Result<Option<Arc<McpSession>>, Trouble> {
        if let Some(routing) = &message.routing {
            let version = HeaderValue::from_str(&routing.version).ok();
            *lock(&self.stateless) = version;
            return Ok(None);
        }
        let mut states = self.state.subscribe();
        let state = states
            .wait_for(|state| !matches!(state, State::Opening | State::Confirmed(_)))
            .await;
        match state.as_deref() {
            Ok(State::Shut(why)) => Err(Trouble::Shut(Box::new(why.clone()))),
            Ok(state) => Ok(state.seat().cloned()),
            Err(_) => Ok(None),
        }
    }

    pub(super) async fn post(
        &self,
        seat: Option<&McpSession>,
        message: &Message,
    ) -> Result<http::Response<Body>, Trouble> {
        let mut headers = match (seat, &message.routing) {
            (Some(seat), None) => seat.headers(),
            (_, Some(routing)) => {
                let mut headers = routing.headers(message.method.as_deref());
                if message.is("tools/call") {
                    self.relay.parameters.add_to(&mut headers, &message.line);
                }
                headers
            }
            (None, None) => self.stateless_headers(message),
        };
        headers.insert(header::ACCEPT, BOTH);
        headers.insert(header::CONTENT_TYPE, JSON);
        let body = message.line.clone();
        match seat.and_then(|seat| seat.old.as_ref()) {
            Some(old) if self.goes_by(message, Some(old.number())) => {
                old.post(&self.door, headers, body, self.limits.patience)
                    .await
            }
            // The stream before has ended, and they with it.
            Some(_) => Err(Trouble::Unanswered),
            None => self.send(Method::POST, headers, body).await,
        }
    }

    /// Returns the answers come by the stream with this number, or by none; no if nobody waits for them any
    /// more.
    pub(super) fn goes_by(&self, message: &Message, stream: Option<u64>) -> bool {
        let requests = message.requests();
        let waiting = requests
            .iter()
            .filter(|(id, _)| self.relay.calls.goes_by(id, stream));
        waiting.count() > 0 || requests.is_empty()
    }

    /// Returns a notification of 2026-07-28 names its revision in the header alone.
    fn stateless_headers(&self, message: &Message) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(version) = lock(&self.stateless)
            .clone()
            .filter(|_| !message.is("initialize"))
        {
            headers.insert(VERSION, version);
            if let Some(method) = message
                .method
                .as_deref()
                .and_then(|m| HeaderValue::from_str(m).ok())
            {
                headers.insert(METHOD, method);
            }
        }
        headers
    }

    pub(super) async fn send(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<http::Response<Body>, Trouble> {
        let url = self.door.url().clone();
        let patience = self.limits.patience;
        self.door
            .send(&Outgoing {
                method,
                url,
                headers,
                body,
                patience,
            })
            .await
    }

    pub(super) async fn read(
        &self,
        response: http::Response<Body>,
    ) -> Result<McpBody, McpResponseError> {
        let Limits { patience, size } = self.limits;
        let answer =
            McpResponse::from_response_with_timeout(patience, size, self.door.url(), response)
                .await?;
        Ok(match answer.body {
            McpBody::Events(events) => McpBody::Events(Box::new(events.with_limit(size))),
            other => other,
        })
    }

    /// Passes on what the answer to a message holds.
    pub(super) async fn take(
        &self,
        seat: Option<&McpSession>,
        message: &Message,
        response: http::Response<Body>,
    ) -> Result<Ended, Trouble> {
        let status = response.status();
        let has_session = seat.is_some_and(|seat| seat.session.is_some() || seat.old.is_some());
        if status == StatusCode::NOT_FOUND && has_session {
            return Err(Trouble::SessionGone);
        }
        if status.is_success() {
            // An answer to `POST` of 2024-11-05 is on the stream; here is a word at most.
            if seat.is_some_and(|seat| seat.old.is_some()) {
                return Ok(Ended::default());
            }
            let answer = match self.read(response).await {
                // What wants no answer was accepted, whatever else is said about it.
                Err(error) if message.requests().is_empty() => {
                    tracing::debug!(%error, "ignored what came for a notification");
                    McpBody::Nothing
                }
                answer => answer?,
            };
            // Everything waits for the end of the handshake: nothing may come for it.
            let is_enough = || message.is("notifications/initialized") || self.is_answered(message);
            return self.relay.pass_answer(answer, is_enough).await;
        }
        let body = match self.read(response).await {
            Ok(McpBody::Json(body)) => body,
            Ok(_) | Err(_) => Bytes::new(),
        };
        if status == StatusCode::BAD_REQUEST && has_session && is_about_session(&body) {
            return Err(Trouble::SessionGone);
        }
        self.relay.pass_refusal(status, body).await
    }
}

impl McpSession {
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(session) = &self.session {
            headers.insert(SESSION, session.clone());
        }
        if let Some(version) = &self.version {
            headers.insert(VERSION, version.clone());
        }
        headers
    }
}

impl Routing {
    /// SEP-2243: what a request is about stands in headers too.
    fn headers(&self, method: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let name = self.name.as_deref().map(header_text);
        let fields = [
            (VERSION, Some(self.version.clone())),
            (METHOD, method.map(str::to_owned)),
            (NAME, name),
        ];
        for (field, value) in fields {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                headers.insert(field, value);
            }
        }
        headers
    }
}

/// Returns whether a refusal is about the session ID. The specification has 404 for an ID that the server does
/// not know (2025-11-25, streamable HTTP, session management); the example server of the TypeScript
/// SDK, `@modelcontextprotocol/server-everything` and their many copies refuse it with 400 and say so
/// in words alone. What an attacker gains: nothing, because the server itself says it, nothing was
/// carried out, and a call opens another session once.
fn is_about_session(refusal: &[u8]) -> bool {
    let words = String::from_utf8_lossy(refusal).to_lowercase();
    ["session id", "sessionid", "session not found"]
        .iter()
        .any(|name| words.contains(name))
}
