//! What a client for the conformance suite does with a server: it lists the tools, and calls them.

use std::error::Error as StdError;

use rmcp::{
    model::{CallToolRequestParams, JsonObject, ProtocolVersion, Tool},
    service::ClientLifecycleMode,
};
use serde_json::{Value, json};

/// How many of the tools are called.
pub(crate) const TOOLS: usize = 4;

pub(crate) type Failure = Box<dyn StdError + Send + Sync>;

/// A call with something of the right type for everything that the tool requires.
pub(crate) fn call(tool: &Tool) -> CallToolRequestParams {
    let required = tool.input_schema.get("required").and_then(Value::as_array);
    let names = required.into_iter().flatten().filter_map(Value::as_str);
    let argument = |name: &str| {
        let schema = &tool.input_schema["properties"][name];
        (name.to_owned(), example(schema))
    };
    let arguments: JsonObject = names.map(argument).collect();
    CallToolRequestParams::new(tool.name.clone()).with_arguments(arguments)
}

fn example(schema: &Value) -> Value {
    match schema["type"].as_str() {
        Some("number" | "integer") => json!(2),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("object") => json!({}),
        _ => json!("example"),
    }
}

/// How a conversation begins at this revision of the specification. Revisions are dates, so they can
/// be compared.
pub(crate) fn lifecycle(revision: &str) -> ClientLifecycleMode {
    let first_without_sessions = ProtocolVersion::V_2026_07_28;
    if revision < first_without_sessions.as_str() {
        return ClientLifecycleMode::Initialize;
    }
    ClientLifecycleMode::Discover {
        preferred_versions: vec![first_without_sessions],
    }
}
