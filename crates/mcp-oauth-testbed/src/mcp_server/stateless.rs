//! The revision 2026-07-28: requests without sessions (MCP 2026-07-28, streamable HTTP).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::caller::Caller;
use super::responses::{Reply, SESSION, error, result};
use super::tools;
use super::versions::{VERSIONS, server_info};
use crate::settings::forms::ProtocolEra;
use crate::state::TestbedState;

const VERSION: &str = "2026-07-28";
const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES_KEY: &str = "io.modelcontextprotocol/clientCapabilities";
const SERVER_INFO_KEY: &str = "io.modelcontextprotocol/serverInfo";

const HEADER_MISMATCH: i64 = -32020;
const UNSUPPORTED_VERSION: i64 = -32022;

/// Returns whether a message is of this revision: it is, unless it is a handshake or names a session or
/// an older version.
pub(super) fn is_stateless(state: &TestbedState, headers: &HeaderMap, message: &Value) -> bool {
    if state.settings.protocol_era == ProtocolEra::Stateful || headers.contains_key(SESSION) {
        return false;
    }
    if message.get("method").and_then(Value::as_str) == Some("initialize") {
        return false;
    }
    let version = header(headers, "mcp-protocol-version");
    let older = version
        .as_deref()
        .is_some_and(|version| VERSIONS.contains(&version));
    state.settings.protocol_era == ProtocolEra::Stateless || !older
}

pub(super) fn reply(
    state: &TestbedState,
    headers: &HeaderMap,
    message: &Value,
    caller: &Caller,
) -> Reply {
    let id = message.get("id").cloned().unwrap_or(Value::Null);
    let Some(method) = message.get("method").and_then(Value::as_str) else {
        return Reply::json(StatusCode::BAD_REQUEST, error(&id, -32600, "not a request"));
    };
    let notification = message.get("id").is_none();
    let checked = check_version(headers, message, &id, notification)
        .and_then(|()| check_routing(headers, message, method, &id));
    match checked {
        Err(refusal) => *refusal,
        Ok(()) if notification => Reply::accepted(),
        Ok(()) => request(state, caller, method, message, &id),
    }
}

/// Refuses a version: 400 with −32022, and the supported versions.
pub(super) fn unsupported(id: &Value, requested: &str) -> Reply {
    let mut refusal = error(id, UNSUPPORTED_VERSION, "Unsupported protocol version");
    if let Some(error) = refusal.get_mut("error").and_then(Value::as_object_mut) {
        let data = json!({ "supported": [VERSION], "requested": requested });
        error.insert("data".to_owned(), data);
    }
    Reply::json(StatusCode::BAD_REQUEST, refusal)
}

/// Checks that the header and `_meta` name the supported version, and that `_meta` has the capabilities.
fn check_version(
    headers: &HeaderMap,
    message: &Value,
    id: &Value,
    notification: bool,
) -> Result<(), Box<Reply>> {
    let Some(named) = header(headers, "mcp-protocol-version") else {
        return mismatch(id, "MCP-Protocol-Version is missing");
    };
    if notification {
        return Ok(());
    }
    let meta = message.pointer("/params/_meta");
    let field = |key: &str| meta.and_then(|meta| meta.get(key));
    let Some(version) = field(VERSION_KEY).and_then(Value::as_str) else {
        return malformed(id, "_meta has no protocolVersion");
    };
    if named != version {
        return mismatch(id, "MCP-Protocol-Version is not the version in _meta");
    }
    if version != VERSION {
        return Err(Box::new(unsupported(id, version)));
    }
    match field(CAPABILITIES_KEY) {
        Some(Value::Object(_)) => Ok(()),
        _ => malformed(id, "_meta has no clientCapabilities"),
    }
}

/// Checks the routing headers of SEP-2243: `Mcp-Method` always, `Mcp-Name` for a method with a name;
/// both equal the body.
fn check_routing(
    headers: &HeaderMap,
    message: &Value,
    method: &str,
    id: &Value,
) -> Result<(), Box<Reply>> {
    if header(headers, "mcp-method").as_deref() != Some(method) {
        return mismatch(id, "Mcp-Method is not the method of the body");
    }
    let key = match method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        _ => return Ok(()),
    };
    let name = message
        .get("params")
        .and_then(|params| params.get(key))
        .and_then(Value::as_str);
    if header(headers, "mcp-name")
        .and_then(decode_header_value)
        .as_deref()
        != name
    {
        return mismatch(id, "Mcp-Name is not the name in the body");
    }
    Ok(())
}

fn request(
    state: &TestbedState,
    caller: &Caller,
    method: &str,
    message: &Value,
    id: &Value,
) -> Reply {
    match method {
        "server/discover" => Reply::ok(result(id, &discover_result())),
        "tools/list" => Reply::ok(result(
            id,
            &with_cache_fields(json!({ "tools": tools::list() })),
        )),
        "tools/call" => {
            let params = message.get("params").cloned().unwrap_or_default();
            match tools::call(state, caller, &params) {
                Ok(response) => Reply::ok(result(id, &with_result_type(response))),
                Err(reason) => Reply::ok(error(id, -32602, &reason)),
            }
        }
        _ => Reply::json(StatusCode::NOT_FOUND, error(id, -32601, "unknown method")),
    }
}

fn discover_result() -> Value {
    with_cache_fields(json!({
        "supportedVersions": [VERSION],
        "capabilities": { "tools": {} },
        "instructions": "A test server: it keeps notes in memory.",
        "_meta": { SERVER_INFO_KEY: server_info() }
    }))
}

/// Adds the `resultType` of SEP-2322.
fn with_result_type(mut response: Value) -> Value {
    if let Some(members) = response.as_object_mut() {
        members.insert("resultType".to_owned(), json!("complete"));
    }
    response
}

/// Adds the cache fields of SEP-2549.
fn with_cache_fields(response: Value) -> Value {
    let mut response = with_result_type(response);
    if let Some(members) = response.as_object_mut() {
        members.insert("ttlMs".to_owned(), json!(0));
        members.insert("cacheScope".to_owned(), json!("private"));
    }
    response
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}

/// Decodes a header value. SEP-2243: a value that a header cannot carry is sent as `=?base64?…?=`.
fn decode_header_value(value: String) -> Option<String> {
    match value
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="))
    {
        Some(encoded) => String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok(),
        None => Some(value),
    }
}

fn mismatch(id: &Value, reason: &str) -> Result<(), Box<Reply>> {
    Err(Box::new(Reply::json(
        StatusCode::BAD_REQUEST,
        error(id, HEADER_MISMATCH, reason),
    )))
}

fn malformed(id: &Value, reason: &str) -> Result<(), Box<Reply>> {
    Err(Box::new(Reply::json(
        StatusCode::BAD_REQUEST,
        error(id, -32602, reason),
    )))
}
