//! The content of an entry after a change: the keys of mcp-oauth, and the user's other keys.

use serde_json::{Map, Value};

use super::own_program::PROGRAM;
use crate::shell::{is_program, runs};

/// The keys that say how a server is reached, in all applications. An entry with a command cannot have those
/// of a remote server, nor the other way round.
const TRANSPORT_KEYS: [&str; 21] = [
    "type",
    "source",
    "command",
    "cmd",
    "args",
    "cwd",
    "url",
    "uri",
    "serverUrl",
    "httpUrl",
    "headers",
    "http_headers",
    "env_http_headers",
    "bearer_token",
    "bearer_token_env_var",
    "headersHelper",
    "http_headers_helper",
    "oauth",
    "oauth_resource",
    "scopes",
    "authProviderType",
];

/// The keys of the environment of a command. A user may have added variables.
const VARIABLE_KEYS: [&str; 5] = ["env", "environment", "envs", "env_vars", "env_keys"];

/// The keys of an entry that mcp-oauth writes.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// The keys that are always written.
    pub(super) keys: Map<String, Value>,
    /// The keys that are written if the entry has no such key yet.
    pub(super) defaults: Map<String, Value>,
}

/// Returns whether an entry runs this program.
pub(crate) fn is_own(entry: &Value) -> bool {
    let command = entry.get("command").or_else(|| entry.get("cmd"));
    let command = match command {
        Some(Value::Array(words)) => words.first(),
        other => other,
    };
    let helpers = ["headersHelper", "http_headers_helper"];
    let helpers = helpers.iter().filter_map(|key| entry.get(key)?.as_str());
    command
        .and_then(Value::as_str)
        .is_some_and(|path| is_program(path, PROGRAM))
        || helpers
            .into_iter()
            .any(|line| runs(line, PROGRAM, "headers"))
}

/// Returns the server that an entry runs the proxy for, as it was typed: a name or a URL.
pub(crate) fn server_of(entry: &Value) -> Option<&str> {
    let texts = [entry.get("args"), entry.get("command")];
    let texts = texts.into_iter().filter_map(|words| words?.as_array());
    let mut texts = texts.flatten().filter_map(Value::as_str);
    texts.find(|text| *text == "proxy")?;
    texts.next()
}

/// Returns the existing entry with the keys of the new one. Keys that have nothing to do with the transport
/// are kept; the variables of an entry that runs another program are not.
pub(crate) fn merged(existing: Option<&Value>, new: &Entry) -> Value {
    let is_own = existing.is_some_and(is_own);
    let mut all = existing
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let keeps_variables = is_own && !new.keys.contains_key("url");
    for key in TRANSPORT_KEYS {
        if !new.keys.contains_key(key) {
            all.remove(key);
        }
    }
    for key in VARIABLE_KEYS {
        if !keeps_variables {
            all.remove(key);
        }
    }
    for (key, value) in &new.keys {
        let there = all.remove(key);
        let value = match there {
            Some(there) if VARIABLE_KEYS.contains(&key.as_str()) => with_both(there, value),
            _ => value.clone(),
        };
        all.insert(key.clone(), value);
    }
    for (key, value) in &new.defaults {
        if !all.contains_key(key) {
            all.insert(key.clone(), value.clone());
        }
    }
    Value::Object(all)
}

/// Returns the variables of both; those of the new entry win.
fn with_both(there: Value, new: &Value) -> Value {
    match (there, new) {
        (Value::Object(mut there), Value::Object(new)) => {
            there.extend(new.clone());
            Value::Object(there)
        }
        (Value::Array(mut there), Value::Array(new)) => {
            for name in new {
                if !there.contains(name) {
                    there.push(name.clone());
                }
            }
            Value::Array(there)
        }
        _ => new.clone(),
    }
}

/// Returns an object of these members.
pub(super) fn object<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    let members = members.into_iter();
    members
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stdio() -> Entry {
        Entry {
            keys: object([
                ("command", json!("/x/mcp-oauth")),
                ("args", json!(["proxy", "n"])),
                ("env", json!({ "A": "new" })),
            ]),
            defaults: object([("tools", json!(["*"]))]),
        }
    }

    #[test]
    fn an_entry_that_runs_this_program_is_recognized() {
        for own in [
            json!({ "command": "/x/mcp-oauth" }),
            json!({ "command": "C:\\x\\mcp-oauth.exe" }),
            json!({ "command": ["/x/mcp-oauth", "proxy"] }),
            json!({ "cmd": "mcp-oauth" }),
            json!({ "headersHelper": "A=b '/x y/mcp-oauth' headers n" }),
            json!({ "http_headers_helper": "/x/mcp-oauth headers n" }),
        ] {
            assert!(is_own(&own), "{own}");
        }
        for other in [
            json!({ "command": "npx", "args": ["mcp-oauth"] }),
            json!({ "url": "https://x.example/mcp-oauth" }),
            json!({ "headersHelper": "cat /x/mcp-oauth" }),
            json!({ "command": 7 }),
            json!([]),
            json!(null),
        ] {
            assert!(!is_own(&other), "{other}");
        }
    }

    #[test]
    fn keys_and_variables_of_the_user_are_kept() {
        let there = json!({
            "command": "/old/mcp-oauth", "args": ["proxy", "n"], "timeout": 5,
            "env": { "A": "old", "B": "mine" }, "tools": ["add"],
        });
        let expected = json!({
            "command": "/x/mcp-oauth", "args": ["proxy", "n"], "timeout": 5,
            "env": { "A": "new", "B": "mine" }, "tools": ["add"],
        });
        assert_eq!(merged(Some(&there), &stdio()), expected);
        assert_eq!(merged(Some(&expected), &stdio()), expected);
    }

    #[test]
    fn the_transport_and_the_variables_of_another_program_are_removed() {
        let there = json!({
            "type": "http", "url": "https://x.example", "headers": { "Authorization": "x" },
            "env": { "KEY": "secret" }, "disabled": true,
        });
        let expected = json!({
            "command": "/x/mcp-oauth", "args": ["proxy", "n"], "env": { "A": "new" },
            "disabled": true, "tools": ["*"],
        });
        assert_eq!(merged(Some(&there), &stdio()), expected);
        let headers = Entry {
            keys: object([
                ("url", json!("u")),
                ("headersHelper", json!("mcp-oauth headers n")),
            ]),
            defaults: Map::new(),
        };
        let after = json!({
            "url": "u", "headersHelper": "mcp-oauth headers n", "disabled": true, "tools": ["*"],
        });
        assert_eq!(merged(Some(&expected), &headers), after);
    }

    #[test]
    fn listed_variables_are_added_to_those_of_the_user() {
        let there = json!({ "command": "mcp-oauth", "env_vars": ["MINE", "A"] });
        let new = Entry {
            keys: object([
                ("command", json!("mcp-oauth")),
                ("env_vars", json!(["A", "B"])),
            ]),
            defaults: Map::new(),
        };
        assert_eq!(
            merged(Some(&there), &new)["env_vars"],
            json!(["MINE", "A", "B"])
        );
    }
}
