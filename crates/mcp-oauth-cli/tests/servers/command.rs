//! The command in its own home, with a scripted browser.

use std::{path::Path, process::Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::form_browser::{Consent, Decision, FormBrowser};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
    process::Command,
};

use crate::{bounded, wire};

/// The outcome of a run of the command.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) line: String,
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// The number of browsers that were opened.
    pub(crate) opened: usize,
}

/// The directories for the runs at one server.
#[derive(Debug)]
pub(crate) struct Home {
    directory: TempDir,
    browser: TcpListener,
}

impl Home {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (browser, address) = wire::listener().await;
        let script = format!(
            "#!/bin/bash\nexec 3<>/dev/tcp/127.0.0.1/{}\nprintf '%s\\n' \"$1\" >&3\n",
            address.port()
        );
        executable(&directory.path().join("browser"), &script);
        Self { directory, browser }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let home = self.directory.path();
        let built = crate::variable("MCP_OAUTH_TEST_COMMAND");
        let program = built.as_deref().unwrap_or(env!("CARGO_BIN_EXE_mcp-oauth"));
        let mut command = Command::new(program);
        command.args(arguments).env_clear().kill_on_drop(true);
        for variable in [
            "HOME",
            "XDG_CONFIG_HOME",
            "XDG_DATA_HOME",
            "XDG_CACHE_HOME",
            "TMPDIR",
        ] {
            command.env(variable, home);
        }
        // No keychain: the tests must not use that of this machine.
        command
            .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("BROWSER", home.join("browser"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the command to its end. Where it opens a browser, the user decides.
    pub(crate) async fn run(
        &self,
        arguments: &[&str],
        consent: Option<&Consent>,
        decision: Decision,
    ) -> Output {
        let mut opened = 0;
        let output = self.command(arguments).output();
        tokio::pin!(output);
        let ended = loop {
            tokio::select! {
                ended = &mut output => break ended.unwrap(),
                connection = self.browser.accept() => {
                    let (stream, _) = connection.unwrap();
                    let mut line = String::new();
                    BufReader::new(stream).read_line(&mut line).await.unwrap();
                    opened += 1;
                    let mut browser = FormBrowser::default();
                    let walk = browser.walk(line.trim().parse().unwrap(), consent, decision);
                    if let Err(page) = bounded(walk).await {
                        panic!("`mcp-oauth {}`: the browser shows {page}", arguments.join(" "));
                    }
                }
            }
        };
        Output {
            line: arguments.join(" "),
            code: ended.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&ended.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&ended.stderr).into_owned(),
            opened,
        }
    }

    /// Calls a tool as an application does that starts `proxy`, and returns the result.
    pub(crate) async fn call(&self, name: &str, tool: &str, arguments: Value) -> Value {
        let mut process = self
            .command(&["proxy", name])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = process.stdin.take().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let client = json!({"name": "driver", "version": "1"});
        let hello =
            json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
        let mut messages =
            vec![json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello})];
        let mut responses = Vec::new();
        for id in 1..=2 {
            for message in messages.drain(..) {
                stdin
                    .write_all(format!("{message}\n").as_bytes())
                    .await
                    .unwrap();
            }
            loop {
                let line = bounded(lines.next_line()).await.unwrap();
                let line = line.unwrap_or_else(|| panic!("`proxy` ended before response {id}"));
                let message: Value = serde_json::from_str(&line).unwrap();
                if message["id"] == id && message.get("method").is_none() {
                    responses.push(message);
                    break;
                }
            }
            let call = json!({"name": tool, "arguments": arguments});
            messages.push(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
            messages
                .push(json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call}));
        }
        drop(stdin);
        bounded(process.wait()).await.unwrap();
        responses.pop().unwrap()
    }
}

impl Output {
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    pub(crate) fn says(&self, text: &str) -> bool {
        self.stdout.contains(text) || self.stderr.contains(text)
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "`mcp-oauth {}` ended with {}", self.line, self.code)?;
        writeln!(f, "--- stdout\n{}--- stderr\n{}", self.stdout, self.stderr)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a script of the test, not a secret"
)]
fn executable(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
}
