//! The responses of the proxy without a login: to `initialize` with the remembered capabilities of the
//! server, to lists with empty lists, and to calls with the URL of the login.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use mcp_oauth_support::atomic_file::WriteOptions;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json, value::RawValue};
use url::Url;

use crate::jsonrpc::{
    LOGIN_REQUIRED, METHOD_NOT_FOUND, Message, SERVER_ERROR, error_response, success_response,
};

/// The revisions that start with `initialize`.
const REVISIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
/// The lists that change when the server is reached; the client is notified of it.
const LISTS: [&str; 3] = ["tools", "resources", "prompts"];
/// The size limit when the file is read; a file that the proxy wrote is much smaller.
const LARGEST: u64 = 1 << 20;

/// The remembered capabilities of the server, and their file. They are no secret, but private to the user.
#[derive(Debug)]
pub(crate) struct CapabilityCache {
    file: Option<PathBuf>,
    remembered: RememberedCapabilities,
    /// The name and the version of the host.
    server_info: (String, String),
}

/// The results of the server, for each of the two handshakes.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
struct RememberedCapabilities {
    /// Of `initialize`.
    initialize: Option<Map<String, Value>>,
    /// Of `server/discover` (MCP 2026-07-28).
    discover: Option<Map<String, Value>>,
}

impl CapabilityCache {
    pub(crate) fn read(file: Option<PathBuf>, server_info: (String, String)) -> Self {
        let remembered = file.as_deref().and_then(read).unwrap_or_default();
        Self {
            file,
            remembered,
            server_info,
        }
    }

    /// Returns whether no result of `initialize` is remembered.
    pub(crate) fn is_empty(&self) -> bool {
        self.remembered.initialize.is_none()
    }

    /// Remembers a response of the server to `initialize`.
    pub(crate) fn remember_initialize(&mut self, response: &Bytes) {
        self.change(|remembered| {
            remembered.initialize = result_of(response).or(remembered.initialize.take());
        });
    }

    /// Remembers a response of the server to `server/discover`.
    pub(crate) fn remember_discovery(&mut self, response: &Bytes) {
        self.change(|remembered| {
            remembered.discover = result_of(response).or(remembered.discover.take());
        });
    }

    /// Builds the response of the proxy to `server/discover`, if the server is known to support only
    /// revisions that have it. Otherwise it is an error, so that the client starts with `initialize` and
    /// can be notified after the login. The `instructions` say how to log in.
    pub(crate) fn discover_response(&self, raw_id: &RawValue, instructions: &str) -> Bytes {
        match &self.remembered {
            RememberedCapabilities {
                initialize: None,
                discover: Some(result),
            } => {
                let mut result = result.clone();
                add_instructions(&mut result, instructions);
                mark_uncacheable(&mut result);
                success_response(raw_id, &Value::Object(result))
            }
            _ => error_response(
                Some(raw_id),
                METHOD_NOT_FOUND,
                "unknown before the login",
                None,
            ),
        }
    }

    /// Changes the file. It is read first, so that the changes of other processes are kept.
    fn change(&mut self, change: impl FnOnce(&mut RememberedCapabilities)) {
        let before = self.file.as_deref().and_then(read);
        if let Some(before) = &before {
            self.remembered.clone_from(before);
        }
        change(&mut self.remembered);
        if before.as_ref() != Some(&self.remembered)
            && let Some(file) = &self.file
            && let Err(error) = write(file, &self.remembered)
        {
            tracing::debug!(%error, "cannot write the capabilities of the server");
        }
    }

    /// Builds the response of the proxy to `initialize`, with `instructions` that say how to log in, if the
    /// login is missing.
    pub(crate) fn initialize_response(
        &self,
        request: &Message,
        raw_id: &RawValue,
        instructions: Option<&str>,
    ) -> Bytes {
        let remembered = self.remembered.initialize.clone();
        let mut result = remembered.unwrap_or_else(|| unknown_server(&self.server_info));
        let request: Value = serde_json::from_slice(&request.line).unwrap_or_default();
        let requested = request
            .pointer("/params/protocolVersion")
            .and_then(Value::as_str);
        let spoken = |version: &&str| REVISIONS.contains(version);
        let remembered = result
            .get("protocolVersion")
            .and_then(Value::as_str)
            .filter(spoken);
        // Not a newer revision than the client requested.
        let version = match (requested.filter(spoken), remembered) {
            (Some(requested), Some(remembered)) => requested.min(remembered),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => REVISIONS[REVISIONS.len() - 1],
        };
        result.insert("protocolVersion".to_owned(), json!(version));
        if let Some(instructions) = instructions {
            add_instructions(&mut result, instructions);
        }
        if let Some(capabilities) = result.get_mut("capabilities") {
            for list in LISTS {
                if capabilities[list].is_object() {
                    capabilities[list]["listChanged"] = json!(true);
                }
            }
        }
        success_response(raw_id, &Value::Object(result))
    }

    /// Builds the notifications for a client that the proxy has responded to itself, when the server is
    /// reached.
    pub(crate) fn list_changed_notifications(&self) -> Vec<Bytes> {
        let result = self.remembered.initialize.as_ref();
        let capabilities = result.and_then(|result| result.get("capabilities"));
        let has = |list: &&str| capabilities.is_none_or(|all| all.get(*list).is_some());
        let changed = |list| {
            let method = format!("notifications/{list}/list_changed");
            Bytes::from(json!({ "jsonrpc": "2.0", "method": method }).to_string())
        };
        LISTS.into_iter().filter(has).map(changed).collect()
    }
}

/// Puts the instructions of the proxy before those of the server.
fn add_instructions(result: &mut Map<String, Value>, own: &str) {
    let servers = result.get("instructions").and_then(Value::as_str);
    let both = servers.map_or_else(|| own.to_owned(), |servers| format!("{own}\n\n{servers}"));
    result.insert("instructions".to_owned(), json!(both));
}

fn unknown_server((name, version): &(String, String)) -> Map<String, Value> {
    let mut result = Map::new();
    result.insert(
        "capabilities".to_owned(),
        json!({ "tools": {}, "resources": {}, "prompts": {} }),
    );
    let own = json!({ "name": name, "version": version });
    result.insert("serverInfo".to_owned(), own);
    result
}

/// Returns the result of a response; none if it is an error.
fn result_of(response: &Bytes) -> Option<Map<String, Value>> {
    let response: Value = serde_json::from_slice(response).ok()?;
    response.get("result")?.as_object().cloned()
}

fn read(file: &Path) -> Option<RememberedCapabilities> {
    use std::io::Read as _;
    let mut text = Vec::new();
    std::fs::File::open(file)
        .ok()?
        .take(LARGEST)
        .read_to_end(&mut text)
        .ok()?;
    serde_json::from_slice(&text).ok()
}

/// Writes the file atomically, readable by its owner only. If another process has it open (Windows), the
/// proxy does not wait: the next change writes it.
fn write(file: &Path, result: &RememberedCapabilities) -> std::io::Result<()> {
    let text = serde_json::to_vec(result)?;
    WriteOptions::default().without_retry().write(file, &text)
}

/// Marks a result of MCP 2026-07-28 as complete (SEP-2322).
fn mark_complete(result: &mut Map<String, Value>) {
    result.insert("resultType".to_owned(), json!("complete"));
}

/// Marks a result as complete and as not cacheable (SEP-2549).
fn mark_uncacheable(result: &mut Map<String, Value>) {
    mark_complete(result);
    result.insert("ttlMs".to_owned(), json!(0));
    result.insert("cacheScope".to_owned(), json!("private"));
}

/// The reason for a response without the server.
pub(crate) struct Reason<'a> {
    /// The message to the user.
    pub(crate) text: &'a str,
    /// Says whether a login is missing.
    pub(crate) needs_login: bool,
    /// The URL of the login, if the client gets it.
    pub(crate) url: Option<&'a Url>,
    /// The tool that logs in, if the client gets it.
    pub(crate) tool: Option<Value>,
}

/// Builds the response to a request without a login. A list request gets an empty list: clients send it at
/// their start, and an error would make them disable the server. The client is notified when the lists
/// change; with a stateless revision it requests them again.
pub(crate) fn offline_response(message: &Message, raw_id: &RawValue, reason: Reason<'_>) -> Bytes {
    let why = reason.text;
    let mut empty = match message.method.as_deref().unwrap_or_default() {
        "tools/list" => json!({ "tools": Vec::from_iter(reason.tool) }),
        "resources/list" => json!({ "resources": [] }),
        "resources/templates/list" => json!({ "resourceTemplates": [] }),
        "prompts/list" => json!({ "prompts": [] }),
        "ping" | "logging/setLevel" => json!({}),
        // The model shows the text to the user.
        "tools/call" => json!({ "content": [{ "type": "text", "text": why }], "isError": true }),
        _ => {
            let code = if reason.needs_login {
                LOGIN_REQUIRED
            } else {
                SERVER_ERROR
            };
            let data = reason.url.map(|url| json!({ "url": url }));
            return error_response(Some(raw_id), code, why, data);
        }
    };
    if let Some(empty) = empty.as_object_mut().filter(|_| message.routing.is_some()) {
        if message.is("tools/call") {
            mark_complete(empty);
        } else {
            mark_uncacheable(empty);
        }
    }
    success_response(raw_id, &empty)
}
