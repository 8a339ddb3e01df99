//! Changes a YAML text by whole lines: the parser says where an entry is, and everything outside of these
//! lines stays as it is. A text in another layout than one entry per line is refused.

use serde_json::{Map, Value};

use self::tree::{Node, NodeKind};
use super::{
    edit::{EditError, Slot},
    line_ends,
};

mod render;
mod tree;

pub(super) fn parse(document: &str) -> Result<Value, EditError> {
    match tree::read(document)? {
        Some(root) => Ok(root.value()),
        None => Ok(Value::Object(Map::new())),
    }
}

pub(super) fn set(document: &str, slot: Slot<'_>, entry: &Value) -> Result<String, EditError> {
    line_ends::kept(document, |text| {
        let mut lines = lines(text);
        let root = tree::read(text)?;
        let root = root.as_ref().map(members).transpose()?;
        let member = root.and_then(|root| find(root, slot.member));
        let Some((key, value)) = member else {
            if lines.iter().any(|line| line.trim_end() == "...") {
                return Err(EditError::new("it has a line that ends its document"));
            }
            let column = root.and_then(<[_]>::first).map_or(0, |(key, _)| key.column);
            let new = Value::Object(Map::from_iter([(slot.name.to_owned(), entry.clone())]));
            lines.extend(render::lines(slot.member, &new, column));
            return Ok(lines.concat());
        };
        let is_empty = match &value.kind {
            NodeKind::Mapping(members) => members.is_empty(),
            _ => value.value().is_null(),
        };
        if is_empty {
            let line = without_value(&lines[key.line], key, value);
            lines[key.line] = line;
            let new = render::lines(slot.name, entry, key.column + 2);
            let at = key.line + 1;
            lines.splice(at..at, new);
            return Ok(lines.concat());
        }
        let all = block(value, slot)?;
        let column = all.first().map_or(key.column + 2, |(key, _)| key.column);
        let new = render::lines(slot.name, entry, column);
        let end = value.last_line() + 1;
        let there = find(all, slot.name);
        let range = there.map_or(end..end, |(key, value)| key.line..value.last_line() + 1);
        lines.splice(range, new);
        Ok(lines.concat())
    })
}

pub(super) fn remove(document: &str, slot: Slot<'_>) -> Result<String, EditError> {
    line_ends::kept(document, |text| {
        let mut lines = lines(text);
        let root = tree::read(text)?;
        let root = root.as_ref().map(members).transpose()?;
        let Some((key, value)) = root.and_then(|root| find(root, slot.member)) else {
            return Ok(text.to_owned());
        };
        let all = block(value, slot)?;
        if let Some((entry, content)) = find(all, slot.name) {
            lines.drain(entry.line..=content.last_line());
            if all.len() == 1 {
                let line = &lines[key.line];
                let at = byte(line, key.end_column) + 1;
                lines[key.line] = format!("{} {{}}{}", &line[..at], &line[at..]);
            }
        }
        Ok(lines.concat())
    })
}

/// Returns the lines with their ends. The last one gets an end, because others may follow.
fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    if let Some(last) = lines.last_mut()
        && !last.ends_with('\n')
    {
        last.push('\n');
    }
    lines
}

/// Returns the line of a key without its value, `null` or `{}`; a comment stays.
fn without_value(line: &str, key: &Node, value: &Node) -> String {
    let colon = byte(line, key.end_column) + 1;
    let rest = &line[colon..];
    let value = match value.text() {
        _ if value.line != key.line => 0,
        Some(text) => rest.find(text).map_or(0, |at| at + text.len()),
        None => rest.find('}').map_or(0, |at| at + 1),
    };
    let rest = &rest[value..];
    format!("{}{rest}", &line[..colon])
}

/// Returns the offset of a column in characters.
fn byte(line: &str, column: usize) -> usize {
    line.char_indices()
        .nth(column)
        .map_or(line.len().saturating_sub(1), |(at, _)| at)
}

fn members(root: &Node) -> Result<&[(Node, Node)], EditError> {
    match &root.kind {
        NodeKind::Mapping(_) if root.is_flow => Err(EditError::new("it is written in one line")),
        NodeKind::Mapping(members) => Ok(members),
        _ => Err(EditError::not_object("its value")),
    }
}

fn block<'a>(value: &'a Node, slot: Slot<'_>) -> Result<&'a [(Node, Node)], EditError> {
    match &value.kind {
        NodeKind::Mapping(_) if value.is_flow => Err(EditError::new(format!(
            "its `{}` is written in one line",
            slot.member
        ))),
        NodeKind::Mapping(members) => Ok(members),
        _ => Err(EditError::not_object(format!("its `{}`", slot.member))),
    }
}

fn find<'a>(members: &'a [(Node, Node)], name: &str) -> Option<&'a (Node, Node)> {
    members.iter().find(|(key, _)| key.text() == Some(name))
}
