//! Changes a TOML text.

use serde_json::{Map, Value};
use similar::{ChangeTag, TextDiff};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike};

use super::{
    edit::{EditError, Slot, ordered},
    line_ends,
};

pub(super) fn parse(document: &str) -> Result<Value, EditError> {
    Ok(table_value(read(document)?.as_table()))
}

pub(super) fn set(document: &str, slot: Slot<'_>, entry: &Value) -> Result<String, EditError> {
    line_ends::kept(document, |text| {
        let mut document = read(text)?;
        let mut implicit = Table::new();
        implicit.set_implicit(true);
        let servers = document
            .entry(slot.member)
            .or_insert(Item::Table(implicit))
            .as_table_like_mut()
            .ok_or_else(|| EditError::new(format!("its {} is not a table", slot.member)))?;
        change(servers, slot.name, entry);
        Ok(document.to_string())
    })
}

pub(super) fn remove(document: &str, slot: Slot<'_>) -> Result<String, EditError> {
    line_ends::kept(document, |text| {
        let mut document = read(text)?;
        let servers = document.get_mut(slot.member);
        if let Some(servers) = servers.and_then(Item::as_table_like_mut) {
            servers.remove(slot.name);
        }
        Ok(with_comments(text, &document.to_string()))
    })
}

/// Returns `after` with the comments before a removed table: to the parser they are a part of it, but they
/// may be about the whole file.
fn with_comments(before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    let (mut text, mut removed) = (String::new(), Vec::new());
    for change in diff.iter_all_changes() {
        if change.tag() == ChangeTag::Delete {
            removed.push(change.value());
        } else {
            text.extend(comments(&removed));
            removed.clear();
            text.push_str(change.value());
        }
    }
    text.extend(comments(&removed));
    text
}

/// Returns the lines at the beginning that are comments, and the blank lines before these.
fn comments<'a>(lines: &'a [&str]) -> impl Iterator<Item = &'a str> {
    let is_comment = |line: &&&str| line.trim_start().starts_with('#');
    let is_outside = |line: &&&str| line.trim().is_empty() || is_comment(line);
    let outside = lines.iter().take_while(is_outside).count();
    let last = lines[..outside].iter().rposition(|line| is_comment(&line));
    lines[..last.map_or(0, |last| last + 1)].iter().copied()
}

fn read(text: &str) -> Result<DocumentMut, EditError> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        let start = error.span().unwrap_or_default().start;
        let before = text.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        EditError::at(error.message(), line, column)
    })
}

/// Changes what differs between the value of `key` and the new one.
fn change(table: &mut dyn TableLike, key: &str, new: &Value) {
    if table.get(key).is_some_and(|old| item_value(old) == *new) {
        return;
    }
    if let (Value::Object(members), Some(old)) = (new, table.get_mut(key))
        && let Some(old) = old.as_table_like_mut()
    {
        let names: Vec<String> = old.iter().map(|(name, _)| name.to_owned()).collect();
        for name in names {
            if !members.contains_key(&name) {
                old.remove(&name);
            }
        }
        for (name, value) in ordered(members) {
            change(old, name, value);
        }
        return;
    }
    match (table.get_mut(key).and_then(Item::as_value_mut), new) {
        // The comment after the value is kept.
        (Some(old), Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            let decor = old.decor().clone();
            *old = value(new);
            *old.decor_mut() = decor;
        }
        _ => drop(table.insert(key, item(new))),
    }
}

/// Returns a new item: an object is a table with its own header.
fn item(new: &Value) -> Item {
    let Value::Object(members) = new else {
        return Item::Value(value(new));
    };
    let mut table = Table::new();
    // The values come first: what follows a header belongs to its table.
    let (tables, values): (Vec<_>, Vec<_>) = ordered(members)
        .into_iter()
        .partition(|(_, value)| value.is_object());
    for (name, value) in values.into_iter().chain(tables) {
        table.insert(name, item(value));
    }
    Item::Table(table)
}

fn value(new: &Value) -> toml_edit::Value {
    match new {
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => number.as_f64().unwrap_or_default().into(),
        },
        Value::String(text) => text.into(),
        Value::Array(items) => items.iter().map(value).collect::<Array>().into(),
        Value::Object(members) => {
            let mut table = InlineTable::new();
            for (name, member) in members {
                table.insert(name, value(member));
            }
            table.into()
        }
        // TOML has no null, and no entry has one.
        Value::Null => "".into(),
    }
}

fn table_value(table: &dyn TableLike) -> Value {
    let members = table.iter().filter(|(_, item)| !item.is_none());
    let members: Map<String, Value> = members
        .map(|(name, item)| (name.to_owned(), item_value(item)))
        .collect();
    Value::Object(members)
}

fn item_value(item: &Item) -> Value {
    match item {
        Item::None => Value::Null,
        Item::Value(value) => json(value),
        Item::Table(table) => table_value(table),
        Item::ArrayOfTables(tables) => {
            Value::Array(tables.iter().map(|table| table_value(table)).collect())
        }
    }
}

/// Returns a TOML value as JSON, to compare it: what JSON does not have is an object with one odd key.
fn json(value: &toml_edit::Value) -> Value {
    let odd = |text: String| serde_json::json!({ "\u{0}": text });
    match value {
        toml_edit::Value::String(text) => text.value().as_str().into(),
        toml_edit::Value::Integer(number) => (*number.value()).into(),
        toml_edit::Value::Float(number) => serde_json::Number::from_f64(*number.value())
            .map_or_else(|| odd(number.value().to_string()), Value::Number),
        toml_edit::Value::Boolean(value) => (*value.value()).into(),
        toml_edit::Value::Datetime(time) => odd(time.value().to_string()),
        toml_edit::Value::Array(items) => Value::Array(items.iter().map(json).collect()),
        toml_edit::Value::InlineTable(table) => table_value(table),
    }
}
