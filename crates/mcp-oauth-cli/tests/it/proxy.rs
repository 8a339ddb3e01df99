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

mod hand;
mod herd;
mod lines;
mod listen;
mod login;
mod oddities;
mod restarts;
mod streams;

/// An application, and the proxy that it runs as its server.
pub(crate) struct App {
    pub(crate) child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<Lines<BufReader<ChildStdout>>>,
    stderr: Arc<watch::Sender<String>>,
    /// What came while something else was waited for.
    passed_over: Vec<Value>,
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

    /// The same with these variables.
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
            passed_over: Vec::new(),
        }
    }

    /// Starts it, and goes through the handshake.
    pub(crate) async fn ready(home: &Home, more: &[&str]) -> Self {
        let mut app = Self::start(home, more);
        app.shake_hands().await;
        app
    }

    pub(crate) async fn shake_hands(&mut self) -> Value {
        let answer = self.ask(&initialize(0)).await;
        self.tell(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await;
        answer
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let stdin = self.stdin.as_mut().unwrap();
        bounded(stdin.write_all(bytes.as_ref())).await.unwrap();
    }

    pub(crate) async fn tell(&mut self, message: &Value) {
        self.write(format!("{message}\n")).await;
    }

    /// The next line, as it is.
    pub(crate) async fn line(&mut self) -> String {
        let stdout = self.stdout.as_mut().unwrap();
        let line = bounded(stdout.next_line()).await.unwrap();
        line.unwrap_or_else(|| panic!("the proxy has ended: {}", self.said()))
    }

    /// The next message that `fits`; what comes before waits for who asks for it.
    pub(crate) async fn next(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(place) = self.passed_over.iter().position(&fits) {
            return self.passed_over.remove(place);
        }
        loop {
            let line = self.line().await;
            let message: Value = serde_json::from_str(&line).unwrap();
            if fits(&message) {
                return message;
            }
            self.passed_over.push(message);
        }
    }

    pub(crate) async fn answer(&mut self, id: &Value) -> Value {
        self.next(|message| message.get("method").is_none() && message["id"] == *id)
            .await
    }

    pub(crate) async fn notification(&mut self, method: &str) -> Value {
        self.next(|message| message["method"] == method).await
    }

    pub(crate) async fn ask(&mut self, request: &Value) -> Value {
        self.tell(request).await;
        self.answer(&request["id"]).await
    }

    /// Asks again and again, until the answer `fits`.
    pub(crate) async fn ask_until(
        &mut self,
        request: &Value,
        fits: impl Fn(&Value) -> bool,
    ) -> Value {
        bounded(async {
            loop {
                let answer = self.ask(request).await;
                if fits(&answer) {
                    break answer;
                }
            }
        })
        .await
    }

    /// Ends stdin, and waits for the end: its code.
    pub(crate) async fn hang_up(&mut self) -> i32 {
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

    /// Waits until it has said so on stderr.
    pub(crate) async fn until_it_says(&self, text: &str) {
        let mut said = self.stderr.subscribe();
        let says = |said: &String| said.contains(text);
        drop(bounded(said.wait_for(says)).await.unwrap());
    }

    pub(crate) fn said(&self) -> String {
        self.stderr.borrow().clone()
    }

    /// The person approves at the URL that a call names, as soon as one does.
    pub(crate) async fn approve(&mut self) {
        let wanted = request(900, "completion/complete", &json!({}));
        let refusal = self
            .ask_until(&wanted, |refusal| url_of(refusal).is_some())
            .await;
        drop(
            test_user::approve(&url_of(&refusal).unwrap())
                .await
                .unwrap(),
        );
    }
}

/// Where the person can log in, by an error.
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

pub(crate) fn sum(answer: &Value) -> Option<u64> {
    answer["result"]["structuredContent"]["sum"].as_u64()
}
