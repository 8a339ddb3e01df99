//! `interop/server.mjs` in a child process, which ends when its value is dropped.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use mcp_client_oauth::ServerUrl;
use serde_json::{Value, json};
use test_support::tool::is_skipped;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::support::bounded;

/// A running server.
pub(super) struct Server {
    pub(super) resource: ServerUrl,
    _process: Child,
}

impl Server {
    /// Starts the server; `None` where the check script skips these tests.
    pub(super) async fn start(keys: &[Value]) -> Option<Self> {
        let folder = installed()?;
        let mut process = Command::new(folder.join("node_modules/node/bin/node"))
            .arg("server.mjs")
            .current_dir(folder)
            .env("ROBOT_JWKS", json!({ "keys": keys }).to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = bounded(lines.next_line()).await.unwrap();
        let told: Value = serde_json::from_str(&line.expect("it prints its URL")).unwrap();
        // The server may print more, and would block if nothing read it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Some(Self {
            resource: told["resource"].as_str().unwrap().parse().unwrap(),
            _process: process,
        })
    }
}

/// Returns the paths of the server and of its Node, which the check script installs; `None` where it
/// skips these tests.
fn installed() -> Option<PathBuf> {
    let reason = "there is no oidc-provider to test with";
    if is_skipped("MCP_OAUTH_TEST_INTEROP", reason) {
        return None;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../interop");
    assert!(
        folder.join("node_modules/.installed").exists(),
        "no oidc-provider: run `scripts/check test`, or set MCP_OAUTH_TEST_INTEROP to `skip`"
    );
    Some(folder)
}
