//! Writes an entry as lines of YAML.

use std::fmt::Write as _;

use serde_json::Value;

use super::{super::edit::ordered, tree::plain};

/// Words that YAML 1.1, which many programs still read, takes for other values than texts.
const RESERVED: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];

/// Returns the lines of `key: value`. An object with members has a line for each; every other value is on
/// the line of its key.
pub(super) fn lines(key: &str, value: &Value, column: usize) -> Vec<String> {
    let indent = " ".repeat(column);
    let key = text(key);
    match value {
        Value::Object(members) if !members.is_empty() => {
            let mut all = vec![format!("{indent}{key}:\n")];
            for (name, value) in ordered(members) {
                all.extend(lines(name, value, column + 2));
            }
            all
        }
        Value::String(value) => vec![format!("{indent}{key}: {}\n", text(value))],
        // JSON is YAML.
        other => vec![format!("{indent}{key}: {}\n", json(other))],
    }
}

/// Returns a text without quotes, if it is a text then too.
fn text(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let is_begin = |c: char| c.is_ascii_alphabetic() || c == '/';
    let is_reserved = RESERVED.contains(&text.to_ascii_lowercase().as_str());
    let is_text = plain(text).is_string();
    if text.starts_with(is_begin) && text.chars().all(is_plain) && is_text && !is_reserved {
        return text.to_owned();
    }
    json(&Value::from(text))
}

/// Returns JSON with blanks between items, and an escape for each character that YAML does not print.
fn json(value: &Value) -> String {
    let text = match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(json).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) => {
            let members = members.iter().map(|(key, value)| {
                format!("{}: {}", json(&Value::from(key.as_str())), json(value))
            });
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    };
    let is_odd = |c: char| c.is_control() || "\u{2028}\u{2029}\u{feff}\u{fffe}\u{ffff}".contains(c);
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_odd(c) {
            // Writing to a string does not fail.
            let _infallible = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}
