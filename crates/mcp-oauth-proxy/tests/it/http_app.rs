//! An MCP client of the endpoint, with the lines of a client on pipes: it sends each line as a request, and
//! reads the events of every stream as lines.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use mcp_oauth_proxy::Proxy;
use reqwest::{Client, Response};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream},
    net::TcpListener,
    sync::mpsc,
    task::JoinHandle,
};

use crate::support::App;

/// The session of a client, and the URL of the endpoint.
#[derive(Clone)]
pub(crate) struct Endpoint {
    http: Client,
    url: String,
    session: Arc<Mutex<Option<String>>>,
}

impl Endpoint {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            http: Client::builder().no_proxy().build().unwrap(),
            url: format!("http://{address}/mcp"),
            session: Arc::default(),
        }
    }

    /// Returns a client that starts without a session.
    pub(crate) fn other_client(&self) -> Self {
        Self {
            session: Arc::default(),
            ..self.clone()
        }
    }

    fn request(&self, method: reqwest::Method) -> reqwest::RequestBuilder {
        let request = self.http.request(method, &self.url);
        let request = request.header("accept", "application/json, text/event-stream");
        match &*self.session.lock().unwrap() {
            Some(id) => request.header("mcp-session-id", id),
            None => request,
        }
    }

    pub(crate) async fn post(&self, message: String) -> Response {
        let request = self.request(reqwest::Method::POST);
        let request = request.header("content-type", "application/json");
        let response = request.body(message).send().await.unwrap();
        if let Some(id) = response.headers().get("mcp-session-id") {
            let id = id.to_str().unwrap().to_owned();
            *self.session.lock().unwrap() = Some(id);
        }
        response
    }

    pub(crate) async fn listen(&self) -> Response {
        self.request(reqwest::Method::GET).send().await.unwrap()
    }

    pub(crate) async fn delete(&self) -> Response {
        self.request(reqwest::Method::DELETE).send().await.unwrap()
    }

    /// Returns an app that has this client's session.
    pub(crate) fn app(&self) -> App {
        let (app, pipes) = tokio::io::duplex(1 << 16);
        let endpoint = self.clone();
        App::over(app, tokio::spawn(endpoint.bridge(pipes)))
    }

    async fn bridge(self, pipes: DuplexStream) {
        let (reader, mut writer) = tokio::io::split(pipes);
        let (events, mut received) = mpsc::unbounded_channel::<String>();
        tokio::spawn(async move {
            while let Some(line) = received.recv().await {
                writer
                    .write_all(format!("{line}\n").as_bytes())
                    .await
                    .unwrap();
            }
        });
        let mut lines = BufReader::new(reader).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let initialized = line.contains("notifications/initialized");
            // In order: a response to an elicitation follows the message that it belongs to.
            let response = self.post(line).await;
            tokio::spawn(read_events(response, events.clone()));
            if initialized {
                let response = self.listen().await;
                tokio::spawn(read_events(response, events.clone()));
            }
        }
    }
}

/// Serves the proxy, and returns a client of it.
pub(crate) async fn serve(proxy: Proxy) -> (Endpoint, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::new(listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { proxy.serve_http(listener).await.unwrap() });
    (endpoint, serving)
}

/// Sends the data of each event.
pub(crate) async fn read_events(mut response: Response, events: mpsc::UnboundedSender<String>) {
    let mut text = String::new();
    while let Ok(Some(piece)) = response.chunk().await {
        text.push_str(std::str::from_utf8(&piece).unwrap());
        while let Some((event, rest)) = text.split_once("\n\n") {
            let data = event.lines().find_map(|line| line.strip_prefix("data: "));
            drop(events.send(data.unwrap().to_owned()));
            text = rest.to_owned();
        }
    }
}

/// Returns the messages of a stream that ends.
pub(crate) async fn messages(response: Response) -> Vec<Value> {
    let (events, mut received) = mpsc::unbounded_channel();
    read_events(response, events).await;
    let mut messages = Vec::new();
    while let Some(event) = received.recv().await {
        messages.push(serde_json::from_str(&event).unwrap());
    }
    messages
}
