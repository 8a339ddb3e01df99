//! What the editors of all formats share: the entry that is changed, the reasons why it cannot be, and the
//! order of its keys.

use std::fmt;

use serde_json::{Map, Value};

/// The location of an entry: `{member: {name: entry}}`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot<'a> {
    pub(crate) member: &'a str,
    pub(crate) name: &'a str,
}

/// The reason why a text cannot be read or changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct EditError(String);

impl EditError {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }

    /// Returns the error of a syntax error at a position, from 1.
    pub(super) fn at(reason: impl fmt::Display, line: usize, column: usize) -> Self {
        Self(format!("{reason} on line {line} column {column}"))
    }

    pub(super) fn not_object(what: impl fmt::Display) -> Self {
        Self(format!("{what} is not an object"))
    }
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for EditError {}

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
pub(super) fn ordered(members: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut all: Vec<_> = members.iter().collect();
    let rank = |name: &str| ORDER.iter().position(|known| *known == name);
    all.sort_by_key(|(name, _)| rank(name).unwrap_or(ORDER.len()));
    all
}
