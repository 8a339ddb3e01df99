//! Changes a JSON text with comments.

use jsonc_parser::{
    ParseOptions,
    cst::{CstInputValue, CstObject, CstObjectProp, CstRootNode},
};
use serde_json::{Map, Value};

use super::edit::{EditError, Slot, ordered};

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

pub(super) fn parse(document: &str) -> Result<Value, EditError> {
    let root = root(document)?;
    if root.value().is_none() {
        return Ok(Value::Object(Map::new()));
    }
    root.to_serde_value()
        .ok_or_else(|| EditError::new("it has a number that cannot be read"))
}

pub(super) fn set(document: &str, slot: Slot<'_>, entry: &Value) -> Result<String, EditError> {
    let root = root(document)?;
    let is_new = root.value().is_none();
    let whole = root
        .object_value_or_create()
        .ok_or_else(|| EditError::not_object("its value"))?;
    let servers = match find(&whole, slot.member) {
        Some(found) => found.object_value(),
        None => whole
            .append(slot.member, CstInputValue::Object(Vec::new()))
            .object_value(),
    };
    let not_object = || EditError::not_object(format!("its `{}`", slot.member));
    let servers = servers.ok_or_else(not_object)?;
    match (find(&servers, slot.name), entry) {
        (Some(found), Value::Object(members)) => change(&found.object_value_or_set(), members),
        (Some(found), other) => found.set_value(input(other)),
        (None, _) => drop(servers.append(slot.name, input(entry))),
    }
    let text = root.to_string();
    Ok(if is_new && !text.ends_with('\n') {
        text + "\n"
    } else {
        text
    })
}

pub(super) fn remove(document: &str, slot: Slot<'_>) -> Result<String, EditError> {
    let root = root(document)?;
    let whole = root.object_value();
    let servers = whole
        .and_then(|whole| find(&whole, slot.member))
        .and_then(|found| found.object_value());
    if let Some(servers) = servers {
        while let Some(found) = find(&servers, slot.name) {
            found.remove();
        }
    }
    Ok(root.to_string())
}

fn root(document: &str) -> Result<CstRootNode, EditError> {
    CstRootNode::parse(document, &FORMAT)
        .map_err(|error| EditError::new(format!("it is not valid JSON with comments ({error})")))
}

/// Changes what differs between the object and `members`.
fn change(object: &CstObject, members: &Map<String, Value>) {
    for found in object.properties() {
        let name = found.decoded_name();
        if name.is_none_or(|name| !members.contains_key(&name)) {
            found.remove();
        }
    }
    for (name, value) in ordered(members) {
        match (find(object, name), value) {
            (Some(found), _) if found.to_serde_value().as_ref() == Some(value) => {}
            (Some(found), Value::Object(members)) => change(&found.object_value_or_set(), members),
            (Some(found), _) => found.set_value(input(value)),
            (None, _) => drop(object.append(name, input(value))),
        }
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
            let members = ordered(members);
            CstInputValue::Object(
                members
                    .into_iter()
                    .map(|(name, value)| (name.clone(), input(value)))
                    .collect(),
            )
        }
    }
}

#[cfg(test)]
mod tests;
