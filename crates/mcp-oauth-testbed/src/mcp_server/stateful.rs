//! The wires with `initialize` and sessions: 2025-03-26, 2025-06-18 and 2025-11-25.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::caller::Caller;
use super::responses::{Reply, SESSION, error, result};
use super::versions::{VERSIONS, server_info};
use super::{stateless, tools};
use crate::random::random;
use crate::settings::forms::Wire;
use crate::state::TestbedState;

pub(super) fn reply(
    world: &TestbedState,
    headers: &HeaderMap,
    message: &Value,
    caller: &Caller,
) -> Reply {
    let id = message.get("id").cloned().unwrap_or(Value::Null);
    if world.settings.wire == Wire::Stateless {
        return stateless::unsupported(&id, "initialize");
    }
    let method = message.get("method").and_then(Value::as_str);
    if method == Some("initialize") {
        return initialize(world, message, &id);
    }
    if let Err(refusal) = check_session(world, headers, &id) {
        return *refusal;
    }
    match method {
        // A response of the client, or a notification such as `notifications/initialized`.
        None => Reply::accepted(),
        Some(_) if message.get("id").is_none() => Reply::accepted(),
        Some(method) => request(world, caller, method, message, &id),
    }
}

/// Returns the answer to a message that comes without a session of this wire; none if it needs none.
pub(super) fn spoken(world: &TestbedState, caller: &Caller, message: &Value) -> Option<Value> {
    let id = message.get("id")?;
    let reply = match message.get("method").and_then(Value::as_str)? {
        "initialize" => initialize(world, message, id),
        method => request(world, caller, method, message, id),
    };
    reply.into_message()
}

/// `DELETE /mcp`.
pub(super) fn end(world: &TestbedState, headers: &HeaderMap) -> Response {
    let session = headers.get(SESSION).and_then(|value| value.to_str().ok());
    let ended = session.is_some_and(|id| world.service().sessions.remove(id).is_some());
    match (session, ended) {
        (None, _) => StatusCode::BAD_REQUEST.into_response(),
        (Some(_), true) => StatusCode::NO_CONTENT.into_response(),
        (Some(_), false) => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Lifecycle, version negotiation: the asked version if it is spoken, else the newest that is.
fn initialize(world: &TestbedState, message: &Value, id: &Value) -> Reply {
    let asked = message
        .pointer("/params/protocolVersion")
        .and_then(Value::as_str);
    let Some(asked) = asked else {
        return Reply::json(
            StatusCode::BAD_REQUEST,
            error(id, -32602, "params.protocolVersion is missing"),
        );
    };
    let spoken = VERSIONS.iter().find(|&&version| version == asked);
    let version = spoken.or(VERSIONS.last()).copied().unwrap_or_default();
    let session = random("session");
    world
        .service()
        .sessions
        .insert(session.clone(), version.to_owned());
    let answer = json!({
        "protocolVersion": version,
        "capabilities": { "tools": {}, "logging": {} },
        "serverInfo": server_info(),
        "instructions": "A test server: it keeps notes in memory."
    });
    Reply::ok(result(id, &answer)).with_session(session)
}

/// Streamable HTTP, session management: without an id 400, with an unknown one 404. From
/// 2025-06-18 on the version header, if there is one, must name a version that is spoken.
pub(super) fn check_session(
    world: &TestbedState,
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
        Some(session) if world.service().sessions.contains_key(session) => Ok(()),
        Some(_) => refuse(StatusCode::NOT_FOUND, "there is no such session"),
    }
}

fn request(
    world: &TestbedState,
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
            match tools::call(world, caller, &params) {
                Ok(answer) => Reply::ok(result(id, &answer)).after(log_message()),
                Err(reason) => Reply::ok(error(id, -32602, &reason)),
            }
        }
        _ => Reply::ok(error(id, -32601, "there is no such method")),
    }
}

/// Returns what the server says before an answer, so that a stream has more than one event.
fn log_message() -> Value {
    json!({
        "jsonrpc": "2.0",
        "method": "notifications/message",
        "params": { "level": "info", "logger": "notes", "data": "the tool ran" }
    })
}
