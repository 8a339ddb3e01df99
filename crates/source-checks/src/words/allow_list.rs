//! The exceptions from the table, each with its reason.

use serde::Deserialize;

/// A text that may contain a word of the table, with the reason.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Allowed {
    /// The text, of which the word is a part.
    pub text: String,
    /// The beginning of the paths where it is allowed; empty for everywhere.
    #[serde(default)]
    pub path: String,
    /// The reason.
    pub reason: String,
}

/// Reads `words-allowed.toml`.
fn entries() -> Vec<Allowed> {
    #[derive(Deserialize)]
    struct List {
        allow: Vec<Allowed>,
    }
    let text = include_str!("../../words-allowed.toml");
    let list: List = toml::from_str(text).expect("the list of allowed words is TOML");
    list.allow
}

/// The entries of the list, each with whether it was used.
#[derive(Debug)]
pub struct AllowList {
    entries: Vec<(Allowed, bool)>,
}

impl AllowList {
    /// Reads the list of this repository. No entry is used yet.
    pub fn read() -> Self {
        let entries = entries().into_iter();
        Self {
            entries: entries.map(|entry| (entry, false)).collect(),
        }
    }

    /// Returns `text` without the parts that are allowed in the file `path`, and marks their entries as used.
    pub(super) fn strip(&mut self, path: &str, text: &str) -> String {
        let mut left = text.to_owned();
        for (entry, is_used) in &mut self.entries {
            if path.starts_with(entry.path.as_str()) && left.contains(entry.text.as_str()) {
                left = left.replace(entry.text.as_str(), " ");
                *is_used |= !entry.text.is_empty();
            }
        }
        left
    }

    /// Returns the entries that were not used.
    pub fn unused(&self) -> Vec<&Allowed> {
        self.entries
            .iter()
            .filter(|(_, is_used)| !is_used)
            .map(|(entry, _)| entry)
            .collect()
    }
}
