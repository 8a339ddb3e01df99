//! The listener that the browser comes back to: on loopback only, for one login, for one path
//! (RFC 8252 §7.3, §8.3; H49-H66).

use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt,
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::{AbortHandle, JoinSet},
};
use url::Url;
use zeroize::Zeroizing;

use crate::error::AuthorizationError;

mod page;

use page::Page;

/// Says how many connections are open at once; one more ends the oldest, so that a flood does not
/// keep the browser out.
const CONNECTIONS: usize = 32;
/// Says how large the head of a request may be.
const HEAD: usize = 8 * 1024;
/// Says how long a request may take.
const REQUEST: Duration = Duration::from_secs(5);
/// Says how long the browser is given to fetch the last page after the login has ended.
const FAREWELL: Duration = Duration::from_millis(250);

/// A socket that is bound, and not answered yet.
#[derive(Debug)]
pub(super) struct Listener {
    sockets: Vec<StdListener>,
    /// As the redirect URI names us.
    host: String,
    port: u16,
    path: String,
}

/// A callback that came in, waiting to be told what it is.
#[derive(Debug)]
pub(super) struct Callback {
    /// The whole URL, as far as a server can know it.
    pub(super) url: Url,
    verdict: oneshot::Sender<Verdict>,
}

/// Holds what a callback is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// The answer to our request.
    Accepted,
    /// The answer to our request: no.
    Denied,
    /// Somebody's noise: answered, ignored, and the wait goes on.
    NotOurs,
}

impl Callback {
    /// Answers the browser that this is somebody's noise.
    pub(super) fn ignore(self) {
        self.answer(Verdict::NotOurs);
    }

    fn answer(self, verdict: Verdict) {
        // A browser that is gone needs no answer.
        let _ = self.verdict.send(verdict);
    }
}

impl Listener {
    /// Binds `port` (0: any) on loopback. `localhost` means both address families, because a
    /// browser may try either first (H64). No address is shared with another process (H63).
    pub(super) fn bind(host: &str, port: u16, path: &str) -> Result<Self, AuthorizationError> {
        let (v4, v6) = (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
        let first: SocketAddr = match host {
            "[::1]" => (v6, port).into(),
            _ => host
                .parse()
                .map_or((v4, port).into(), |ip: Ipv4Addr| (ip, port).into()),
        };
        let socket = bind(first)?;
        let port = socket.local_addr().map_err(listener_error)?.port();
        let mut sockets = vec![socket];
        if host.eq_ignore_ascii_case("localhost") {
            match bind((v6, port).into()) {
                Ok(socket) => sockets.push(socket),
                Err(AuthorizationError::PortBusy(port)) => {
                    return Err(AuthorizationError::PortBusy(port));
                }
                Err(_no_ipv6_here) => {}
            }
        }
        Ok(Self {
            sockets,
            host: host.to_owned(),
            port,
            path: path.to_owned(),
        })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Starts to answer.
    pub(super) fn serve(self) -> Result<Serving, AuthorizationError> {
        let (callbacks, incoming) = mpsc::channel(CONNECTIONS);
        let (farewell_sent, farewell) = mpsc::channel(1);
        let desk = Arc::new(ListenerState {
            host: self.host,
            port: self.port,
            path: self.path,
            callbacks,
            farewell_sent,
            ended: OnceLock::new(),
        });
        let mut tasks = JoinSet::new();
        for socket in self.sockets {
            let socket = TcpListener::from_std(socket).map_err(listener_error)?;
            tasks.spawn(accept(socket, Arc::clone(&desk)));
        }
        Ok(Serving {
            incoming,
            farewell,
            desk,
            tasks,
        })
    }
}

fn bind(address: SocketAddr) -> Result<StdListener, AuthorizationError> {
    let socket = StdListener::bind(address).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => AuthorizationError::PortBusy(address.port()),
        _ => listener_error(error),
    })?;
    socket.set_nonblocking(true).map_err(listener_error)?;
    Ok(socket)
}

fn listener_error(error: std::io::Error) -> AuthorizationError {
    AuthorizationError::Listener(Arc::new(error))
}

/// A listener at work. Dropping it closes the port and every connection (H65).
#[derive(Debug)]
pub(super) struct Serving {
    incoming: mpsc::Receiver<Callback>,
    farewell: mpsc::Receiver<()>,
    desk: Arc<ListenerState>,
    /// They end with this.
    tasks: JoinSet<()>,
}

impl Serving {
    /// Returns the next callback, ours or not.
    pub(super) async fn next(&mut self) -> Callback {
        match self.incoming.recv().await {
            Some(callback) => callback,
            None => std::future::pending().await,
        }
    }

    /// Answers the callback that ends the login. Whoever comes after it is answered without the
    /// login: a browser that loads the same URL again sees the same page (H55).
    pub(super) fn end(&mut self, callback: Callback, verdict: Verdict) {
        let end = End {
            callback: Zeroizing::new(callback.url.to_string()),
            verdict,
        };
        // There is one end, so the place is free.
        let _ = self.desk.ended.set(end);
        callback.answer(verdict);
        self.incoming.close();
        while self.incoming.try_recv().is_ok() {}
    }

    /// Closes the port; it is free when this returns. A browser that was sent to the last page is
    /// given a moment to fetch it.
    pub(super) async fn close(mut self) {
        if self.desk.ended.get().is_some() {
            // Waiting for a real browser: no protocol time.
            let _ = tokio::time::timeout(FAREWELL, self.farewell.recv()).await;
        }
        self.tasks.shutdown().await;
    }
}

/// Holds what every connection needs to know.
#[derive(Debug)]
struct ListenerState {
    host: String,
    port: u16,
    path: String,
    callbacks: mpsc::Sender<Callback>,
    farewell_sent: mpsc::Sender<()>,
    ended: OnceLock<End>,
}

/// Says how the login ended, and by which callback: its URL holds the code.
struct End {
    callback: Zeroizing<String>,
    verdict: Verdict,
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.verdict.fmt(f)
    }
}

async fn accept(socket: TcpListener, desk: Arc<ListenerState>) {
    let mut connections = Connections::default();
    loop {
        // An error belongs to the one connection that failed, such as one that was reset.
        if let Ok((stream, _)) = socket.accept().await {
            connections.add(tokio::spawn(converse(stream, Arc::clone(&desk))).abort_handle());
        } else {
            pause().await;
        }
    }
}

/// Out of file descriptors, perhaps: some will be free in a moment.
#[expect(
    clippy::disallowed_methods,
    reason = "this is waiting for the system, not time of the protocol"
)]
async fn pause() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// The open connections, oldest first.
#[derive(Default)]
struct Connections(VecDeque<AbortHandle>);

impl Connections {
    fn add(&mut self, connection: AbortHandle) {
        self.0.retain(|open| !open.is_finished());
        if self.0.len() >= CONNECTIONS
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.abort();
        }
        self.0.push_back(connection);
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        for open in &self.0 {
            open.abort();
        }
    }
}

async fn converse(stream: TcpStream, desk: Arc<ListenerState>) {
    let is_last = AtomicBool::new(false);
    let answer =
        service_fn(|request| async { Ok::<_, Infallible>(desk.answer(request, &is_last).await) });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST)
        .max_buf_size(HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    // Whatever went wrong with it, the next one may be the browser.
    let _ = tokio::time::timeout(REQUEST, connection).await;
    if is_last.into_inner() {
        let _ = desk.farewell_sent.try_send(());
    }
}

impl ListenerState {
    async fn answer(
        &self,
        request: Request<Incoming>,
        is_last: &AtomicBool,
    ) -> Response<Full<Bytes>> {
        let (head, _unread) = request.into_parts();
        if !self.is_our_host(&head.headers) {
            return Page::WRONG_HOST.response();
        }
        if head.method != Method::GET || !is_navigation(&head.headers) {
            return Page::NOT_ALLOWED.response();
        }
        // Before the end these pages are nobody's, and must not end the farewell beforehand.
        if self.ended.get().is_some()
            && let Some(page) = Page::at_the_end(&self.path, head.uri.path())
        {
            is_last.store(true, Ordering::Relaxed);
            return page.response();
        }
        if head.uri.path() != self.path {
            return Page::NOT_FOUND.response();
        }
        match self.verdict(&head.uri).await {
            Some(Verdict::Accepted) => self.go_to(Page::DONE_PATH),
            Some(Verdict::Denied) => self.go_to(Page::DENIED_PATH),
            Some(Verdict::NotOurs) | None => Page::NOT_OURS.response(),
        }
    }

    /// Hands the callback to the login, and waits for what it makes of it.
    async fn verdict(&self, uri: &http::Uri) -> Option<Verdict> {
        let url = Url::parse(&format!("http://127.0.0.1:{}{uri}", self.port)).ok()?;
        let text = Zeroizing::new(url.to_string());
        let (verdict, answer) = oneshot::channel();
        let handed = self.callbacks.send(Callback { url, verdict }).await;
        if handed.is_ok()
            && let Ok(verdict) = answer.await
        {
            return Some(verdict);
        }
        let same = self.ended.get().filter(|end| end.callback == text)?;
        Some(same.verdict)
    }

    /// Away from the URL with the code in it, so that it stays in no history (H59).
    fn go_to(&self, end: &str) -> Response<Full<Bytes>> {
        let mut response = Page::MOVED.response();
        let location = format!("{}{end}", self.path.trim_end_matches('/'));
        if let Ok(location) = location.parse() {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }

    /// Returns whether the browser means us: a foreign name that was made to resolve to loopback is
    /// turned away (H61).
    fn is_our_host(&self, headers: &HeaderMap) -> bool {
        let port = self.port;
        let names = ["127.0.0.1", "localhost", "[::1]", self.host.as_str()];
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        host.is_some_and(|host| {
            let with_port = names.iter().any(|name| host == format!("{name}:{port}"));
            with_port || (port == 80 && names.contains(&host))
        })
    }
}

/// Returns whether a person's browser goes to this page, and no other page fetches it (H62). Programs
/// that send no such headers are let through: `state` decides.
fn is_navigation(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-mode")
        .is_none_or(|mode| mode == "navigate")
}

impl Page {
    fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from_static(self.html.as_bytes())));
        *response.status_mut() = self.status;
        response.headers_mut().extend(page::HEADERS.iter().cloned());
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            response
                .headers_mut()
                .insert(header::ALLOW, http::HeaderValue::from_static("GET"));
        }
        response
    }
}
