//! The tool `log_in`, which a client sees while the tools of the server are unknown.

use bytes::Bytes;
use serde_json::{Value, json, value::RawValue};
use url::Url;

use crate::jsonrpc::{Message, success_response};

/// The name of the tool.
pub(crate) const LOG_IN: &str = "log_in";

/// The tools that the client has listed last.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum ListedTools {
    #[default]
    None,
    /// The tool `log_in` alone.
    LogIn,
    /// Those of the server.
    Server,
}

/// Builds the entry of the tool in a list.
pub(crate) fn description(server: &Url) -> Value {
    let text = format!(
        "Logs the user in to {server}: opens the login in the browser of the user, and waits for it. The \
         tools of the server are listed after the login."
    );
    json!({
        "name": LOG_IN,
        "title": "Log in",
        "description": text,
        "inputSchema": { "type": "object", "properties": {}, "additionalProperties": false },
        // It changes nothing at the server, and a second login does no harm.
        "annotations": { "destructiveHint": false, "idempotentHint": true, "openWorldHint": true },
    })
}

/// Builds the result of a call of the tool after the login.
pub(crate) fn result(call: &Message, raw_id: &RawValue, text: &str) -> Bytes {
    let content = json!([{ "type": "text", "text": text }]);
    let mut result = json!({ "content": content, "isError": false });
    if call.routing.is_some() {
        result["resultType"] = json!("complete");
    }
    success_response(raw_id, &result)
}
