//! Changes a JSON text with comments in place, and leaves everything else unchanged.

use jsonc_parser::{
    ParseOptions,
    cst::{CstInputValue, CstObject, CstObjectProp, CstRootNode},
};
use serde_json::Value;

use super::network_keys::NETWORK_KEYS;

/// The mark that some editors put before the text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// JSON with comments and trailing commas, as VS Code and Zed read it, and nothing looser.
const FORMAT: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Returns `text` with `{member: {name: entry}}` in it. An existing entry keeps its other keys, except those
/// of a remote server.
pub(super) fn with_member(
    text: &str,
    member: &str,
    name: &str,
    entry: &Value,
) -> Result<String, String> {
    let document = text.trim_start_matches(BYTE_ORDER_MARK);
    let mark = &text[..text.len() - document.len()];
    let root = CstRootNode::parse(document, &FORMAT)
        .map_err(|error| format!("it is not valid JSON with comments ({error})"))?;
    let not_object = |what: &str| format!("{what} is not an object");
    let whole = root
        .object_value_or_create()
        .ok_or_else(|| not_object("its value"))?;
    let servers = match find(&whole, member) {
        Some(found) => found.object_value(),
        None => whole
            .append(member, CstInputValue::Object(Vec::new()))
            .object_value(),
    };
    let servers = servers.ok_or_else(|| not_object(&format!("its `{member}`")))?;
    match find(&servers, name) {
        Some(found) => change(&found.object_value_or_set(), entry),
        None => drop(servers.append(name, input(entry))),
    }
    Ok(format!("{mark}{root}"))
}

/// Changes the existing entry to `entry`. Other variables are kept.
fn change(server: &CstObject, entry: &Value) {
    for key in NETWORK_KEYS {
        while let Some(found) = find(server, key) {
            found.remove();
        }
    }
    for (key, value) in entry.as_object().into_iter().flatten() {
        match (find(server, key), value) {
            (Some(found), Value::Object(variables)) => {
                let there = found.object_value_or_set();
                for (name, value) in variables {
                    set(&there, name, value);
                }
            }
            _ => set(server, key, value),
        }
    }
}

fn set(object: &CstObject, name: &str, value: &Value) {
    match find(object, name) {
        Some(found) if found.to_serde_value().as_ref() == Some(value) => {}
        Some(found) => found.set_value(input(value)),
        None => drop(object.append(name, input(value))),
    }
}

/// Finds the member of this name. If there are several, the last one counts, as in the applications.
fn find(object: &CstObject, name: &str) -> Option<CstObjectProp> {
    let mut members = object.properties().into_iter().rev();
    members.find(|member| member.decoded_name().as_deref() == Some(name))
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(value) => CstInputValue::Bool(*value),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(items) => CstInputValue::Array(items.iter().map(input).collect()),
        Value::Object(members) => {
            let members = members.iter();
            CstInputValue::Object(
                members
                    .map(|(name, value)| (name.clone(), input(value)))
                    .collect(),
            )
        }
    }
}

#[cfg(test)]
mod tests;
