//! The calls of a client for the conformance suite.

use std::error::Error as StdError;

use rmcp::{
    model::{CallToolRequestParams, JsonObject, ProtocolVersion, Tool},
    service::ClientLifecycleMode,
};
use serde_json::{Value, json};

/// The number of tools that are called.
pub(crate) const TOOLS: usize = 4;

pub(crate) type Failure = Box<dyn StdError + Send + Sync>;

/// Returns a call with a value of the right type for each required argument of the tool.
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

/// Returns how a connection starts at this revision of the specification. Revisions are dates, so they can
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
