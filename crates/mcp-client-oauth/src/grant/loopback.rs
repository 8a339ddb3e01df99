//! The listener at the redirect URI: on loopback only, for one login, for one path
//! (RFC 8252 §7.3, §8.3; docs/hostile.md H49-H66).

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

/// The limit of open connections. One more closes the oldest, so that a flood does not block the browser.
const CONNECTIONS: usize = 32;
/// The largest head of a request, in bytes.
const HEAD: usize = 8 * 1024;
/// The timeout of a request.
const REQUEST: Duration = Duration::from_secs(5);
/// The time for the browser to fetch the last page after the login has ended.
const LAST_PAGE_TIMEOUT: Duration = Duration::from_millis(250);

/// Sockets that are bound and not served yet.
#[derive(Debug)]
pub(super) struct Listener {
    sockets: Vec<StdListener>,
    /// The host in the redirect URI.
    host: String,
    port: u16,
    path: String,
}

/// A callback that the login has not checked yet.
#[derive(Debug)]
pub(super) struct Callback {
    /// The whole URL, without the fragment, which browsers do not send.
    pub(super) url: Url,
    verdict: oneshot::Sender<Verdict>,
}

/// The verdict on a callback.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// The response to the authorization request.
    Accepted,
    /// The response to the authorization request: an error.
    Denied,
    /// A callback of another login: it gets an error page and is ignored, and the wait continues.
    UnknownLogin,
}

impl Callback {
    /// Responds that the callback is not of this login.
    pub(super) fn ignore(self) {
        self.respond(Verdict::UnknownLogin);
    }

    fn respond(self, verdict: Verdict) {
        // This fails if the browser has closed the connection.
        let _ = self.verdict.send(verdict);
    }
}

impl Listener {
    /// Binds `port` (0: any) on loopback. `localhost` means both address families, because a
    /// browser may try either first (RFC 8252 §7.3). No address is shared with another process (RFC 8252
    /// §8.3).
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

    /// Starts to serve.
    pub(super) fn serve(self) -> Result<Serving, AuthorizationError> {
        let (callbacks, incoming) = mpsc::channel(CONNECTIONS);
        let (last_page_sent, last_page) = mpsc::channel(1);
        let state = Arc::new(ListenerState {
            host: self.host,
            port: self.port,
            path: self.path,
            callbacks,
            last_page_sent,
            ended: OnceLock::new(),
        });
        let mut tasks = JoinSet::new();
        for socket in self.sockets {
            let socket = TcpListener::from_std(socket).map_err(listener_error)?;
            tasks.spawn(accept(socket, Arc::clone(&state)));
        }
        Ok(Serving {
            incoming,
            last_page,
            state,
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

/// A running listener. Dropping it closes the port and every connection.
#[derive(Debug)]
pub(super) struct Serving {
    incoming: mpsc::Receiver<Callback>,
    last_page: mpsc::Receiver<()>,
    state: Arc<ListenerState>,
    /// One for each socket; they are aborted when this is dropped.
    tasks: JoinSet<()>,
}

impl Serving {
    /// Returns the next callback, of this login or not.
    pub(super) async fn next(&mut self) -> Callback {
        match self.incoming.recv().await {
            Some(callback) => callback,
            None => std::future::pending().await,
        }
    }

    /// Responds to the callback that ends the login. Later callbacks do not reach the login: a browser that
    /// loads the same URL again gets the same page (RFC 6749 §10.5).
    pub(super) fn end(&mut self, callback: Callback, verdict: Verdict) {
        let end = End {
            callback: Zeroizing::new(callback.url.to_string()),
            verdict,
        };
        // This is called once, so the cell is empty.
        let _ = self.state.ended.set(end);
        callback.respond(verdict);
        self.incoming.close();
        while self.incoming.try_recv().is_ok() {}
    }

    /// Closes the port; it is free when this returns. A browser that was redirected to the last page has
    /// [`LAST_PAGE_TIMEOUT`] to fetch it.
    pub(super) async fn close(mut self) {
        if self.state.ended.get().is_some() {
            // This waits for a real browser, so it uses real time and not the clock of the platform.
            let _ = tokio::time::timeout(LAST_PAGE_TIMEOUT, self.last_page.recv()).await;
        }
        self.tasks.shutdown().await;
    }
}

/// Holds the state that all connections share.
#[derive(Debug)]
struct ListenerState {
    host: String,
    port: u16,
    path: String,
    callbacks: mpsc::Sender<Callback>,
    last_page_sent: mpsc::Sender<()>,
    ended: OnceLock<End>,
}

/// The end of a login: its callback, which has the code in its URL, and the verdict.
struct End {
    callback: Zeroizing<String>,
    verdict: Verdict,
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.verdict.fmt(f)
    }
}

async fn accept(socket: TcpListener, state: Arc<ListenerState>) {
    let mut connections = Connections::default();
    loop {
        // An error concerns only one connection, for example one that was reset.
        if let Ok((stream, _)) = socket.accept().await {
            connections
                .add(tokio::spawn(serve_connection(stream, Arc::clone(&state))).abort_handle());
        } else {
            pause().await;
        }
    }
}

/// Waits before the next `accept`, which may have failed because there were no file descriptors left.
#[expect(
    clippy::disallowed_methods,
    reason = "this waits for the operating system, so it uses real time"
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

async fn serve_connection(stream: TcpStream, state: Arc<ListenerState>) {
    let is_last = AtomicBool::new(false);
    let service =
        service_fn(|request| async { Ok::<_, Infallible>(state.respond(request, &is_last).await) });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST)
        .max_buf_size(HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // An error ends this connection alone: the next one may be the browser.
    let _ = tokio::time::timeout(REQUEST, connection).await;
    if is_last.into_inner() {
        let _ = state.last_page_sent.try_send(());
    }
}

impl ListenerState {
    async fn respond(
        &self,
        request: Request<Incoming>,
        is_last: &AtomicBool,
    ) -> Response<Full<Bytes>> {
        let (head, _unread) = request.into_parts();
        if !self.is_expected_host(&head.headers) {
            return Page::WRONG_HOST.response();
        }
        if head.method != Method::GET || !is_navigation(&head.headers) {
            return Page::NOT_ALLOWED.response();
        }
        // No browser is redirected to these pages before the login has ended, so such a request must not
        // count as the last page.
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
            Some(Verdict::UnknownLogin) | None => Page::UNKNOWN_LOGIN.response(),
        }
    }

    /// Passes the callback to the login, and waits for its verdict.
    async fn verdict(&self, uri: &http::Uri) -> Option<Verdict> {
        let url = Url::parse(&format!("http://127.0.0.1:{}{uri}", self.port)).ok()?;
        let text = Zeroizing::new(url.to_string());
        let (verdict, received) = oneshot::channel();
        let sent = self.callbacks.send(Callback { url, verdict }).await;
        if sent.is_ok()
            && let Ok(verdict) = received.await
        {
            return Some(verdict);
        }
        let same = self.ended.get().filter(|end| end.callback == text)?;
        Some(same.verdict)
    }

    /// Redirects to a URL without the code, so that the code does not stay in the browser history (RFC 9700
    /// §4.3.1).
    fn go_to(&self, end: &str) -> Response<Full<Bytes>> {
        let mut response = Page::MOVED.response();
        let location = format!("{}{end}", self.path.trim_end_matches('/'));
        if let Ok(location) = location.parse() {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }

    /// Returns whether `Host` names this listener: another name that resolves to loopback is refused
    /// (DNS rebinding).
    fn is_expected_host(&self, headers: &HeaderMap) -> bool {
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

/// Returns whether the browser navigates to this page, and no other page fetches it (Fetch Metadata).
/// Requests without these headers are accepted: `state` decides.
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
