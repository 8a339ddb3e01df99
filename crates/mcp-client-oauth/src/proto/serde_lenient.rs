//! Reading of JSON members that may be malformed without harm: a sloppy optional member is as good
//! as none (H19), while the members that matter stay strict.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::value::RawValue;

/// Says how many entries of a list are read (H127).
const LIST_LIMIT: usize = 1024;

/// Returns the value, or none if it is missing, `null` or of another shape. What cannot even be a value,
/// such as `1e400` or half a letter, spoils its own member alone.
pub(super) fn optional<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    Ok(read(&Box::<RawValue>::deserialize(deserializer)?))
}

/// Returns the strings of a list; none if it is no list. Entries that are no strings are passed over.
pub(super) fn strings<'de, D>(deserializer: D) -> Result<Option<Vec<String>>, D::Error>
where
    D: Deserializer<'de>,
{
    let texts = all_strings(deserializer)?;
    Ok(texts.map(|mut texts: Vec<String>| {
        texts.truncate(LIST_LIMIT);
        texts
    }))
}

/// Returns the same without a limit of its own (a document has one), for a list of which the reader has to
/// know what it leaves out.
pub(super) fn all_strings<'de, D>(deserializer: D) -> Result<Option<Vec<String>>, D::Error>
where
    D: Deserializer<'de>,
{
    let entries: Option<Vec<Box<RawValue>>> = optional(deserializer)?;
    let texts =
        |entries: Vec<Box<RawValue>>| entries.iter().filter_map(|entry| read(entry)).collect();
    Ok(entries.map(texts))
}

/// `true` only if it is there and is `true`.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(optional(deserializer)? == Some(true))
}

fn read<T: DeserializeOwned>(value: &RawValue) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

/// Returns what is wrong with a JSON text, without quoting any of it: it may hold a secret.
pub(super) fn shape(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Data => "a member is missing or of the wrong type",
        serde_json::error::Category::Eof => "it is cut short",
        _ => "it is not JSON",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}
