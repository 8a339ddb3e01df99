//! A server that a test plays by hand: it gets each request as it comes, and says what it likes, when
//! it likes.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::support::bounded;

/// The server. Each request has a connection of its own.
pub(crate) struct Hand {
    pub(crate) url: String,
    requests: mpsc::UnboundedReceiver<Asked>,
    /// What came while something else was waited for.
    passed_over: Vec<Asked>,
}

/// A request, and the connection that waits for its answer. Dropping it closes that.
pub(crate) struct Asked {
    pub(crate) http: String,
    pub(crate) head: String,
    pub(crate) message: Value,
    connection: TcpStream,
}

impl Hand {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let (sender, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let sender = sender.clone();
                tokio::spawn(async move {
                    if let Some(asked) = Asked::read(connection).await {
                        let _over = sender.send(asked);
                    }
                });
            }
        });
        Self {
            url,
            requests,
            passed_over: Vec::new(),
        }
    }

    /// The next request that `fits`; what comes before waits for who asks for it.
    pub(crate) async fn next(&mut self, fits: impl Fn(&Asked) -> bool) -> Asked {
        if let Some(place) = self.passed_over.iter().position(&fits) {
            return self.passed_over.remove(place);
        }
        loop {
            let asked = bounded(self.requests.recv()).await.unwrap();
            if fits(&asked) {
                return asked;
            }
            self.passed_over.push(asked);
        }
    }

    /// The next message with this method.
    pub(crate) async fn told(&mut self, method: &str) -> Asked {
        self.next(|asked| asked.message["method"] == method).await
    }

    /// The next `GET`.
    pub(crate) async fn visited(&mut self) -> Asked {
        self.next(|asked| asked.http == "GET").await
    }

    /// Answers `initialize`, and takes note of the client's word that it has understood.
    pub(crate) async fn shake_hands(&mut self) {
        let hello = self.told("initialize").await;
        let answer = hello.result(&welcome());
        hello.json(&answer).await;
        self.told("notifications/initialized").await.accept().await;
    }

    /// The same by the transport of 2024-11-05: the stream.
    pub(crate) async fn shake_hands_by_stream(&mut self) -> Asked {
        let visit = self.visited().await;
        self.shake_hands_at(visit).await
    }

    /// The same for a visit that has come.
    pub(crate) async fn shake_hands_at(&mut self, visit: Asked) -> Asked {
        let mut stream = visit.stream().await;
        stream.say("event: endpoint\ndata: /messages\n\n").await;
        let hello = self.told("initialize").await;
        let answer = hello.result(&welcome());
        hello.accept().await;
        stream.event(&answer).await;
        self.told("notifications/initialized").await.accept().await;
        stream
    }
}

impl Asked {
    async fn read(mut connection: TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        loop {
            let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
                let length = field(&head, "content-length").unwrap_or_default();
                let body = bytes.get(end + 4..).unwrap_or_default();
                if body.len() >= length.parse().unwrap_or(0) {
                    return Some(Self {
                        http: head.split(' ').next()?.to_uppercase(),
                        message: serde_json::from_slice(body).unwrap_or_default(),
                        head,
                        connection,
                    });
                }
            }
            if connection.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
    }

    pub(crate) fn field(&self, name: &str) -> Option<String> {
        field(&self.head, name)
    }

    /// What answers it.
    pub(crate) fn result(&self, result: &Value) -> Value {
        json!({"jsonrpc": "2.0", "id": self.message["id"], "result": result})
    }

    pub(crate) async fn answer(mut self, status: u16, kind: &str, body: &str) {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
             mcp-session-id: by-hand\r\nconnection: close\r\n\r\n"
        );
        self.say(&format!("{head}{body}")).await;
    }

    pub(crate) async fn json(self, message: &Value) {
        let text = message.to_string();
        self.answer(200, "application/json", &text).await;
    }

    pub(crate) async fn accept(self) {
        self.answer(202, "text/plain", "").await;
    }

    /// Begins an event stream, which is open until this is dropped.
    pub(crate) async fn stream(mut self) -> Self {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                    mcp-session-id: by-hand\r\nconnection: close\r\n\r\n";
        self.say(head).await;
        self
    }

    pub(crate) async fn say(&mut self, text: &str) {
        // Who is gone hears nothing.
        let _gone = bounded(self.connection.write_all(text.as_bytes())).await;
    }

    pub(crate) async fn event(&mut self, message: &Value) {
        self.say(&format!("data: {message}\n\n")).await;
    }

    /// Returns when the other side has closed the connection.
    pub(crate) async fn left(mut self) {
        let mut rest = Vec::new();
        let _gone = bounded(self.connection.read_to_end(&mut rest)).await;
    }
}

fn field(head: &str, name: &str) -> Option<String> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = fields.find(|(field, _)| *field == name)?;
    Some(value.trim().to_owned())
}

fn welcome() -> Value {
    let own = json!({"name": "by hand", "version": "1"});
    json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": own})
}
