//! What the client is told while nobody is logged in: an `initialize` of ours at once, by what the
//! server said the last time; lists that are empty; and, for a call, where to log in.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use mcp_client_oauth::store::atomic_file::WriteOptions;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json, value::RawValue};
use url::Url;

use super::jsonrpc::{LOGIN_REQUIRED, METHOD_NOT_FOUND, Message, SERVER_ERROR, error, result};

/// The revisions that begin with `initialize`.
const REVISIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
/// Holds what can change, and so what a client is told of when the real ones are known.
const LISTS: [&str; 3] = ["tools", "resources", "prompts"];
/// A file of ours is small.
const LARGEST: u64 = 1 << 20;

/// Holds what the server says of itself, by the file that remembers it. It is no secret, and nobody else's
/// business.
#[derive(Debug)]
pub(super) struct Memory {
    file: Option<PathBuf>,
    said: RememberedCapabilities,
}

/// To each of the two ways to begin.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
struct RememberedCapabilities {
    /// To `initialize`.
    initialize: Option<Map<String, Value>>,
    /// To `server/discover`, of 2026-07-28.
    discover: Option<Map<String, Value>>,
}

impl Memory {
    pub(super) fn read(file: Option<PathBuf>) -> Self {
        let said = file.as_deref().and_then(read).unwrap_or_default();
        Self { file, said }
    }

    /// Returns whether it is not known what the server says to `initialize`.
    pub(super) fn is_empty(&self) -> bool {
        self.said.initialize.is_none()
    }

    /// Remembers an answer of the server to `initialize`.
    pub(super) fn learn(&mut self, response: &Bytes) {
        self.change(|said| said.initialize = result_of(response).or(said.initialize.take()));
    }

    /// Remembers an answer of the server to `server/discover`.
    pub(super) fn learn_discovery(&mut self, response: &Bytes) {
        self.change(|said| said.discover = result_of(response).or(said.discover.take()));
    }

    /// Our own answer to `server/discover`, of a server that is known to speak no revision but those
    /// that have it. With any other the client begins by `initialize`, and so can be told when the
    /// login is done. The `instructions` say how to log in.
    pub(super) fn discovery(&self, raw_id: &RawValue, instructions: &str) -> Bytes {
        match &self.said {
            RememberedCapabilities {
                initialize: None,
                discover: Some(said),
            } => {
                let mut said = said.clone();
                add_instructions(&mut said, instructions);
                fleeting(&mut said);
                result(raw_id, &Value::Object(said))
            }
            _ => error(
                Some(raw_id),
                METHOD_NOT_FOUND,
                "not known before the login",
                None,
            ),
        }
    }

    /// Returns what another process has remembered meanwhile is kept.
    fn change(&mut self, change: impl FnOnce(&mut RememberedCapabilities)) {
        let before = self.file.as_deref().and_then(read);
        if let Some(before) = &before {
            self.said.clone_from(before);
        }
        change(&mut self.said);
        if before.as_ref() != Some(&self.said)
            && let Some(file) = &self.file
            && let Err(error) = write(file, &self.said)
        {
            tracing::debug!(%error, "what the server can do is not remembered");
        }
    }

    /// Our own answer to `initialize`, with `instructions` that say how to log in, if that is what
    /// is missing.
    pub(super) fn greeting(
        &self,
        hello: &Message,
        raw_id: &RawValue,
        instructions: Option<&str>,
    ) -> Bytes {
        let remembered = self.said.initialize.clone();
        let mut said = remembered.unwrap_or_else(unknown_server);
        let hello: Value = serde_json::from_slice(&hello.line).unwrap_or_default();
        let asked = hello
            .pointer("/params/protocolVersion")
            .and_then(Value::as_str);
        let spoken = |version: &&str| REVISIONS.contains(version);
        let remembered = said
            .get("protocolVersion")
            .and_then(Value::as_str)
            .filter(spoken);
        // No newer revision than the client has asked for.
        let version = match (asked.filter(spoken), remembered) {
            (Some(asked), Some(remembered)) => asked.min(remembered),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => REVISIONS[REVISIONS.len() - 1],
        };
        said.insert("protocolVersion".to_owned(), json!(version));
        if let Some(instructions) = instructions {
            add_instructions(&mut said, instructions);
        }
        if let Some(capabilities) = said.get_mut("capabilities") {
            for list in LISTS {
                if capabilities[list].is_object() {
                    capabilities[list]["listChanged"] = json!(true);
                }
            }
        }
        result(raw_id, &Value::Object(said))
    }

    /// Returns what to tell the client when the real server is there, after a greeting of ours.
    pub(super) fn changes(&self) -> Vec<Bytes> {
        let said = self.said.initialize.as_ref();
        let capabilities = said.and_then(|said| said.get("capabilities"));
        let has = |list: &&str| capabilities.is_none_or(|all| all.get(*list).is_some());
        let changed = |list| {
            let method = format!("notifications/{list}/list_changed");
            Bytes::from(json!({ "jsonrpc": "2.0", "method": method }).to_string())
        };
        LISTS.into_iter().filter(has).map(changed).collect()
    }
}

/// Puts what a model must know now before what the server wants it to know.
fn add_instructions(said: &mut Map<String, Value>, own: &str) {
    let servers = said.get("instructions").and_then(Value::as_str);
    let both = servers.map_or_else(|| own.to_owned(), |servers| format!("{own}\n\n{servers}"));
    said.insert("instructions".to_owned(), json!(both));
}

fn unknown_server() -> Map<String, Value> {
    let mut said = Map::new();
    said.insert(
        "capabilities".to_owned(),
        json!({ "tools": {}, "resources": {}, "prompts": {} }),
    );
    let own = json!({ "name": "mcp-oauth", "version": env!("CARGO_PKG_VERSION") });
    said.insert("serverInfo".to_owned(), own);
    said
}

/// Returns none if it is an error.
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

/// Whole or not at all, and for its owner only. Where another process has it open the proxy does
/// not wait: it is written the next time.
fn write(file: &Path, said: &RememberedCapabilities) -> std::io::Result<()> {
    let text = serde_json::to_vec(said)?;
    WriteOptions::default().without_retry().write(file, &text)
}

/// A result of 2026-07-28 says that it is whole (SEP-2322).
fn complete(result: &mut Map<String, Value>) {
    result.insert("resultType".to_owned(), json!("complete"));
}

/// ... and how long it may be kept, which ours may not (SEP-2549).
fn fleeting(result: &mut Map<String, Value>) {
    complete(result);
    result.insert("ttlMs".to_owned(), json!(0));
    result.insert("cacheScope".to_owned(), json!("private"));
}

/// Returns the answer to a request while nobody is logged in. A client that lists what there is at its start
/// gets empty lists: an error would make it give the server up. It is told when they change, or, with
/// a revision that has no sessions, asks again.
pub(super) fn without_session(
    message: &Message,
    raw_id: &RawValue,
    why: &str,
    url: Option<&Url>,
) -> Bytes {
    let mut empty = match message.method.as_deref().unwrap_or_default() {
        "tools/list" => json!({ "tools": [] }),
        "resources/list" => json!({ "resources": [] }),
        "resources/templates/list" => json!({ "resourceTemplates": [] }),
        "prompts/list" => json!({ "prompts": [] }),
        "ping" | "logging/setLevel" => json!({}),
        // The text reaches the person by way of the model.
        "tools/call" => json!({ "content": [{ "type": "text", "text": why }], "isError": true }),
        _ => {
            let code = if url.is_some() {
                LOGIN_REQUIRED
            } else {
                SERVER_ERROR
            };
            let data = url.map(|url| json!({ "url": url }));
            return error(Some(raw_id), code, why, data);
        }
    };
    if let Some(empty) = empty.as_object_mut().filter(|_| message.routing.is_some()) {
        if message.is("tools/call") {
            complete(empty);
        } else {
            fleeting(empty);
        }
    }
    result(raw_id, &empty)
}
