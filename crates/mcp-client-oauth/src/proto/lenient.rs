//! Reading of JSON members that may be malformed without harm: a sloppy optional member is as good
//! as none (H19), while the members that matter stay strict.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

/// How many entries of a list are read (H127).
const LIST_LIMIT: usize = 64;

/// The value, or none if it is missing, `null` or of another shape.
pub(super) fn optional<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    Ok(T::deserialize(Value::deserialize(deserializer)?).ok())
}

/// The strings of a list; none if it is no list. Entries that are no strings are passed over.
pub(super) fn strings<'de, D>(deserializer: D) -> Result<Option<Vec<String>>, D::Error>
where
    D: Deserializer<'de>,
{
    let Value::Array(entries) = Value::deserialize(deserializer)? else {
        return Ok(None);
    };
    let text = |entry: Value| match entry {
        Value::String(text) => Some(text),
        _ => None,
    };
    Ok(Some(
        entries
            .into_iter()
            .filter_map(text)
            .take(LIST_LIMIT)
            .collect(),
    ))
}

/// `true` only if it is there and is `true`.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Value::deserialize(deserializer)? == Value::Bool(true))
}

/// What is wrong with a JSON text, without quoting any of it: it may hold a secret.
pub(super) fn shape(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Data => "a member is missing or of the wrong type",
        serde_json::error::Category::Eof => "it is cut short",
        _ => "it is not JSON",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}
