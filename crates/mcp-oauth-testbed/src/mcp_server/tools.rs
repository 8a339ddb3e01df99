//! The tools: `whoami`, `add`, `list_notes`, `write_note`.

use axum::response::Response;
use serde_json::{Value, json};

use super::caller::Caller;
use super::challenge;
use crate::faults::Fault;
use crate::state::TestbedState;

/// Returns the tools for `tools/list`.
pub(super) fn list() -> Value {
    let none = json!({ "type": "object", "properties": {} });
    json!([
        { "name": "whoami", "description": "The client and its scopes", "inputSchema": none },
        {
            "name": "add",
            "description": "Adds two numbers",
            "inputSchema": {
                "type": "object",
                "properties": { "a": { "type": "number" }, "b": { "type": "number" } },
                "required": ["a", "b"]
            }
        },
        { "name": "list_notes", "description": "Lists the notes", "inputSchema": none },
        {
            "name": "write_note",
            "description": "Adds a note",
            "inputSchema": {
                "type": "object",
                "properties": { "text": { "type": "string" } },
                "required": ["text"]
            }
        }
    ])
}

/// Checks that the caller may send a message: a tool call may require a scope.
pub(super) fn check_scope(
    state: &TestbedState,
    caller: &Caller,
    message: &Value,
) -> Result<(), Box<Response>> {
    if message.get("method").and_then(Value::as_str) != Some("tools/call") {
        return Ok(());
    }
    let tool = message
        .pointer("/params/name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    check_tool(state, caller, tool)
}

/// Checks that the caller's token has the scope that a tool requires.
pub(super) fn check_tool(
    state: &TestbedState,
    caller: &Caller,
    tool: &str,
) -> Result<(), Box<Response>> {
    let Some(access) = caller else { return Ok(()) };
    let never = state.faults().find(|fault| match fault {
        Fault::AlwaysInsufficientScope(scope) => Some(scope.clone()),
        _ => None,
    });
    let missing = never.or_else(|| {
        state
            .required_scope(tool)
            .filter(|scope| !access.scopes.contains(scope))
    });
    match missing {
        Some(scope) => Err(Box::new(challenge::insufficient(state, caller, &scope))),
        None => Ok(()),
    }
}

/// Returns the result of a tool, or the message of the error (JSON-RPC −32602).
pub(super) fn call(state: &TestbedState, caller: &Caller, params: &Value) -> Result<Value, String> {
    let name = params
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let argument = |name: &str| {
        params
            .pointer("/arguments")
            .and_then(|all| all.get(name))
            .cloned()
    };
    let value = match name {
        "whoami" => whoami(caller),
        "add" => match (argument("a"), argument("b")) {
            (Some(a), Some(b)) => json!({ "sum": sum(&a, &b).ok_or("a and b must be numbers")? }),
            _ => return Err("a and b are required".to_owned()),
        },
        "list_notes" => json!({ "notes": state.service().notes }),
        "write_note" => {
            let text = argument("text");
            let text = text
                .as_ref()
                .and_then(Value::as_str)
                .ok_or("text is required")?;
            let mut service = state.service();
            service.notes.push(text.to_owned());
            json!({ "count": service.notes.len() })
        }
        _ => return Err(format!("unknown tool {name}")),
    };
    Ok(json!({
        "content": [{ "type": "text", "text": value.to_string() }],
        "structuredContent": value,
        "isError": false
    }))
}

fn whoami(caller: &Caller) -> Value {
    match caller {
        Some(access) => json!({ "client_id": access.client_id, "scopes": access.scopes }),
        None => json!({ "client_id": null, "scopes": [] }),
    }
}

/// Adds two numbers; the sum of two integers is an integer.
fn sum(a: &Value, b: &Value) -> Option<Value> {
    if let (Some(a), Some(b)) = (a.as_i64(), b.as_i64()) {
        return a.checked_add(b).map(Value::from);
    }
    Some(Value::from(a.as_f64()? + b.as_f64()?))
}
