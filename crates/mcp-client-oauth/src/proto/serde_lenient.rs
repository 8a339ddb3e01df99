//! Lenient deserialization of optional JSON members: one of the wrong type counts as absent, while the
//! required members stay strict (RFC 8414 §2, RFC 9728 §2).

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::value::RawValue;

/// The number of entries of a list that are read (docs/hostile.md H127).
const LIST_LIMIT: usize = 1024;

/// Returns the value, or none if it is missing, `null` or of another type. A value that no type can
/// hold, such as `1e400` or half a surrogate pair, makes only its own member absent.
pub(super) fn optional<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    Ok(read(&Box::<RawValue>::deserialize(deserializer)?))
}

/// Returns the strings of a list; none if it is no list. Entries that are no strings are skipped.
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

/// Returns the strings of a list as [`strings`] does, without a limit, for a caller that counts the ones that
/// it leaves out. The size of the document is limited.
pub(super) fn all_strings<'de, D>(deserializer: D) -> Result<Option<Vec<String>>, D::Error>
where
    D: Deserializer<'de>,
{
    let entries: Option<Vec<Box<RawValue>>> = optional(deserializer)?;
    let texts =
        |entries: Vec<Box<RawValue>>| entries.iter().filter_map(|entry| read(entry)).collect();
    Ok(entries.map(texts))
}

/// Returns `true` only if the member is present and is `true`.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(optional(deserializer)? == Some(true))
}

fn read<T: DeserializeOwned>(value: &RawValue) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

/// Returns the reason why a JSON text is invalid, without quoting the text, which may hold a secret.
pub(super) fn shape(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Data => "a member is missing or of the wrong type",
        serde_json::error::Category::Eof => "it is cut short",
        _ => "it is not JSON",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}
