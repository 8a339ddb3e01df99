//! Changes the file of another application atomically, and keeps a copy of the old file beside it.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use mcp_oauth_support::atomic_file::{WriteOptions, retry_while_in_use};
use toml_edit::{Array, DocumentMut, Item, Table, TableLike, Value};

use super::network_keys::NETWORK_KEYS;
use crate::error::Failure;

/// The largest number of copies of old files.
const BACKUPS: u32 = 1000;

/// Writes the result of `change` on the text of `path`, unless it is the same, and returns the path of the
/// copy of the old file, if there was one.
pub(super) fn change(
    path: &Path,
    change: impl FnOnce(&str) -> Result<String, Failure>,
) -> Result<Option<PathBuf>, Failure> {
    let failed = |action| move |error: std::io::Error| Failure::file(action, path, &error);
    let before = match retry_while_in_use(|| fs::read_to_string(path)) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(Failure::file("read", path, &error)),
    };
    let after = change(before.as_deref().unwrap_or_default())?;
    if before.as_ref() == Some(&after) {
        return Ok(None);
    }
    // The target of a link is changed, and the link is kept.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory).map_err(failed("create the directory of"))?;
    let backup = before.is_some().then(|| back_up(path)).transpose()?;
    let mut options = WriteOptions::default();
    if let Ok(old) = fs::metadata(path) {
        options = options.permissions(old.permissions());
    }
    let written = options.write(path, after.as_bytes());
    written.map_err(failed("write"))?;
    Ok(backup)
}

/// Copies the file to a free name beside it.
fn back_up(path: &Path) -> Result<PathBuf, Failure> {
    let named = |number| {
        let mut name = path.as_os_str().to_owned();
        name.push(if number == 0 {
            ".bak".to_owned()
        } else {
            format!(".bak{number}")
        });
        PathBuf::from(name)
    };
    let free = (0..BACKUPS).map(named).find(|backup| !backup.exists());
    let backup = free.ok_or_else(|| {
        let message = format!("there are too many copies beside {}", path.display());
        Failure::other("file", message, None)
    })?;
    fs::copy(path, &backup).map_err(|error| Failure::file("copy", path, &error))?;
    Ok(backup)
}

/// Returns a TOML text with the table `[member.name]`. Comments, order and other keys are kept.
pub(super) fn with_table(
    text: &str,
    path: &Path,
    member: &str,
    name: &str,
    entry: &serde_json::Value,
) -> Result<String, Failure> {
    let broken = |why: String| {
        let message = format!("cannot change {} (left unchanged): {why}", path.display());
        Failure::other("file", message, None)
    };
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        let start = error.span().unwrap_or_default().start;
        let before = text.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        broken(format!(
            "{} on line {line} column {column}",
            error.message()
        ))
    })?;
    let mut implicit = Table::new();
    implicit.set_implicit(true);
    let servers = document.entry(member).or_insert(Item::Table(implicit));
    let servers = servers
        .as_table_like_mut()
        .ok_or_else(|| broken(format!("its {member} is not a table")))?;
    let server = servers.entry(name).or_insert(Item::Table(Table::new()));
    if !server.is_table_like() {
        *server = Item::Table(Table::new());
    }
    if let Some(server) = server.as_table_like_mut() {
        set_server(server, entry);
    }
    Ok(document.to_string())
}

fn set_server(server: &mut dyn TableLike, entry: &serde_json::Value) {
    for key in NETWORK_KEYS {
        server.remove(key);
    }
    let texts = |key: &str| -> Array {
        let all = entry[key].as_array().into_iter().flatten();
        all.filter_map(serde_json::Value::as_str).collect()
    };
    let command = entry["command"].as_str().unwrap_or_default();
    set_variables(server, &entry["env"]);
    let names =
        (!texts("env_vars").is_empty()).then(|| ("env_vars", Value::from(texts("env_vars"))));
    let own = [
        ("command", Value::from(command)),
        ("args", Value::from(texts("args"))),
    ];
    for (key, new) in own.into_iter().chain(names) {
        match server.get_mut(key).and_then(Item::as_value_mut) {
            Some(old) if is_same(old, &new) => {}
            // The comment after the value is kept.
            Some(old) => {
                let decor = old.decor().clone();
                *old = new;
                *old.decor_mut() = decor;
            }
            None => drop(server.insert(key, Item::Value(new))),
        }
    }
}

/// Adds the variables, or replaces existing ones.
fn set_variables(server: &mut dyn TableLike, variables: &serde_json::Value) {
    let Some(variables) = variables.as_object() else {
        return;
    };
    let there = server.entry("env").or_insert(Item::Table(Table::new()));
    if !there.is_table_like() {
        *there = Item::Table(Table::new());
    }
    let Some(there) = there.as_table_like_mut() else {
        return;
    };
    for (name, value) in variables {
        let value = value.as_str().unwrap_or_default();
        let is_there = there.get(name).and_then(Item::as_str) == Some(value);
        if !is_there {
            there.insert(name, Item::Value(Value::from(value)));
        }
    }
}

/// Returns whether two values are equal, regardless of their format.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| is_same(one, other))
        }
        (one, other) => one.as_str().is_some() && one.as_str() == other.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_added_or_replaced_and_the_rest_is_kept() {
        let entry = json!({ "command": "/x/mcp-oauth", "args": ["proxy", "n\"1"] });
        let before = "# mine\nmodel = \"o\" # yes\n\n[mcp_servers.a]\ncommand = \"a\"\n";
        let path = Path::new("c.toml");
        let after = with_table(before, path, "mcp_servers", "notes", &entry).unwrap();
        assert!(after.starts_with(before), "{after}");
        assert!(
            after.contains("[mcp_servers.notes]\ncommand = \"/x/mcp-oauth\"\n"),
            "{after}"
        );
        let again = with_table(&after, path, "mcp_servers", "notes", &entry).unwrap();
        assert_eq!(again, after);
        let kept = "[mcp_servers.notes]\ncommand = \"old\" # mine\nurl = \"u\"\n\n[mcp_servers.notes.env]\nA = \"1\"\n";
        let after = with_table(kept, path, "mcp_servers", "notes", &entry).unwrap();
        let expected = "[mcp_servers.notes]\ncommand = \"/x/mcp-oauth\" # mine\nargs = [\"proxy\", \"n\\\"1\"]\n\n[mcp_servers.notes.env]\nA = \"1\"\n";
        assert_eq!(after.replace("'n\"1'", "\"n\\\"1\""), expected);
        let own = after.replace("args = [", "args = [ ");
        assert_eq!(
            with_table(&own, path, "mcp_servers", "notes", &entry).unwrap(),
            own
        );
        let entry = json!({ "command": "c", "args": [], "env": { "B": "2" }, "env_vars": ["S"] });
        let after = with_table(&own, path, "mcp_servers", "notes", &entry).unwrap();
        let read: DocumentMut = after.parse().unwrap();
        let notes = &read["mcp_servers"]["notes"];
        assert_eq!(notes["env"]["A"].as_str(), Some("1"));
        assert_eq!(notes["env"]["B"].as_str(), Some("2"));
        assert_eq!(notes["env_vars"][0].as_str(), Some("S"));
        let again = with_table(&after, path, "mcp_servers", "notes", &entry).unwrap();
        assert_eq!(again, after);
        let broken = with_table("a = 1\n b = \"p\nc = 2", path, "m", "n", &entry).unwrap_err();
        let message = broken.render(None).message;
        assert!(
            message.contains("c.toml") && message.ends_with("on line 2 column 8"),
            "{message}"
        );
        assert!(with_table("m = 1", path, "m", "n", &entry).is_err());
    }
}
