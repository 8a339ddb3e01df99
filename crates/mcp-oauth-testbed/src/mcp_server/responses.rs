//! The form of a reply: JSON or an event stream.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::faults::Fault;
use crate::settings::forms::ResponseForm;
use crate::state::TestbedState;

/// The session header of the stateful revisions.
pub(super) const SESSION: &str = "mcp-session-id";

/// A reply before its form is selected.
#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    /// `None` for 202, which has no body.
    message: Option<Value>,
    /// A message to send before it on an event stream; a JSON response omits it.
    before: Option<Value>,
    session: Option<String>,
}

impl Reply {
    pub(super) fn json(status: StatusCode, message: Value) -> Self {
        Self {
            status,
            message: Some(message),
            before: None,
            session: None,
        }
    }

    pub(super) fn ok(message: Value) -> Self {
        Self::json(StatusCode::OK, message)
    }

    /// Accepts a notification or a response.
    pub(super) fn accepted() -> Self {
        Self {
            status: StatusCode::ACCEPTED,
            message: None,
            before: None,
            session: None,
        }
    }

    pub(super) fn into_message(self) -> Option<Value> {
        self.message
    }

    pub(super) fn with_session(mut self, session: String) -> Self {
        self.session = Some(session);
        self
    }

    pub(super) fn after(mut self, notification: Value) -> Self {
        self.before = Some(notification);
        self
    }
}

/// Returns a JSON-RPC result.
pub(super) fn result(id: &Value, result: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

/// Returns a JSON-RPC error.
pub(super) fn error(id: &Value, code: i64, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}

/// Sends a reply. Errors of the transport are JSON; a result is an event stream if the client accepts
/// one.
pub(super) fn send(state: &TestbedState, headers: &HeaderMap, reply: Reply) -> Response {
    let Some(message) = reply.message else {
        return reply.status.into_response();
    };
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    let accept = accept.unwrap_or("*/*");
    let stream = match state.settings.response_form {
        Some(ResponseForm::Json) => false,
        Some(ResponseForm::Sse) => true,
        None => accept.contains("text/event-stream"),
    };
    let acceptable = accept.contains("*/*")
        || accept.contains(if stream {
            "text/event-stream"
        } else {
            "application/json"
        });
    let mut response = if reply.status != StatusCode::OK {
        response(reply.status, "application/json", message.to_string())
    } else if !acceptable {
        return StatusCode::NOT_ACCEPTABLE.into_response();
    } else if stream && state.faults().has(&Fault::ResponsesOnGetStream) {
        response(
            reply.status,
            "text/event-stream",
            redirect_to_get_stream(state, message),
        )
    } else if stream {
        response(
            reply.status,
            "text/event-stream",
            events(reply.before.as_ref(), &message),
        )
    } else {
        response(reply.status, "application/json", message.to_string())
    };
    if let Some(session) = reply.session.and_then(|id| HeaderValue::try_from(id).ok()) {
        response.headers_mut().insert(SESSION, session);
    }
    response
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, body).into_response()
}

/// Puts the response on the `GET` stream and returns an event stream that ends with the id of the last
/// event (2025-11-25, streamable HTTP: a server may close the connection before the response).
fn redirect_to_get_stream(state: &TestbedState, message: Value) -> String {
    let mut streams = state.streams();
    let last_id = streams.newest();
    streams.push(message);
    format!("id: {last_id}\nretry: 10\ndata:\n\n")
}

/// Returns an event stream with a comment first, and each message in several `data` lines: a client must
/// be able to read everything that the format allows.
fn events(before: Option<&Value>, message: &Value) -> String {
    let mut stream = String::from(": the response follows\n\n");
    for message in before.into_iter().chain([message]) {
        stream.push_str("event: message\n");
        for line in format!("{message:#}").lines() {
            stream.push_str("data: ");
            stream.push_str(line);
            stream.push('\n');
        }
        stream.push('\n');
    }
    stream
}
