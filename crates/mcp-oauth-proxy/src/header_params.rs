//! Tool arguments that MCP 2026-07-28 repeats in headers (SEP-2243): a tool requests it by `x-mcp-header`
//! in its input schema, and the client repeats the argument in `Mcp-Param-…`.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use mcp_oauth_support::mutex::lock;
use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;

const ANNOTATION: &str = "x-mcp-header";
/// The maximum depth of an annotation in a schema. Real schemas are less deep.
const DEPTH: usize = 16;

/// The annotated arguments of the tools that have been listed.
#[derive(Debug, Default)]
pub(crate) struct HeaderParams(Mutex<HashMap<String, Vec<Parameter>>>);

/// An argument, with its path in the arguments, and its header.
#[derive(Debug, Eq, PartialEq)]
struct Parameter {
    path: Vec<String>,
    header: HeaderName,
}

#[derive(Deserialize)]
struct Listed {
    result: Tools,
}

#[derive(Deserialize)]
struct Tools {
    tools: Vec<Tool>,
}

#[derive(Deserialize)]
struct Tool {
    name: String,
    #[serde(rename = "inputSchema", default)]
    schema: Value,
}

#[derive(Deserialize)]
struct Called {
    params: Call,
}

#[derive(Deserialize)]
struct Call {
    name: String,
    #[serde(default)]
    arguments: Value,
}

impl HeaderParams {
    /// Reads the annotations of a response that lists tools. Other responses are not parsed.
    pub(crate) fn learn(&self, response: &[u8]) {
        let is_annotated = memmem::find(response, ANNOTATION.as_bytes()).is_some();
        let may_end = || memmem::find(response, b"\"tools\"").is_some() && !self.tools().is_empty();
        if !(is_annotated || may_end()) {
            return;
        }
        let Ok(listed) = serde_json::from_slice::<Listed>(response) else {
            return;
        };
        for tool in listed.result.tools {
            let mut found = Vec::new();
            annotations(&tool.schema, &mut Vec::new(), &mut found);
            if found.is_empty() {
                self.tools().remove(&tool.name);
            } else {
                self.tools().insert(tool.name, found);
            }
        }
    }

    /// Adds the headers of a `tools/call`.
    pub(crate) fn add_to(&self, headers: &mut HeaderMap, call: &Bytes) {
        let tools = self.tools();
        if tools.is_empty() {
            return;
        }
        let Ok(Called { params }) = serde_json::from_slice(call) else {
            return;
        };
        for parameter in tools.get(&params.name).into_iter().flatten() {
            let mut path = parameter.path.iter();
            let argument = path.try_fold(&params.arguments, |value, name| value.get(name));
            let text = argument.and_then(text_of).map(|text| header_text(&text));
            if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
                headers.insert(parameter.header.clone(), value);
            }
        }
    }

    fn tools(&self) -> MutexGuard<'_, HashMap<String, Vec<Parameter>>> {
        lock(&self.0)
    }
}

/// Collects every annotation that is reached through `properties` only.
fn annotations(schema: &Value, path: &mut Vec<String>, found: &mut Vec<Parameter>) {
    let properties = schema.get("properties").and_then(Value::as_object);
    if path.len() >= DEPTH {
        return;
    }
    for (name, schema) in properties.into_iter().flatten() {
        path.push(name.clone());
        let header = schema.get(ANNOTATION).and_then(Value::as_str);
        let header = header.filter(|header| !header.is_empty());
        let header = header.map(|header| format!("mcp-param-{header}").to_ascii_lowercase());
        if let Some(header) = header.and_then(|header| HeaderName::try_from(header).ok()) {
            let path = path.clone();
            found.push(Parameter { path, header });
        }
        annotations(schema, path, found);
        path.pop();
    }
}

/// Returns a string, a number or a boolean as header text; other values have no header.
fn text_of(argument: &Value) -> Option<String> {
    match argument {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(argument.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Returns the header value for a text: unchanged if a header can carry it, otherwise in base64 (SEP-2243).
pub(crate) fn header_text(text: &str) -> String {
    let is_visible = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let is_plain = is_visible && text.trim() == text && !text.starts_with("=?base64?");
    if is_plain {
        text.to_owned()
    } else {
        format!("=?base64?{}?=", BASE64_STANDARD.encode(text))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn headers(parameters: &HeaderParams, name: &str, arguments: &Value) -> Vec<(String, String)> {
        let call = json!({ "params": { "name": name, "arguments": arguments } }).to_string();
        let mut headers = HeaderMap::new();
        parameters.add_to(&mut headers, &Bytes::from(call));
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect()
    }

    #[test]
    fn an_annotated_argument_is_sent_in_its_header() {
        let schema = json!({ "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "deep": { "properties": { "n": { "x-mcp-header": "N" } } },
            "list": { "items": { "x-mcp-header": "Not" } },
            "bad": { "x-mcp-header": "no name" }
        } });
        let list = json!({ "result": { "tools": [{ "name": "t", "inputSchema": schema }] } });
        let parameters = HeaderParams::default();
        parameters.learn(list.to_string().as_bytes());
        let arguments = json!({ "region": "grün", "deep": { "n": 7 }, "list": ["x"], "bad": "x" });
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = [
            pair("mcp-param-n", "7"),
            pair("mcp-param-region", "=?base64?Z3LDvG4=?="),
        ];
        let mut found = headers(&parameters, "t", &arguments);
        found.sort();
        assert_eq!(found, expected);
        assert!(headers(&parameters, "t", &json!({ "region": null })).is_empty());
        assert!(headers(&parameters, "other", &arguments).is_empty());
    }

    #[test]
    fn an_annotation_that_is_removed_adds_no_header() {
        let schema = json!({ "properties": { "a": { "x-mcp-header": "A" } } });
        let with = json!({ "result": { "tools": [{ "name": "t", "inputSchema": schema }] } });
        let without = json!({ "result": { "tools": [{ "name": "t" }] } });
        let parameters = HeaderParams::default();
        parameters.learn(with.to_string().as_bytes());
        assert_eq!(headers(&parameters, "t", &json!({ "a": 1 })).len(), 1);
        parameters.learn(without.to_string().as_bytes());
        assert!(headers(&parameters, "t", &json!({ "a": 1 })).is_empty());
    }

    #[test]
    fn a_name_is_sent_in_a_header_unchanged_or_in_base64() {
        assert_eq!(header_text("add"), "add");
        assert_eq!(header_text("file:///a b"), "file:///a b");
        assert_eq!(header_text("grün"), "=?base64?Z3LDvG4=?=");
        assert_eq!(header_text(" x"), "=?base64?IHg=?=");
        assert!(header_text("=?base64?x").starts_with("=?base64?PT9"));
    }
}
