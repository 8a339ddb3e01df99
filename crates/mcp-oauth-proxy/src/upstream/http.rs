//! Sends one message, with the headers that its revision of the protocol requires, and reads the response.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use mcp_client_oauth::platform::Body;
use mcp_oauth_support::mutex::lock;

use super::{
    super::{
        connection::Outgoing,
        error::ProxyError,
        forward::StreamEnd,
        header_params::header_text,
        jsonrpc::{Message, Routing},
        response::McpBody,
    },
    state::{McpSession, State, Upstream},
};

pub(crate) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

impl Upstream {
    /// Returns the session that a message belongs to, once it is open; none for a stateless message.
    pub(super) async fn session_for(
        &self,
        message: &Message,
    ) -> Result<Option<Arc<McpSession>>, ProxyError> {
        if let Some(routing) = &message.routing {
            let version = HeaderValue::from_str(&routing.version).ok();
            *lock(&self.stateless) = version;
            return Ok(None);
        }
        let mut states = self.state.subscribe();
        let state = states
            .wait_for(|state| !matches!(state, State::Initializing | State::OpeningStream(_)))
            .await;
        match state.as_deref() {
            Ok(State::Offline(why)) => Err(ProxyError::Offline(Box::new(why.clone()))),
            Ok(state) => Ok(state.session().cloned()),
            Err(_) => Ok(None),
        }
    }

    pub(super) async fn post(
        &self,
        session: Option<&McpSession>,
        message: &Message,
    ) -> Result<http::Response<Body>, ProxyError> {
        let mut headers = match (session, &message.routing) {
            (Some(session), None) => session.headers(),
            (_, Some(routing)) => {
                let mut headers = routing.headers(message.method.as_deref());
                if message.is("tools/call") {
                    self.forwarder
                        .header_params
                        .add_to(&mut headers, &message.line);
                }
                headers
            }
            (None, None) => self.stateless_headers(message),
        };
        headers.insert(header::ACCEPT, BOTH);
        headers.insert(header::CONTENT_TYPE, JSON);
        let body = message.line.clone();
        match session.and_then(|session| session.legacy.as_ref()) {
            Some(legacy) if self.set_stream(message, Some(legacy.number())) => {
                legacy
                    .post(&self.connection, headers, body, self.limits.timeout)
                    .await
            }
            // The requests have ended with their previous stream.
            Some(_) => Err(ProxyError::Unanswered),
            None => self.send(Method::POST, headers, body).await,
        }
    }

    /// Sets the stream that the responses arrive on. Returns false if none of the requests is pending
    /// any more.
    pub(super) fn set_stream(&self, message: &Message, stream: Option<u64>) -> bool {
        let requests = message.requests();
        let waiting = requests
            .iter()
            .filter(|(id, _)| self.forwarder.pending.set_stream(id, stream));
        waiting.count() > 0 || requests.is_empty()
    }

    /// Returns the headers of a message that names no revision itself: a notification of MCP 2026-07-28
    /// names it only in the header.
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
    ) -> Result<http::Response<Body>, ProxyError> {
        let url = self.connection.url().clone();
        let timeout = self.limits.timeout;
        self.connection
            .send(&Outgoing {
                method,
                url,
                headers,
                body,
                timeout,
            })
            .await
    }

    pub(super) async fn read_body(
        &self,
        response: http::Response<Body>,
    ) -> Result<McpBody, ProxyError> {
        McpBody::read(self.connection.url(), response, self.limits).await
    }

    /// Forwards the messages in the response to a message.
    pub(super) async fn handle_response(
        &self,
        session: Option<&McpSession>,
        message: &Message,
        response: http::Response<Body>,
    ) -> Result<StreamEnd, ProxyError> {
        let status = response.status();
        let has_session =
            session.is_some_and(|session| session.id.is_some() || session.legacy.is_some());
        if status == StatusCode::NOT_FOUND && has_session {
            return Err(ProxyError::SessionGone);
        }
        if status.is_success() {
            // In MCP 2024-11-05 the response is on the stream; the HTTP body is irrelevant.
            if session.is_some_and(|session| session.legacy.is_some()) {
                return Ok(StreamEnd::default());
            }
            let response = match self.read_body(response).await {
                // A success status accepts a notification; an invalid body does not change that.
                Err(error) if message.requests().is_empty() => {
                    tracing::debug!(%error, "ignored the response to a notification");
                    McpBody::Nothing
                }
                response => response?,
            };
            // All other messages wait for the end of the handshake, so its response is not read on.
            let is_enough =
                || message.is("notifications/initialized") || self.has_response(message);
            return self.forwarder.forward_body(response, is_enough).await;
        }
        let body = match self.read_body(response).await {
            Ok(McpBody::Json(body)) => body,
            Ok(_) | Err(_) => Bytes::new(),
        };
        if status == StatusCode::BAD_REQUEST && has_session && is_session_error(&body) {
            return Err(ProxyError::SessionGone);
        }
        self.forwarder.forward_error_status(status, body).await
    }
}

impl McpSession {
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(session) = &self.id {
            headers.insert(SESSION, session.clone());
        }
        if let Some(version) = &self.version {
            headers.insert(VERSION, version.clone());
        }
        headers
    }
}

impl Routing {
    /// Returns the headers of a request: SEP-2243 repeats its method and name in headers.
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

/// Returns whether an error response is about the session ID. The specification requires 404 for an ID that
/// the server does not know (MCP 2025-11-25, streamable HTTP, session management); the example server of the
/// TypeScript SDK, `@modelcontextprotocol/server-everything` and their many copies return 400 with a text.
/// An attacker gains nothing: the text is the server's own, nothing was carried out, and a call opens
/// another session only once.
fn is_session_error(refusal: &[u8]) -> bool {
    let words = String::from_utf8_lossy(refusal).to_lowercase();
    ["session id", "sessionid", "session not found"]
        .iter()
        .any(|name| words.contains(name))
}
