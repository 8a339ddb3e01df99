//! A server of `interop/servers`: its `server.json`, and its process.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tempfile::NamedTempFile;
use test_support::form_browser::Consent;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};
use url::Url;

use crate::{bounded, wire::Wire};

/// `server.json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Description {
    /// The title of the row.
    pub(crate) title: String,
    /// The URL of the MCP server; `{port}` stands for its public port.
    #[serde(default = "Description::usual_url")]
    pub(crate) url: String,
    /// Flags that `login` needs; `{port}` as in `url`.
    #[serde(default)]
    pub(crate) flags: Vec<String>,
    /// The reason for these flags, or an unsupported feature, as text for the table.
    #[serde(default)]
    pub(crate) needs: Option<String>,
    #[serde(default)]
    pub(crate) tool: Tool,
    /// The source of `active`.
    pub(crate) evidence: String,
    /// The form values that the scripted browser enters; absent if the server has no page.
    pub(crate) consent: Option<Consent>,
    /// The handling of refresh tokens: rotated, kept, or `none` if the server issues none.
    #[serde(default)]
    pub(crate) refresh: Refresh,
    /// The effect of a revocation request.
    #[serde(default = "yes")]
    pub(crate) revokes: Revokes,
    /// Is true if `expire` is supported.
    #[serde(default = "truth")]
    pub(crate) expires: bool,
    /// A description of the server, for the reader of the file.
    #[serde(default, rename = "note")]
    _note: String,
}

/// A tool of the server, and a text in the result of its call.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) arguments: Map<String, Value>,
    pub(crate) result: String,
}

impl Default for Tool {
    fn default() -> Self {
        let arguments = [("a", 2), ("b", 3)].map(|(name, value)| (name.to_owned(), value.into()));
        Self {
            name: "add".to_owned(),
            arguments: arguments.into_iter().collect(),
            result: "5".to_owned(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Refresh {
    #[default]
    Rotates,
    /// Each refresh returns the same refresh token.
    Keeps,
    /// A refresh token is issued, and the token endpoint rejects the grant.
    Refused,
    None,
}

/// The tokens that are revoked after a logout.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Revokes {
    Both,
    /// Access tokens live until they expire.
    RefreshOnly,
    /// The revocation endpoint rejects the request.
    Refused,
    Nothing,
}

const fn yes() -> Revokes {
    Revokes::Both
}

const fn truth() -> bool {
    true
}

impl Description {
    fn usual_url() -> String {
        "http://127.0.0.1:{port}/mcp".to_owned()
    }

    pub(crate) fn of(name: &str) -> Self {
        let path = folder(name).join("server.json");
        let text = std::fs::read_to_string(&path);
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

/// A running server. It ends when the value is dropped, because its stdin closes.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: Url,
    /// The package and its version, as the server says.
    pub(crate) version: String,
    pub(crate) wire: Wire,
    /// The public ports: of the MCP server, and of an authorization server beside it.
    pub(crate) ports: [u16; 2],
    requests: ChildStdin,
    responses: Lines<BufReader<ChildStdout>>,
    /// The stderr of the server, for a test that fails.
    log: NamedTempFile,
    _process: Child,
}

impl Server {
    pub(crate) async fn start(name: &str, description: &mut Description) -> Self {
        let wire = Wire::default();
        let (mcp, authorization) = (wire.tap().await, wire.tap().await);
        let ports = [
            mcp.listen,
            mcp.public,
            authorization.listen,
            authorization.public,
        ];
        let log = NamedTempFile::new().unwrap();
        let mut process = Command::new(folder(name).join("serve"))
            .args(ports.map(|port| port.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.reopen().unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let url = description.url.replace("{port}", &mcp.public.to_string());
        for flag in &mut description.flags {
            *flag = flag.replace("{port}", &mcp.public.to_string());
        }
        let responses = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut server = Self {
            url: url.parse().unwrap(),
            version: String::new(),
            wire,
            ports: [mcp.public, authorization.public],
            requests: process.stdin.take().unwrap(),
            responses,
            log,
            _process: process,
        };
        let ready = server.response().await;
        ready["version"]
            .as_str()
            .unwrap()
            .clone_into(&mut server.version);
        server
    }

    /// Returns whether the token is active, by the check of the server itself.
    pub(crate) async fn says_active(&mut self, token: &str) -> bool {
        let response = self.request(&json!({ "active": token })).await;
        response["active"].as_bool().unwrap()
    }

    /// Makes the server expire an access token.
    pub(crate) async fn expire(&mut self, token: &str) {
        let response = self.request(&json!({ "expire": token })).await;
        let expired = response["expired"].as_u64().unwrap();
        assert!(expired > 0, "no access token expired");
    }

    async fn request(&mut self, request: &Value) -> Value {
        let line = format!("{request}\n");
        self.requests.write_all(line.as_bytes()).await.unwrap();
        self.response().await
    }

    /// Returns the next line that is JSON; frameworks print other lines too.
    async fn response(&mut self) -> Value {
        loop {
            let line = bounded(self.responses.next_line()).await.unwrap();
            let line = line.expect("the server has ended");
            if let Ok(response @ Value::Object(_)) = serde_json::from_str(&line) {
                return response;
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.log.path()).unwrap_or_default();
            eprintln!("--- the server printed\n{log}---");
        }
    }
}

/// Returns the folder of a server.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../interop/servers")
        .join(name)
}
