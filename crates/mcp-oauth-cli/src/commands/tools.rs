//! `tools`: connects as an MCP client, and lists the tools.

use mcp_client_oauth::error::UntrustedText;
use rmcp::model::Tool;
use serde_json::{Value, json};

use crate::{
    args::Connect,
    context::Context,
    error::{Exit, Failure},
    mcp_connection::{Connection, within},
    ui::table,
};

pub(super) async fn run(context: &Context, typed: &Connect) -> Result<Exit, Failure> {
    let target = context.target_at(&typed.target, typed.url.as_deref())?;
    let session = context.session(&target).await?;
    let spinner = context.ui.spinner("listing the tools");
    let outcome = within(&context.platform, typed.timeout, async {
        let connection = Connection::open(session, &context.network).await?;
        let tools = connection.tools().await?;
        Ok((connection, tools))
    });
    let outcome = outcome.await;
    drop(spinner);
    let (connection, tools) = outcome?;
    connection.close().await;
    let document = json!({
        "server": target.key.server().as_str(),
        "tools": tools.iter().map(document).collect::<Vec<_>>(),
    });
    context.ui.result(&document, || text(&tools));
    Ok(Exit::Done)
}

/// Returns a tool as JSON. Control characters are escaped where the document is written, so a program gets
/// the text of the server unchanged.
fn document(tool: &Tool) -> Value {
    json!({
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "input_schema": tool.input_schema,
    })
}

/// Returns the tools as a table. Names and descriptions come from the server, so they are escaped (CWE-150).
fn text(tools: &[Tool]) -> String {
    if tools.is_empty() {
        return "the server has no tools".to_owned();
    }
    let heading = ["TOOL", "ARGUMENTS", "DESCRIPTION"]
        .map(str::to_owned)
        .to_vec();
    let rows = tools.iter().map(|tool| {
        let description = tool.description.as_deref().unwrap_or_default();
        let first_line = description.lines().next().unwrap_or_default();
        vec![shown(&tool.name), arguments(tool), shown(first_line)]
    });
    table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>())
}

/// Returns the names of the arguments; `[name]` is optional.
fn arguments(tool: &Tool) -> String {
    let schema = &tool.input_schema;
    let required: Vec<&str> = match schema.get("required").and_then(Value::as_array) {
        Some(names) => names.iter().filter_map(Value::as_str).collect(),
        None => Vec::new(),
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    let names = properties
        .into_iter()
        .flat_map(serde_json::Map::keys)
        .map(|name| {
            let shown = shown(name);
            if required.contains(&name.as_str()) {
                shown
            } else {
                format!("[{shown}]")
            }
        });
    names.collect::<Vec<_>>().join(" ")
}

fn shown(text: &str) -> String {
    UntrustedText::new(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_in_a_tool_are_escaped() {
        let hostile = json!({
            "name": "a\u{1b}[2J",
            "description": "b\u{202e}\u{7}\r\nsecond line",
            "inputSchema": {
                "type": "object",
                "properties": { "c\u{9b}": {}, "d": {} },
                "required": ["d"],
            },
        });
        let tools = [serde_json::from_value(hostile).unwrap()];
        let text = anstream::adapter::strip_str(&text(&tools)).to_string();
        let row = text.lines().nth(1).unwrap();
        assert_eq!(row, "a\\u{1b}[2J  [c\\u{9b}] d  b\\u{202e}\\u{7}");
        assert_eq!(text.lines().count(), 2);
    }
}
