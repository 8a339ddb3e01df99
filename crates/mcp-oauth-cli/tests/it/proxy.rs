//! `proxy`: the real binary, driven over its stdin and stdout as an application drives it.

use std::{process::Stdio, sync::Arc};

use mcp_oauth_testbed::test_user;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::watch,
};

use crate::support::{Home, bounded};

mod concurrent_refresh;
mod driver;
mod edge_cases;
mod elicitation;
mod listen;
mod login;
mod restarts;
mod stdio;
mod streams;

/// An application, and the proxy that it runs as its server.
pub(crate) struct App {
    pub(crate) child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<Lines<BufReader<ChildStdout>>>,
    stderr: Arc<watch::Sender<String>>,
    /// Messages that arrived while the test waited for another one.
    unclaimed: Vec<Value>,
}

impl App {
    /// Starts `proxy URL …`.
    pub(crate) fn start(home: &Home, more: &[&str]) -> Self {
        Self::at(home, &home.url(), more)
    }

    /// Starts it for another server.
    pub(crate) fn at(home: &Home, url: &str, more: &[&str]) -> Self {
        Self::in_environment(home, url, more, &[])
    }

    /// Starts it for a server, with these variables.
    pub(crate) fn in_environment(
        home: &Home,
        url: &str,
        more: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let mut command = home.command(&[&["proxy", url], more].concat());
        command.envs(variables.iter().copied());
        Self::run(command)
    }

    /// Starts this command.
    pub(crate) fn run(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let stderr = Arc::<watch::Sender<String>>::default();
        let (said, pipe) = (Arc::clone(&stderr), child.stderr.take().unwrap());
        tokio::spawn(async move {
            let mut lines = BufReader::new(pipe).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                said.send_modify(|said| {
                    said.push_str(&line);
                    said.push('\n');
                });
            }
        });
        Self {
            stdin: child.stdin.take(),
            stdout: child.stdout.take().map(|pipe| BufReader::new(pipe).lines()),
            child,
            stderr,
            unclaimed: Vec::new(),
        }
    }

    /// Starts it and completes the handshake.
    pub(crate) async fn ready(home: &Home, more: &[&str]) -> Self {
        let mut app = Self::start(home, more);
        app.handshake().await;
        app
    }

    pub(crate) async fn handshake(&mut self) -> Value {
        let response = self.request(&initialize(0)).await;
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await;
        response
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let stdin = self.stdin.as_mut().unwrap();
        bounded(stdin.write_all(bytes.as_ref())).await.unwrap();
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        self.write(format!("{message}\n")).await;
    }

    /// Returns the next line.
    pub(crate) async fn line(&mut self) -> String {
        let stdout = self.stdout.as_mut().unwrap();
        let line = bounded(stdout.next_line()).await.unwrap();
        line.unwrap_or_else(|| panic!("the proxy has ended: {}", self.stderr()))
    }

    /// Returns the next message that `fits`; earlier ones stay for later calls.
    pub(crate) async fn next(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(index) = self.unclaimed.iter().position(&fits) {
            return self.unclaimed.remove(index);
        }
        loop {
            let line = self.line().await;
            let message: Value = serde_json::from_str(&line).unwrap();
            if fits(&message) {
                return message;
            }
            self.unclaimed.push(message);
        }
    }

    pub(crate) async fn response(&mut self, id: &Value) -> Value {
        self.next(|message| message.get("method").is_none() && message["id"] == *id)
            .await
    }

    pub(crate) async fn notification(&mut self, method: &str) -> Value {
        self.next(|message| message["method"] == method).await
    }

    pub(crate) async fn request(&mut self, request: &Value) -> Value {
        self.send(request).await;
        self.response(&request["id"]).await
    }

    /// Repeats the request until the response `fits`.
    pub(crate) async fn request_until(
        &mut self,
        request: &Value,
        fits: impl Fn(&Value) -> bool,
    ) -> Value {
        bounded(async {
            loop {
                let response = self.request(request).await;
                if fits(&response) {
                    break response;
                }
            }
        })
        .await
    }

    /// Closes stdin, waits for the end of the proxy, and returns its exit code.
    pub(crate) async fn close(&mut self) -> i32 {
        drop(self.stdin.take());
        bounded(self.child.wait())
            .await
            .unwrap()
            .code()
            .unwrap_or(-1)
    }

    pub(crate) fn stop_reading(&mut self) {
        self.stdout = None;
    }

    /// Waits until stderr contains the text.
    pub(crate) async fn wait_for_stderr(&self, text: &str) {
        let mut said = self.stderr.subscribe();
        let says = |said: &String| said.contains(text);
        drop(bounded(said.wait_for(says)).await.unwrap());
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.borrow().clone()
    }

    /// Approves at the URL of a response, as soon as one has a URL.
    pub(crate) async fn approve(&mut self) {
        let probe = request(900, "completion/complete", &json!({}));
        let refusal = self
            .request_until(&probe, |refusal| url_of(refusal).is_some())
            .await;
        let mut url = url_of(&refusal).unwrap();
        // Where a browser opens on this machine, it is the page of the proxy that leads to the login.
        if let Some(login) = test_user::visit(&url).await.unwrap().redirect() {
            url = login;
        }
        test_user::approve(&url).await.unwrap();
    }
}

/// Returns the URL of the login in an error response.
pub(crate) fn url_of(refusal: &Value) -> Option<url::Url> {
    let url = refusal["error"]["data"]["url"].as_str()?;
    Some(url.parse().unwrap())
}

pub(crate) fn request(id: u64, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

pub(crate) fn initialize(id: u64) -> Value {
    let client = json!({"name": "app", "version": "1"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
    request(id, "initialize", &params)
}

pub(crate) fn call(id: u64, tool: &str, arguments: &Value) -> Value {
    request(
        id,
        "tools/call",
        &json!({"name": tool, "arguments": arguments}),
    )
}

pub(crate) fn add(id: u64) -> Value {
    call(id, "add", &json!({"a": id, "b": 1}))
}

pub(crate) fn sum(response: &Value) -> Option<u64> {
    response["result"]["structuredContent"]["sum"].as_u64()
}
