//! A listener on loopback that forwards to a server and keeps what is sent in both directions.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::{
    Request, Response,
    body::{Body, Bytes, Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use test_support::form_browser::USER_AGENT;
use tokio::{
    net::TcpListener,
    sync::mpsc::{self, Receiver},
};
use url::Url;

/// One request, and its response as far as it was received.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) method: Method,
    /// The URL that the client requested.
    pub(crate) url: Url,
    pub(crate) request_headers: HeaderMap,
    pub(crate) request_body: Vec<u8>,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Mutex<Vec<u8>>,
}

/// All exchanges so far, in the order of their response heads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wire(Arc<Mutex<Vec<Arc<Exchange>>>>);

/// A listener, and the port of the server that it forwards to.
#[derive(Debug)]
pub(crate) struct Tap {
    pub(crate) public: u16,
    pub(crate) listen: u16,
}

impl Exchange {
    pub(crate) fn is_of_browser(&self) -> bool {
        self.request_headers
            .get(header::USER_AGENT)
            .is_some_and(|agent| agent == USER_AGENT)
    }

    /// Returns a parameter of a form in the request.
    pub(crate) fn form(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(&self.request_body)
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// Returns whether the request registers a client (RFC 7591 §3.1).
    pub(crate) fn is_registration(&self) -> bool {
        self.sent_json().get("redirect_uris").is_some()
    }

    /// The JSON in the request, or null.
    pub(crate) fn sent_json(&self) -> Value {
        serde_json::from_slice(&self.request_body).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.body)).into_owned()
    }

    /// Returns a member of a JSON object in the response.
    pub(crate) fn member(&self, name: &str) -> Option<String> {
        let body: Value = serde_json::from_str(&self.text()).ok()?;
        body[name].as_str().map(str::to_owned)
    }
}

impl Wire {
    /// Listens on a free port of loopback, and forwards to another one that is free now.
    pub(crate) async fn tap(&self) -> Tap {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let public = listener.local_addr().unwrap().port();
        // The server binds it next. Connections are refused until then, and none is made before
        // the server says that it listens.
        let listen = std::net::TcpListener::bind(("127.0.0.1", 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        tokio::spawn(self.clone().accept(listener, public, listen));
        Tap { public, listen }
    }

    async fn accept(self, listener: TcpListener, public: u16, listen: u16) {
        let http = http();
        while let Ok((stream, _)) = listener.accept().await {
            let (wire, http) = (self.clone(), http.clone());
            let service = service_fn(move |request| {
                let (wire, http) = (wire.clone(), http.clone());
                async move { Ok::<_, Infallible>(wire.forward(&http, request, public, listen).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    }

    async fn forward(
        &self,
        http: &reqwest::Client,
        request: Request<Incoming>,
        public: u16,
        listen: u16,
    ) -> Response<Relayed> {
        let (head, body) = request.into_parts();
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        let body = body.unwrap_or_default();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let url = format!("http://127.0.0.1:{listen}{path}");
        let mut headers = head.headers.clone();
        end_to_end(&mut headers);
        let sent = http
            .request(head.method.clone(), url)
            .headers(headers)
            .body(body.clone())
            .send()
            .await;
        let mut received = match sent {
            Ok(received) => received,
            Err(error) => return unreachable(&error),
        };
        let host = head
            .headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let host = host.map_or_else(|| format!("127.0.0.1:{public}"), str::to_owned);
        let exchange = Arc::new(Exchange {
            method: head.method,
            url: format!("http://{host}{path}").parse().unwrap(),
            request_headers: head.headers,
            request_body: body.to_vec(),
            status: received.status(),
            headers: received.headers().clone(),
            body: Mutex::default(),
        });
        lock(&self.0).push(exchange.clone());
        let mut response = Response::builder().status(received.status());
        let mut headers = received.headers().clone();
        end_to_end(&mut headers);
        *response.headers_mut().unwrap() = headers;
        let (sender, chunks) = mpsc::channel(16);
        tokio::spawn(async move {
            while let Ok(Some(chunk)) = received.chunk().await {
                lock(&exchange.body).extend_from_slice(&chunk);
                if sender.send(chunk).await.is_err() {
                    return;
                }
            }
        });
        response.body(Relayed(chunks)).unwrap()
    }

    /// Returns the number of exchanges, as a mark for [`Self::since`].
    pub(crate) fn mark(&self) -> usize {
        lock(&self.0).len()
    }

    /// Returns what the client sent after the mark, without what the browser sent.
    pub(crate) fn since(&self, mark: usize) -> Vec<Arc<Exchange>> {
        let all = lock(&self.0);
        all[mark..]
            .iter()
            .filter(|exchange| !exchange.is_of_browser())
            .cloned()
            .collect()
    }

    /// Returns where the browser was sent after the mark.
    pub(crate) fn redirects_since(&self, mark: usize) -> Vec<String> {
        let all = lock(&self.0);
        let browser = all[mark..]
            .iter()
            .filter(|exchange| exchange.is_of_browser());
        let targets = browser.filter_map(|exchange| exchange.headers.get(header::LOCATION));
        targets
            .filter_map(|to| Some(to.to_str().ok()?.to_owned()))
            .collect()
    }

    /// Returns the last successful token response.
    pub(crate) fn last_tokens(&self) -> Option<Arc<Exchange>> {
        let all = self.since(0);
        all.into_iter()
            .rev()
            .find(|exchange| exchange.form("grant_type").is_some() && exchange.status.is_success())
    }
}

/// A client that follows no redirect and uses no proxy.
pub(crate) fn http() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap()
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes what is for one connection only (RFC 9110 §7.6.1), and the length, which is computed
/// again.
fn end_to_end(headers: &mut HeaderMap) {
    for name in [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::CONTENT_LENGTH,
        HeaderName::from_static("keep-alive"),
    ] {
        headers.remove(name);
    }
}

fn unreachable(error: &reqwest::Error) -> Response<Relayed> {
    let (sender, chunks) = mpsc::channel(1);
    sender.try_send(Bytes::from(error.to_string())).unwrap();
    let mut response = Response::new(Relayed(chunks));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}

/// A body that is handed on while it is received.
#[derive(Debug)]
struct Relayed(Receiver<Bytes>);

impl Body for Relayed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(context)
            .map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}

/// A listener of the driver itself, with its address.
pub(crate) async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}
