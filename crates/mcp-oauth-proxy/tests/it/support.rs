//! A user that approves each login, and the messages of an MCP client over pipes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use mcp_client_oauth::{
    Client, ServerUrl, TokenStore,
    platform::{Clock as _, Interaction, Platform, SystemClock},
};
use mcp_oauth_proxy::{Host, Proxy, UserBrowser};
use mcp_oauth_testbed::{Testbed, test_user};
use mcp_oauth_testing::ManualClock;
use serde_json::{Value, json};
use tokio::{
    io::{
        AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines, ReadHalf,
        WriteHalf,
    },
    task::JoinHandle,
};
use url::Url;

/// Ends a test that waits for something that does not happen.
pub(crate) async fn bounded<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .unwrap()
}

/// A browser that presses "Approve", and counts the logins.
#[derive(Default)]
pub(crate) struct ScriptedBrowser {
    opened: AtomicUsize,
}

impl ScriptedBrowser {
    pub(crate) fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Interaction for ScriptedBrowser {
    async fn open(&self, url: &Url) {
        self.opened.fetch_add(1, Ordering::Relaxed);
        test_user::approve(url).await.unwrap();
    }
}

/// A host that names a command, with a browser where the user is.
pub(crate) struct Named;

impl Host for Named {
    fn login_command(&self, _: bool) -> Option<String> {
        Some("app login notes".to_owned())
    }
}

/// A host that names a command, with the browser of its user on another machine.
pub(crate) struct Remote;

impl Host for Remote {
    fn user_browser(&self) -> UserBrowser {
        UserBrowser::Remote
    }

    fn login_command(&self, force: bool) -> Option<String> {
        Named.login_command(force)
    }
}

/// Returns a client over a new store with a clock that the test moves, and its browser, which must not be
/// opened.
pub(crate) fn client_with_clock(
    testbed: &Testbed,
) -> (Client, Arc<ScriptedBrowser>, ServerUrl, ManualClock) {
    let (_, browser, server) = client(testbed);
    let clock = ManualClock::new(SystemClock::default().now());
    let platform = Platform::new(
        Platform::default().http,
        Arc::new(clock.clone()),
        browser.clone(),
    );
    let client = Client::with_platform(platform, TokenStore::memory());
    (client, browser, server, clock)
}

/// Returns a client over a new store, its browser, and the URL of the server.
pub(crate) fn client(testbed: &Testbed) -> (Client, Arc<ScriptedBrowser>, ServerUrl) {
    let browser = Arc::new(ScriptedBrowser::default());
    let mut platform = Platform::default();
    platform.interaction = browser.clone();
    let server = testbed.server_url().as_str().parse().unwrap();
    (
        Client::with_platform(platform, TokenStore::memory()),
        browser,
        server,
    )
}

/// An MCP client, which has the other ends of the proxy's pipes.
pub(crate) struct App {
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    writer: WriteHalf<DuplexStream>,
    pub(crate) serving: JoinHandle<()>,
    /// Messages that arrived while the test waited for another one.
    unclaimed: Vec<Value>,
    /// Everything that the client has received.
    pub(crate) received: String,
}

impl App {
    pub(crate) fn start(proxy: Proxy) -> Self {
        // Small, so that messages arrive in several pieces.
        let (app, pipes) = tokio::io::duplex(64);
        let (reader, writer) = tokio::io::split(pipes);
        Self::over(app, tokio::spawn(proxy.serve(reader, writer)))
    }

    /// Returns an app with this end of the pipes; `serving` has the other end.
    pub(crate) fn over(app: DuplexStream, serving: JoinHandle<()>) -> Self {
        let (reader, writer) = tokio::io::split(app);
        Self {
            lines: BufReader::new(reader).lines(),
            writer,
            serving,
            unclaimed: Vec::new(),
            received: String::new(),
        }
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        let line = format!("{message}\n");
        bounded(self.writer.write_all(line.as_bytes()))
            .await
            .unwrap();
    }

    /// Returns the next message that `fits`; earlier ones stay for later calls.
    pub(crate) async fn next(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(index) = self.unclaimed.iter().position(&fits) {
            return self.unclaimed.remove(index);
        }
        loop {
            let line = bounded(self.lines.next_line()).await.unwrap().unwrap();
            self.received.push_str(&line);
            self.received.push('\n');
            let message = serde_json::from_str(&line).unwrap();
            if fits(&message) {
                return message;
            }
            self.unclaimed.push(message);
        }
    }

    pub(crate) async fn notification(&mut self, method: &str) -> Value {
        self.next(|message| message["method"] == method).await
    }

    pub(crate) async fn response(&mut self, id: u64) -> Value {
        self.next(|message| message.get("method").is_none() && message["id"] == id)
            .await
    }

    pub(crate) async fn request(&mut self, id: u64, method: &str, params: &Value) -> Value {
        self.begin(id, method, params).await;
        self.response(id).await
    }

    /// Sends a request, and does not wait for its response.
    pub(crate) async fn begin(&mut self, id: u64, method: &str, params: &Value) {
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send(&request).await;
    }

    pub(crate) async fn initialize(&mut self) -> Value {
        self.initialize_with("2025-11-25", &json!({})).await
    }

    pub(crate) async fn initialize_with(&mut self, version: &str, capabilities: &Value) -> Value {
        let info = json!({"name": "app", "version": "1"});
        let params =
            json!({"protocolVersion": version, "capabilities": capabilities, "clientInfo": info});
        let response = self.request(0, "initialize", &params).await;
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await;
        response
    }

    pub(crate) async fn call(&mut self, id: u64, tool: &str, arguments: &Value) -> Value {
        let params = json!({"name": tool, "arguments": arguments});
        self.request(id, "tools/call", &params).await
    }
}
