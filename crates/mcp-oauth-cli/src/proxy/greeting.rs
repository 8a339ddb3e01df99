//! What the client is told while nobody is logged in: an `initialize` of ours at once, by what the
//! server said the last time; lists that are empty; and, for a call, where to log in.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use serde_json::{Map, Value, json, value::RawValue};
use url::Url;

use super::frame::{LOGIN_REQUIRED, METHOD_NOT_FOUND, Message, SERVER_ERROR, error, result};

/// The revisions that begin with `initialize`.
const REVISIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
/// What can change, and so what a client is told of when the real ones are known.
const LISTS: [&str; 3] = ["tools", "resources", "prompts"];
/// A file of ours is small.
const LARGEST: u64 = 1 << 20;

/// What the server said to `initialize`, by the file that remembers it. It is no secret, and nobody
/// else's business.
#[derive(Debug)]
pub(super) struct Memory {
    file: Option<PathBuf>,
    result: Option<Map<String, Value>>,
}

impl Memory {
    pub(super) fn read(file: Option<PathBuf>) -> Self {
        let result = file.as_deref().and_then(read);
        Self { file, result }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.result.is_none()
    }

    /// Remembers an answer of the server to `initialize`.
    pub(super) fn learn(&mut self, answer: &Bytes) {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let Some(said) = answer.get("result").and_then(Value::as_object) else {
            return;
        };
        if self.result.as_ref() == Some(said) {
            return;
        }
        self.result = Some(said.clone());
        if let Some(file) = &self.file
            && let Err(error) = write(file, said)
        {
            tracing::debug!(%error, "what the server can do is not remembered");
        }
    }

    /// Our own answer to `initialize`.
    pub(super) fn greeting(&self, hello: &Message, raw_id: &RawValue) -> Bytes {
        let mut said = self.result.clone().unwrap_or_else(unknown_server);
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
        if let Some(capabilities) = said.get_mut("capabilities") {
            for list in LISTS {
                if capabilities[list].is_object() {
                    capabilities[list]["listChanged"] = json!(true);
                }
            }
        }
        result(raw_id, &Value::Object(said))
    }

    /// What to tell the client when the real server is there, after a greeting of ours.
    pub(super) fn changes(&self) -> Vec<Bytes> {
        let capabilities = self
            .result
            .as_ref()
            .and_then(|said| said.get("capabilities"));
        let has = |list: &&str| capabilities.is_none_or(|all| all.get(*list).is_some());
        let changed = |list| {
            let method = format!("notifications/{list}/list_changed");
            Bytes::from(json!({ "jsonrpc": "2.0", "method": method }).to_string())
        };
        LISTS.into_iter().filter(has).map(changed).collect()
    }
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

fn read(file: &Path) -> Option<Map<String, Value>> {
    use std::io::Read as _;
    let mut text = Vec::new();
    std::fs::File::open(file)
        .ok()?
        .take(LARGEST)
        .read_to_end(&mut text)
        .ok()?;
    serde_json::from_slice(&text).ok()
}

/// Whole or not at all, and for its owner only.
fn write(file: &Path, said: &Map<String, Value>) -> std::io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("."));
    let mut written = tempfile::NamedTempFile::new_in(directory)?;
    written.write_all(&serde_json::to_vec(said)?)?;
    written.persist(file)?;
    Ok(())
}

/// The answer to a request while there is no session. A client that lists what there is at its start
/// gets empty lists, and is told when they change: an error would make it give the server up.
pub(super) fn without_session(
    message: &Message,
    raw_id: &RawValue,
    why: &str,
    url: Option<&Url>,
) -> Bytes {
    let empty = match message.method.as_deref().unwrap_or_default() {
        "tools/list" => json!({ "tools": [] }),
        "resources/list" => json!({ "resources": [] }),
        "resources/templates/list" => json!({ "resourceTemplates": [] }),
        "prompts/list" => json!({ "prompts": [] }),
        "ping" | "logging/setLevel" => json!({}),
        // The text reaches the person by way of the model.
        "tools/call" => json!({ "content": [{ "type": "text", "text": why }], "isError": true }),
        // Whether the server speaks a revision that has it, nobody knows: the client tries another.
        "server/discover" => {
            return error(
                Some(raw_id),
                METHOD_NOT_FOUND,
                "not known before the login",
                None,
            );
        }
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
    result(raw_id, &empty)
}
