//! The tools: `whoami`, `add`, `list_notes`, `write_note`.

use axum::response::Response;
use serde_json::{Value, json};

use super::caller::Caller;
use super::challenge;
use crate::faults::Fault;
use crate::state::TestbedState;

/// Returns the list of tools, as `tools/list` has it.
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

/// Returns whether the caller may do what a message asks: tool calls may need a scope.
pub(super) fn check_scope(
    world: &TestbedState,
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
    check_tool(world, caller, tool)
}

/// Returns whether the caller's token has the scope that a tool needs.
pub(super) fn check_tool(
    world: &TestbedState,
    caller: &Caller,
    tool: &str,
) -> Result<(), Box<Response>> {
    let Some(access) = caller else { return Ok(()) };
    let never = world.faults().find(|fault| match fault {
        Fault::NeverEnoughScope(scope) => Some(scope.clone()),
        _ => None,
    });
    let missing = never.or_else(|| {
        world
            .required_scope(tool)
            .filter(|scope| !access.scopes.contains(scope))
    });
    match missing {
        Some(scope) => Err(Box::new(challenge::insufficient(world, caller, &scope))),
        None => Ok(()),
    }
}

/// Returns the result of a tool, or why there is none (for JSON-RPC −32602).
pub(super) fn call(world: &TestbedState, caller: &Caller, params: &Value) -> Result<Value, String> {
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
        "list_notes" => json!({ "notes": world.service().notes }),
        "write_note" => {
            let text = argument("text");
            let text = text
                .as_ref()
                .and_then(Value::as_str)
                .ok_or("text is required")?;
            let mut service = world.service();
            service.notes.push(text.to_owned());
            json!({ "count": service.notes.len() })
        }
        _ => return Err(format!("there is no tool {name}")),
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

/// Whole numbers stay whole.
fn sum(a: &Value, b: &Value) -> Option<Value> {
    if let (Some(a), Some(b)) = (a.as_i64(), b.as_i64()) {
        return a.checked_add(b).map(Value::from);
    }
    Some(Value::from(a.as_f64()? + b.as_f64()?))
}
