//! Changes one entry of a configuration text, and leaves everything else unchanged.

use serde_json::{Map, Value};

mod edit;
mod json;
mod line_ends;
mod toml;
mod yaml;

pub(crate) use edit::{EditError, Slot};

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
        let after = changed(text, |document| match self {
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
        self.checked(after, &expected)
    }

    /// Returns the text without this entry.
    pub(crate) fn remove(self, text: &str, slot: Slot<'_>) -> Result<String, EditError> {
        let after = changed(text, |document| match self {
            Self::Json => json::remove(document, slot),
            Self::Toml => toml::remove(document, slot),
            Self::Yaml => yaml::remove(document, slot),
        })?;
        let mut expected = self.parse(without_mark(text))?;
        if let Some(servers) = expected.get_mut(slot.member).and_then(Value::as_object_mut) {
            servers.remove(slot.name);
        }
        self.checked(after, &expected)
    }

    fn checked(self, text: String, expected: &Value) -> Result<String, EditError> {
        let mut after = self.parse(without_mark(&text))?;
        let mut expected = expected.clone();
        // An empty TOML table is not written.
        for value in [&mut after, &mut expected] {
            if let (Self::Toml, Some(all)) = (self, value.as_object_mut()) {
                all.retain(|_, value| value.as_object().is_none_or(|members| !members.is_empty()));
            }
        }
        if after == expected {
            Ok(text)
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

/// Changes a text without its byte order mark, and keeps the mark.
fn changed(
    text: &str,
    change: impl FnOnce(&str) -> Result<String, EditError>,
) -> Result<String, EditError> {
    let document = without_mark(text);
    let mark = &text[..text.len() - document.len()];
    Ok(format!("{mark}{}", change(document)?))
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
