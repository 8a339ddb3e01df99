//! How a reply leaves: JSON or an event stream.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::faults::Fault;
use crate::settings::forms::Answers;
use crate::state::TestbedState;

/// The session header of the stateful wire.
pub(super) const SESSION: &str = "mcp-session-id";

/// Holds what is to be said, before it is known how.
#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    /// `None` for 202, which has no body.
    message: Option<Value>,
    /// Holds what is said before it on an event stream, and left out of a JSON answer.
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

    /// A notification or a response was taken note of.
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

/// Errors of the transport stay JSON; a result is a stream if the client accepts one.
pub(super) fn send(world: &TestbedState, headers: &HeaderMap, reply: Reply) -> Response {
    let Some(message) = reply.message else {
        return reply.status.into_response();
    };
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    let accept = accept.unwrap_or("*/*");
    let stream = match world.settings.answers {
        Some(Answers::Json) => false,
        Some(Answers::Sse) => true,
        None => accept.contains("text/event-stream"),
    };
    let acceptable = accept.contains("*/*")
        || accept.contains(if stream {
            "text/event-stream"
        } else {
            "application/json"
        });
    let mut answer = if reply.status != StatusCode::OK {
        sent(reply.status, "application/json", message.to_string())
    } else if !acceptable {
        return StatusCode::NOT_ACCEPTABLE.into_response();
    } else if stream && world.faults().has(&Fault::AnswersOnTheStream) {
        sent(reply.status, "text/event-stream", elsewhere(world, message))
    } else if stream {
        sent(
            reply.status,
            "text/event-stream",
            events(reply.before.as_ref(), &message),
        )
    } else {
        sent(reply.status, "application/json", message.to_string())
    };
    if let Some(session) = reply.session.and_then(|id| HeaderValue::try_from(id).ok()) {
        answer.headers_mut().insert(SESSION, session);
    }
    answer
}

fn sent(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, body).into_response()
}

/// Returns the stream ends with the place where the answer is: after the event with this id (2025-11-25,
/// streamable HTTP: a server may close the connection before the answer).
fn elsewhere(world: &TestbedState, message: Value) -> String {
    let mut streams = world.streams();
    let place = streams.newest();
    streams.say(message);
    format!("id: {place}\nretry: 10\ndata:\n\n")
}

/// Returns a comment first, and each message in several `data` lines: what the event stream format allows,
/// a client must be able to read.
fn events(before: Option<&Value>, message: &Value) -> String {
    let mut stream = String::from(": the answer follows\n\n");
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
