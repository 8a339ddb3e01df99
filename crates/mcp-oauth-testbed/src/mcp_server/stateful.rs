//! The revisions with `initialize` and sessions: 2025-03-26, 2025-06-18 and 2025-11-25.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::caller::Caller;
use super::responses::{Reply, SESSION, error, result};
use super::versions::{VERSIONS, server_info};
use super::{stateless, tools};
use crate::random::random;
use crate::settings::forms::ProtocolEra;
use crate::state::TestbedState;

pub(super) fn reply(
    state: &TestbedState,
    headers: &HeaderMap,
    message: &Value,
    caller: &Caller,
) -> Reply {
    let id = message.get("id").cloned().unwrap_or(Value::Null);
    if state.settings.protocol_era == ProtocolEra::Stateless {
        return stateless::unsupported(&id, "initialize");
    }
    let method = message.get("method").and_then(Value::as_str);
    if method == Some("initialize") {
        return initialize(state, message, &id);
    }
    if let Err(refusal) = check_session(state, headers, &id) {
        return *refusal;
    }
    match method {
        // A response of the client, or a notification such as `notifications/initialized`.
        None => Reply::accepted(),
        Some(_) if message.get("id").is_none() => Reply::accepted(),
        Some(method) => request(state, caller, method, message, &id),
    }
}

/// Returns the response to a message without a session; none if it needs none.
pub(super) fn respond(state: &TestbedState, caller: &Caller, message: &Value) -> Option<Value> {
    let id = message.get("id")?;
    let reply = match message.get("method").and_then(Value::as_str)? {
        "initialize" => initialize(state, message, id),
        method => request(state, caller, method, message, id),
    };
    reply.into_message()
}

/// `DELETE /mcp`.
pub(super) fn end(state: &TestbedState, headers: &HeaderMap) -> Response {
    let session = headers.get(SESSION).and_then(|value| value.to_str().ok());
    let ended = session.is_some_and(|id| state.service().sessions.remove(id).is_some());
    match (session, ended) {
        (None, _) => StatusCode::BAD_REQUEST.into_response(),
        (Some(_), true) => StatusCode::NO_CONTENT.into_response(),
        (Some(_), false) => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Negotiates the version (MCP lifecycle): the requested one if it is supported, else the newest.
fn initialize(state: &TestbedState, message: &Value, id: &Value) -> Reply {
    let requested = message
        .pointer("/params/protocolVersion")
        .and_then(Value::as_str);
    let Some(requested) = requested else {
        return Reply::json(
            StatusCode::BAD_REQUEST,
            error(id, -32602, "params.protocolVersion is missing"),
        );
    };
    let supported = VERSIONS.iter().find(|&&version| version == requested);
    let version = supported.or(VERSIONS.last()).copied().unwrap_or_default();
    let session = random("session");
    state
        .service()
        .sessions
        .insert(session.clone(), version.to_owned());
    let response = json!({
        "protocolVersion": version,
        "capabilities": { "tools": {}, "logging": {} },
        "serverInfo": server_info(),
        "instructions": "A test server: it keeps notes in memory."
    });
    Reply::ok(result(id, &response)).with_session(session)
}

/// Checks the session (streamable HTTP, session management): 400 without an id, 404 with an unknown
/// one. From 2025-06-18 on the version header, if present, must name a supported version.
pub(super) fn check_session(
    state: &TestbedState,
    headers: &HeaderMap,
    id: &Value,
) -> Result<(), Box<Reply>> {
    let refuse = |status, reason| Err(Box::new(Reply::json(status, error(id, -32600, reason))));
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text("mcp-protocol-version").is_some_and(|version| !VERSIONS.contains(&version)) {
        return refuse(
            StatusCode::BAD_REQUEST,
            "the protocol version is not supported",
        );
    }
    match text(SESSION) {
        None => refuse(StatusCode::BAD_REQUEST, "Mcp-Session-Id is missing"),
        Some(session) if state.service().sessions.contains_key(session) => Ok(()),
        Some(_) => refuse(StatusCode::NOT_FOUND, "unknown session"),
    }
}

fn request(
    state: &TestbedState,
    caller: &Caller,
    method: &str,
    message: &Value,
    id: &Value,
) -> Reply {
    match method {
        "ping" | "logging/setLevel" => Reply::ok(result(id, &json!({}))),
        "tools/list" => Reply::ok(result(id, &json!({ "tools": tools::list() }))),
        "tools/call" => {
            let params = message.get("params").cloned().unwrap_or_default();
            match tools::call(state, caller, &params) {
                Ok(response) => Reply::ok(result(id, &response)).after(log_message()),
                Err(reason) => Reply::ok(error(id, -32602, &reason)),
            }
        }
        _ => Reply::ok(error(id, -32601, "unknown method")),
    }
}

/// Returns a notification to send before a response, so that a stream has more than one event.
fn log_message() -> Value {
    json!({
        "jsonrpc": "2.0",
        "method": "notifications/message",
        "params": { "level": "info", "logger": "notes", "data": "the tool ran" }
    })
}
