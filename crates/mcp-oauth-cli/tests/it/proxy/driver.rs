//! A server that a test drives: the test receives each request and writes the response itself.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::support::bounded;

/// The server. Each request has its own connection.
pub(crate) struct Driver {
    pub(crate) url: String,
    requests: mpsc::UnboundedReceiver<Received>,
    /// Requests that arrived while the test waited for another one.
    unclaimed: Vec<Received>,
}

/// A request, and its connection, which waits for the response. Dropping it closes the connection.
pub(crate) struct Received {
    pub(crate) http: String,
    pub(crate) head: String,
    pub(crate) message: Value,
    connection: TcpStream,
}

impl Driver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let (sender, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let sender = sender.clone();
                tokio::spawn(async move {
                    if let Some(received) = Received::read(connection).await {
                        let _over = sender.send(received);
                    }
                });
            }
        });
        Self {
            url,
            requests,
            unclaimed: Vec::new(),
        }
    }

    /// Returns the next request that `fits`; earlier ones stay for later calls.
    pub(crate) async fn next(&mut self, fits: impl Fn(&Received) -> bool) -> Received {
        if let Some(index) = self.unclaimed.iter().position(&fits) {
            return self.unclaimed.remove(index);
        }
        loop {
            let received = bounded(self.requests.recv()).await.unwrap();
            if fits(&received) {
                return received;
            }
            self.unclaimed.push(received);
        }
    }

    /// Returns the next message with this method.
    pub(crate) async fn request(&mut self, method: &str) -> Received {
        self.next(|received| received.message["method"] == method)
            .await
    }

    /// Returns the next `GET`.
    pub(crate) async fn get(&mut self) -> Received {
        self.next(|received| received.http == "GET").await
    }

    /// Responds to `initialize`, and accepts `notifications/initialized`.
    pub(crate) async fn handshake(&mut self) {
        let initialize = self.request("initialize").await;
        let response = initialize.result(&initialize_result());
        initialize.json(&response).await;
        self.request("notifications/initialized")
            .await
            .accept()
            .await;
    }

    /// Does the handshake of the transport of MCP 2024-11-05, and returns its stream.
    pub(crate) async fn legacy_handshake(&mut self) -> Received {
        let get = self.get().await;
        self.legacy_handshake_on(get).await
    }

    /// Does it for a `GET` that was received before.
    pub(crate) async fn legacy_handshake_on(&mut self, get: Received) -> Received {
        let mut stream = get.stream().await;
        stream.write("event: endpoint\ndata: /messages\n\n").await;
        let initialize = self.request("initialize").await;
        let response = initialize.result(&initialize_result());
        initialize.accept().await;
        stream.event(&response).await;
        self.request("notifications/initialized")
            .await
            .accept()
            .await;
        stream
    }
}

impl Received {
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

    /// Returns a success response to the request.
    pub(crate) fn result(&self, result: &Value) -> Value {
        json!({"jsonrpc": "2.0", "id": self.message["id"], "result": result})
    }

    pub(crate) async fn respond(mut self, status: u16, kind: &str, body: &str) {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
             mcp-session-id: by-driver\r\nconnection: close\r\n\r\n"
        );
        self.write(&format!("{head}{body}")).await;
    }

    pub(crate) async fn json(self, message: &Value) {
        let text = message.to_string();
        self.respond(200, "application/json", &text).await;
    }

    pub(crate) async fn accept(self) {
        self.respond(202, "text/plain", "").await;
    }

    /// Starts an event stream, which stays open until it is dropped.
    pub(crate) async fn stream(mut self) -> Self {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                    mcp-session-id: by-driver\r\nconnection: close\r\n\r\n";
        self.write(head).await;
        self
    }

    pub(crate) async fn write(&mut self, text: &str) {
        // The proxy may have closed the connection.
        let _gone = bounded(self.connection.write_all(text.as_bytes())).await;
    }

    pub(crate) async fn event(&mut self, message: &Value) {
        self.write(&format!("data: {message}\n\n")).await;
    }

    /// Returns when the other side has closed the connection.
    pub(crate) async fn closed(mut self) {
        let mut rest = Vec::new();
        let _gone = bounded(self.connection.read_to_end(&mut rest)).await;
    }
}

fn field(head: &str, name: &str) -> Option<String> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = fields.find(|(field, _)| *field == name)?;
    Some(value.trim().to_owned())
}

fn initialize_result() -> Value {
    let own = json!({"name": "driven", "version": "1"});
    json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": own})
}
