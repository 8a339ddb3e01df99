//! Changes one entry of a configuration text, and leaves everything else unchanged.

use std::fmt;

use serde_json::{Map, Value};

mod json;
mod line_ends;
mod toml;
mod yaml;

/// The mark that some editors put before the text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The format of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    /// JSON with comments and trailing commas.
    Json,
    /// TOML.
    Toml,
    /// YAML.
    Yaml,
}

/// The place of an entry: `{member: {name: entry}}`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot<'a> {
    pub(crate) member: &'a str,
    pub(crate) name: &'a str,
}

/// The reason why a text cannot be read or changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct EditError(String);

impl EditError {
    fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }

    /// Returns the error of a syntax error at a position, from 1.
    fn at(reason: impl fmt::Display, line: usize, column: usize) -> Self {
        Self(format!("{reason} on line {line} column {column}"))
    }

    fn not_object(what: impl fmt::Display) -> Self {
        Self(format!("{what} is not an object"))
    }
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for EditError {}

impl Format {
    /// Returns the entry, if there is one.
    pub(crate) fn find(self, text: &str, slot: Slot<'_>) -> Result<Option<Value>, EditError> {
        let document = self.parse(without_mark(text))?;
        let Some(servers) = servers(&document, slot)? else {
            return Ok(None);
        };
        Ok(servers.get(slot.name).cloned())
    }

    /// Returns the text with this entry. What the text says besides is the same afterwards; that is checked,
    /// whatever the layout of the text is.
    pub(crate) fn set(
        self,
        text: &str,
        slot: Slot<'_>,
        entry: &Value,
    ) -> Result<String, EditError> {
        let changed = self.change(text, |document| match self {
            Self::Json => json::set(document, slot, entry),
            Self::Toml => toml::set(document, slot, entry),
            Self::Yaml => yaml::set(document, slot, entry),
        })?;
        let mut expected = self.parse(without_mark(text))?;
        let servers = expected
            .as_object_mut()
            .ok_or_else(|| EditError::not_object("its value"))?
            .entry(slot.member)
            .or_insert_with(|| Value::Object(Map::new()));
        if servers.is_null() {
            *servers = Value::Object(Map::new());
        }
        if let Some(servers) = servers.as_object_mut() {
            servers.insert(slot.name.to_owned(), entry.clone());
        }
        self.checked(changed, &expected)
    }

    /// Returns the text without this entry.
    pub(crate) fn remove(self, text: &str, slot: Slot<'_>) -> Result<String, EditError> {
        let changed = self.change(text, |document| match self {
            Self::Json => json::remove(document, slot),
            Self::Toml => toml::remove(document, slot),
            Self::Yaml => yaml::remove(document, slot),
        })?;
        let mut expected = self.parse(without_mark(text))?;
        if let Some(servers) = expected.get_mut(slot.member).and_then(Value::as_object_mut) {
            servers.remove(slot.name);
        }
        self.checked(changed, &expected)
    }

    fn change(
        self,
        text: &str,
        change: impl FnOnce(&str) -> Result<String, EditError>,
    ) -> Result<String, EditError> {
        let document = without_mark(text);
        let mark = &text[..text.len() - document.len()];
        Ok(format!("{mark}{}", change(document)?))
    }

    fn checked(self, changed: String, expected: &Value) -> Result<String, EditError> {
        let mut after = self.parse(without_mark(&changed))?;
        let mut expected = expected.clone();
        // An empty TOML table is not written.
        for value in [&mut after, &mut expected] {
            if let (Self::Toml, Some(all)) = (self, value.as_object_mut()) {
                all.retain(|_, value| value.as_object().is_none_or(|members| !members.is_empty()));
            }
        }
        if after == expected {
            Ok(changed)
        } else {
            Err(EditError::new("its layout is not supported"))
        }
    }

    fn parse(self, document: &str) -> Result<Value, EditError> {
        match self {
            Self::Json => json::parse(document),
            Self::Toml => toml::parse(document),
            Self::Yaml => yaml::parse(document),
        }
    }
}

/// The order of the keys of a new entry, as in the documentation of the applications.
const ORDER: [&str; 9] = [
    "enabled",
    "type",
    "source",
    "name",
    "description",
    "url",
    "command",
    "cmd",
    "args",
];

/// Returns the members in the order in which they are written: the known ones, then the others by name.
fn ordered(members: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut all: Vec<_> = members.iter().collect();
    let rank = |name: &str| ORDER.iter().position(|known| *known == name);
    all.sort_by_key(|(name, _)| rank(name).unwrap_or(ORDER.len()));
    all
}

fn without_mark(text: &str) -> &str {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

/// Returns the object that has the entries; none if there is none yet.
fn servers<'a>(
    document: &'a Value,
    slot: Slot<'_>,
) -> Result<Option<&'a Map<String, Value>>, EditError> {
    let all = document
        .as_object()
        .ok_or_else(|| EditError::not_object("its value"))?;
    match all.get(slot.member) {
        None => Ok(None),
        Some(Value::Object(servers)) => Ok(Some(servers)),
        Some(_) => Err(EditError::not_object(format!("its `{}`", slot.member))),
    }
}

#[cfg(test)]
mod tests;
