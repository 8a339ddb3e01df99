//! The entry that makes an application use a server through this program.

use mcp_client_oauth::ServerUrl;
use serde_json::{Map, Value, json};

use super::{
    catalog::{Expansion, Forwarding},
    merge::{Entry, merged, object},
};
use crate::{
    args::{App, Via},
    config::ForwardedEnv,
    error::Failure,
    shell::Shell,
};

/// The variables of the user's session that Codex forwards if they are set: by them the proxy finds the
/// keychain and the browser.
const OF_SESSION: [&str; 7] = [
    "BROWSER",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "SSH_CONNECTION",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_RUNTIME_DIR",
];

/// The parts of an entry.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) app: App,
    pub(crate) via: Via,
    /// The name of the entry.
    pub(crate) name: &'a str,
    /// The URL of the server.
    pub(crate) url: &'a ServerUrl,
    /// The path of this program.
    pub(crate) program: String,
    /// The arguments after `proxy` or `headers`.
    pub(crate) arguments: Vec<String>,
    pub(crate) forwarded: &'a ForwardedEnv,
}

/// Returns the entry; an error if the application does not support it, or would change a text in it.
pub(crate) fn entry(request: &Request<'_>) -> Result<Entry, Failure> {
    let entry = match request.via {
        Via::Proxy => request.proxy(),
        Via::Headers => request.headers()?,
    };
    match entry.changed_text(request.app) {
        None => Ok(entry),
        Some(text) => Err(Failure::usage(
            format!(
                "{} would replace a part of `{text}` by a variable",
                request.app.title()
            ),
            "rename that file or directory, or move it",
        )),
    }
}

impl Request<'_> {
    fn proxy(&self) -> Entry {
        let (program, arguments) = (&self.program, self.words("proxy"));
        let mut defaults = Map::new();
        let mut keys = match self.app {
            App::Vscode | App::ClaudeCode => object([
                ("type", json!("stdio")),
                ("command", json!(program)),
                ("args", json!(arguments)),
            ]),
            App::Zed => object([
                ("source", json!("custom")),
                ("command", json!(program)),
                ("args", json!(arguments)),
            ]),
            App::Copilot => {
                // A user may have selected some tools there.
                defaults = object([("tools", json!(["*"]))]);
                object([
                    ("type", json!("local")),
                    ("command", json!(program)),
                    ("args", json!(arguments)),
                ])
            }
            App::Opencode => {
                let words = std::iter::once(program.clone()).chain(arguments);
                object([
                    ("type", json!("local")),
                    ("command", json!(words.collect::<Vec<_>>())),
                ])
            }
            App::Goose => {
                defaults = object([
                    ("enabled", json!(true)),
                    (
                        "description",
                        json!(format!("{} through mcp-oauth", self.name)),
                    ),
                    ("timeout", json!(300)),
                ]);
                object([
                    ("type", json!("stdio")),
                    ("name", json!(self.name)),
                    ("cmd", json!(program)),
                    ("args", json!(arguments)),
                ])
            }
            _ => object([("command", json!(program)), ("args", json!(arguments))]),
        };
        self.add_variables(&mut keys);
        Entry { keys, defaults }
    }

    fn words(&self, subcommand: &str) -> Vec<String> {
        let own = std::iter::once(subcommand.to_owned());
        own.chain(self.arguments.iter().cloned()).collect()
    }

    fn add_variables(&self, keys: &mut Map<String, Value>) {
        let values = self.forwarded.environment.iter();
        let mut values: Map<String, Value> = values
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        let mut names = self.forwarded.variables.clone();
        if self.app == App::Codex && cfg!(target_os = "linux") {
            // By name and not by value: the next session has other values.
            values.retain(|name, _| !OF_SESSION.contains(&name.as_str()));
            names.extend(OF_SESSION);
        }
        match self.app.forwarding() {
            Forwarding::Listed(key) if !names.is_empty() => {
                keys.insert(key.to_owned(), json!(names));
            }
            Forwarding::Referenced => {
                let references = names.iter();
                values.extend(
                    references.map(|name| ((*name).to_owned(), json!(format!("${{{name}}}")))),
                );
            }
            Forwarding::Listed(_) | Forwarding::Inherited | Forwarding::Never => {}
        }
        if !values.is_empty() {
            keys.insert(self.app.variables_key().to_owned(), Value::Object(values));
        }
    }

    /// Returns the entry of a server that the application connects to itself.
    fn headers(&self) -> Result<Entry, Failure> {
        let key = match self.app {
            App::ClaudeCode => "headersHelper",
            App::Codex => "http_headers_helper",
            other => {
                return Err(Failure::usage(
                    format!("{} has no helper for headers", other.title()),
                    "leave out --via headers, which is for claude-code and codex",
                ));
            }
        };
        // Codex gives a helper `HOME` and `PATH`, and nothing that the user has set.
        if let (App::Codex, Some(name)) = (self.app, self.forwarded.variables.first()) {
            return Err(Failure::usage(
                format!("Codex does not pass {name} to a helper for headers"),
                "leave out --via headers; or for a password, use --password-file FILE",
            ));
        }
        let mut words = self.words("headers");
        words.insert(0, self.program.clone());
        let mut variables = self.forwarded.environment.clone();
        if self.app == App::Codex {
            // Codex gives a helper no variable of the session, and has no key for their names.
            variables.extend(self.forwarded.session.iter().cloned());
        }
        let line = Shell::OF_APPLICATIONS.line(&variables, &words);
        let line = line.ok_or_else(|| {
            Failure::usage(
                "a path or a variable has a line break, which a command line cannot have",
                "leave out --via headers",
            )
        })?;
        let mut keys = object([("url", json!(self.url.to_string())), (key, json!(line))]);
        if self.app == App::ClaudeCode {
            keys.insert("type".to_owned(), json!("http"));
        }
        Ok(Entry {
            keys,
            defaults: Map::new(),
        })
    }
}

impl Entry {
    /// Returns the entry as it is written where there is none.
    pub(crate) fn value(&self) -> Value {
        merged(None, self)
    }

    /// Returns a text of which the application would replace a part.
    fn changed_text(&self, app: App) -> Option<String> {
        let (expansion, variables) = (app.expansion(), app.variables_key());
        if expansion == Expansion::None {
            return None;
        }
        let mut found = None;
        for (key, value) in &self.keys {
            // The shell that runs the helper gets the text as it is.
            if key == "headersHelper" {
                continue;
            }
            let is_variable = key == variables;
            each_text(value, None, &mut |name, text| {
                let is_reference = name.is_some_and(|name| text == format!("${{{name}}}"));
                if !is_reference && expansion.changes(text, is_variable) {
                    found.get_or_insert_with(|| text.to_owned());
                }
            });
        }
        found
    }
}

fn each_text(value: &Value, name: Option<&str>, found: &mut impl FnMut(Option<&str>, &str)) {
    match value {
        Value::String(text) => found(name, text),
        Value::Array(items) => items.iter().for_each(|item| each_text(item, None, found)),
        Value::Object(members) => {
            for (name, value) in members {
                each_text(value, Some(name), found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(app: App, via: Via, program: &str, forwarded: &ForwardedEnv) -> Result<Value, Failure> {
        let url = "https://mcp.example.com/mcp".parse().unwrap();
        let request = Request {
            app,
            via,
            name: "notes",
            url: &url,
            program: program.to_owned(),
            arguments: vec!["notes".to_owned()],
            forwarded,
        };
        entry(&request).map(|entry| entry.value())
    }

    fn forwarded() -> ForwardedEnv {
        ForwardedEnv {
            environment: vec![("NO_PROXY", "a b".to_owned())],
            variables: vec!["MCP_OAUTH_PASSWORD"],
            ..ForwardedEnv::default()
        }
    }

    #[test]
    fn each_application_gets_its_form() {
        let none = ForwardedEnv::default();
        for (app, expected) in [
            (
                App::Opencode,
                json!({ "type": "local", "command": ["/x/mcp-oauth", "proxy", "notes"] }),
            ),
            (
                App::Copilot,
                json!({
                    "type": "local", "command": "/x/mcp-oauth", "args": ["proxy", "notes"],
                    "tools": ["*"],
                }),
            ),
            (
                App::Goose,
                json!({
                    "enabled": true, "type": "stdio", "name": "notes",
                    "description": "notes through mcp-oauth",
                    "cmd": "/x/mcp-oauth", "args": ["proxy", "notes"], "timeout": 300,
                }),
            ),
            (
                App::Qwen,
                json!({ "command": "/x/mcp-oauth", "args": ["proxy", "notes"] }),
            ),
        ] {
            let entry = made(app, Via::Proxy, "/x/mcp-oauth", &none).unwrap();
            assert_eq!(entry, expected, "{app:?}");
        }
    }

    #[test]
    fn a_secret_is_passed_by_name_as_the_application_does_it() {
        let entry = |app| made(app, Via::Proxy, "/x/mcp-oauth", &forwarded()).unwrap();
        let variables = json!({ "NO_PROXY": "a b" });
        assert_eq!(entry(App::Codex)["env"], variables);
        let names = entry(App::Codex)["env_vars"].clone();
        assert_eq!(names[0], "MCP_OAUTH_PASSWORD");
        assert_eq!(
            names.as_array().unwrap().contains(&json!("DISPLAY")),
            cfg!(target_os = "linux")
        );
        assert_eq!(entry(App::Goose)["envs"], variables);
        assert_eq!(entry(App::Goose)["env_keys"], json!(["MCP_OAUTH_PASSWORD"]));
        assert_eq!(entry(App::Opencode)["environment"], variables);
        assert_eq!(
            entry(App::Gemini)["env"]["MCP_OAUTH_PASSWORD"],
            "${MCP_OAUTH_PASSWORD}"
        );
        assert_eq!(entry(App::Cursor)["env"], variables);
    }

    #[test]
    fn a_text_that_the_application_would_change_is_refused() {
        let none = ForwardedEnv::default();
        for (app, program) in [
            (App::ClaudeCode, "/a/${HOME}/mcp-oauth"),
            (App::Gemini, "/a/$HOME/mcp-oauth"),
            (App::Opencode, "/a/{env:HOME}/mcp-oauth"),
        ] {
            let refused = made(app, Via::Proxy, program, &none)
                .unwrap_err()
                .render(None);
            assert!(refused.message.contains(program), "{}", refused.message);
        }
        assert!(made(App::Codex, Via::Proxy, "/a/${HOME}/mcp-oauth", &none).is_ok());
        assert!(made(App::ClaudeCode, Via::Headers, "/a/${HOME}/mcp-oauth", &none).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn headers_are_for_two_applications() {
        let only_value = ForwardedEnv {
            variables: Vec::new(),
            ..forwarded()
        };
        let url = "https://mcp.example.com/mcp";
        let line = "NO_PROXY='a b' '/x y/mcp-oauth' headers notes";
        assert_eq!(
            made(App::ClaudeCode, Via::Headers, "/x y/mcp-oauth", &only_value).unwrap(),
            json!({ "type": "http", "url": url, "headersHelper": line })
        );
        assert_eq!(
            made(App::Codex, Via::Headers, "/x y/mcp-oauth", &only_value).unwrap(),
            json!({ "url": url, "http_headers_helper": line })
        );
        let with_display = ForwardedEnv {
            session: vec![("DISPLAY", ":0".to_owned())],
            ..only_value
        };
        assert_eq!(
            made(App::Codex, Via::Headers, "/x/mcp-oauth", &with_display).unwrap()["http_headers_helper"],
            "NO_PROXY='a b' DISPLAY=:0 /x/mcp-oauth headers notes"
        );
        for (app, says) in [
            (App::Cursor, "Cursor has no helper"),
            (App::Codex, "MCP_OAUTH_PASSWORD"),
        ] {
            let refused = made(app, Via::Headers, "/x/mcp-oauth", &forwarded());
            let refused = refused.unwrap_err().render(None);
            assert!(refused.message.contains(says), "{}", refused.message);
        }
    }
}
