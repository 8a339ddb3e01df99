//! A page on loopback that leads to a login, so that the URL of the login and its `state` reach the browser
//! only, and neither the model nor the screen and the logs of an application.
//!
//! Each link has 128 random bits and works once. The page is gone when the login has ended.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr, TcpListener as StdListener},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use mcp_client_oauth::platform::{DevicePrompt, Interaction};
use mcp_oauth_support::mutex::lock;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};
use url::Url;

use crate::{login_html as html, random::random_text};

/// The number of concurrent connections: the page has one user.
const MAX_CONNECTIONS: usize = 16;
/// The largest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// The timeout of the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// The number of links of one page. The oldest one becomes invalid.
const MAX_LINKS: usize = 64;

/// The page that the user opens to log in. It has no `Debug`, because the URL contains the `state`.
#[derive(Clone)]
pub(crate) enum LoginTarget {
    /// The authorization endpoint.
    Browser(Url),
    /// The page for the code of a device.
    Device(DevicePrompt),
}

impl LoginTarget {
    /// Returns the host that the user logs in at.
    pub(crate) fn host(&self) -> &str {
        let url = match self {
            Self::Browser(url) => url,
            Self::Device(prompt) => &prompt.verification_uri,
        };
        url.host_str().unwrap_or_default()
    }

    /// Shows it to the user of the host.
    pub(crate) async fn open_by(&self, interaction: &dyn Interaction) {
        match self {
            Self::Browser(url) => interaction.open(url).await,
            Self::Device(prompt) => interaction.show_code(prompt).await,
        }
    }
}

/// The page. It is served until it is dropped.
pub(crate) struct LoginPage {
    address: SocketAddr,
    links: Arc<Mutex<Links>>,
    serving: AbortHandle,
}

/// The paths of the links, and whether each was used.
#[derive(Default)]
struct Links {
    used: HashMap<String, bool>,
    /// The paths, the oldest first.
    order: Vec<String>,
}

struct Server {
    target: LoginTarget,
    address: SocketAddr,
    links: Arc<Mutex<Links>>,
}

impl LoginPage {
    /// Binds any port on loopback, and serves it. No other machine can connect (RFC 8252 §8.3).
    ///
    /// # Errors
    /// No port can be bound.
    pub(crate) fn open(target: LoginTarget) -> std::io::Result<Self> {
        let socket = StdListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        let socket = TcpListener::from_std(socket)?;
        let address = socket.local_addr()?;
        let links = Arc::<Mutex<Links>>::default();
        let server = Server {
            target,
            address,
            links: Arc::clone(&links),
        };
        let serving = tokio::spawn(Arc::new(server).accept(socket)).abort_handle();
        Ok(Self {
            address,
            links,
            serving,
        })
    }

    /// Returns a new link, which works once; none if the system has no randomness.
    pub(crate) fn new_link(&self) -> Option<Url> {
        let path = format!("/{}", random_text()?);
        let link = Url::parse(&format!("http://{}{path}", self.address)).ok()?;
        lock(&self.links).add(path);
        Some(link)
    }
}

impl Drop for LoginPage {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Links {
    fn add(&mut self, path: String) {
        if self.order.len() >= MAX_LINKS {
            self.used.remove(&self.order.remove(0));
        }
        self.order.push(path.clone());
        self.used.insert(path, false);
    }

    /// Uses a link. Returns whether it was unused; none if it is unknown.
    fn take(&mut self, path: &str) -> Option<bool> {
        let used = self.used.get_mut(path)?;
        Some(!std::mem::replace(used, true))
    }
}

impl Server {
    async fn accept(self: Arc<Self>, socket: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            let has_capacity = connections.len() < MAX_CONNECTIONS;
            tokio::select! {
                accepted = socket.accept(), if has_capacity => {
                    // An error concerns one connection, for example one that was reset.
                    if let Ok((stream, _)) = accepted {
                        connections.spawn(Arc::clone(&self).serve_connection(stream));
                    }
                }
                Some(_done) = connections.join_next() => {}
            }
        }
    }

    async fn serve_connection(self: Arc<Self>, stream: TcpStream) {
        let service = service_fn(|request| {
            let response = self.respond(&request);
            async move { Ok::<_, Infallible>(response) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the login page broke");
        }
    }

    fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        // Another name that resolves to loopback is a sign of DNS rebinding.
        let host = request.headers().get(header::HOST);
        if host.is_none_or(|host| host.as_bytes() != self.address.to_string().as_bytes()) {
            return html::fixed(StatusCode::MISDIRECTED_REQUEST, "Misdirected\n");
        }
        if request.method() != Method::GET {
            let mut response = html::fixed(StatusCode::METHOD_NOT_ALLOWED, "Not allowed\n");
            let allowed = http::HeaderValue::from_static("GET");
            response.headers_mut().insert(header::ALLOW, allowed);
            return response;
        }
        // A page that embeds or prefetches the link must not use it up.
        if !is_navigation(request.headers()) {
            return html::fixed(StatusCode::FORBIDDEN, "Open this link in a browser.\n");
        }
        match lock(&self.links).take(request.uri().path()) {
            Some(true) => self.target.response(),
            Some(false) => html::used(),
            None => html::fixed(StatusCode::NOT_FOUND, "Not found\n"),
        }
    }
}

impl LoginTarget {
    fn response(&self) -> Response<Full<Bytes>> {
        match self {
            Self::Browser(url) => html::redirect(url),
            Self::Device(prompt) => match &prompt.verification_uri_complete {
                // The user must see the warning about another host (RFC 8628 §5.4).
                Some(complete) if !prompt.is_third_party_host => html::redirect(complete),
                _ => html::device(prompt),
            },
        }
    }
}

/// Returns whether the browser navigates to the page (Fetch Metadata), and not ahead of the user. Browsers
/// without these headers are accepted.
fn is_navigation(headers: &HeaderMap) -> bool {
    let mode = headers.get("sec-fetch-mode");
    let is_ahead = ["sec-purpose", "purpose"].iter().any(|name| {
        let purpose = headers.get(*name).map(http::HeaderValue::as_bytes);
        purpose.is_some_and(|purpose| memchr::memmem::find(purpose, b"prefetch").is_some())
    });
    mode.is_none_or(|mode| mode == "navigate") && !is_ahead
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const TARGET: &str = "https://as.example/authorize?state=secret";

    fn page() -> LoginPage {
        LoginPage::open(LoginTarget::Browser(TARGET.parse().unwrap())).unwrap()
    }

    async fn get(page: &LoginPage, first_line: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(page.address).await.unwrap();
        let request = format!("{first_line} HTTP/1.1\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        response
    }

    fn host(page: &LoginPage) -> String {
        format!("host: {}\r\n", page.address)
    }

    #[tokio::test]
    async fn a_link_redirects_once_and_leaves_no_trace() {
        let page = page();
        let link = page.new_link().unwrap();
        let request = format!("GET {}", link.path());
        let response = get(&page, &request, &host(&page)).await;
        assert!(response.starts_with("HTTP/1.1 302 "), "{response}");
        for header in [
            &format!("location: {TARGET}\r\n")[..],
            "referrer-policy: no-referrer\r\n",
            "cache-control: no-store\r\n",
        ] {
            assert!(response.contains(header), "{header}: {response}");
        }
        let again = get(&page, &request, &host(&page)).await;
        assert!(again.starts_with("HTTP/1.1 410 "), "{again}");
        assert!(!again.contains("secret"), "{again}");
        // Another link of the same login works.
        let other = page.new_link().unwrap();
        let request = format!("GET {}", other.path());
        let third = get(&page, &request, &host(&page)).await;
        assert!(third.starts_with("HTTP/1.1 302 "), "{third}");
    }

    #[tokio::test]
    async fn only_a_navigation_to_the_link_uses_it() {
        let page = page();
        let link = page.new_link().unwrap();
        let (path, host) = (link.path(), host(&page));
        let port = page.address.port();
        for (line, headers, status) in [
            (
                format!("GET {path}"),
                "host: rebound.example\r\n".to_owned(),
                421,
            ),
            (
                format!("GET {path}"),
                format!("host: localhost:{port}\r\n"),
                421,
            ),
            (format!("GET {path}"), String::new(), 421),
            (format!("HEAD {path}"), host.clone(), 405),
            (format!("POST {path}"), host.clone(), 405),
            (
                format!("GET {path}"),
                format!("{host}sec-fetch-mode: no-cors\r\n"),
                403,
            ),
            (
                format!("GET {path}"),
                format!("{host}sec-purpose: prefetch;prerender\r\n"),
                403,
            ),
            ("GET /".to_owned(), host.clone(), 404),
            (format!("GET {path}x"), host.clone(), 404),
            (format!("GET {path}/"), host.clone(), 404),
        ] {
            let response = get(&page, &line, &headers).await;
            assert!(
                response.starts_with(&format!("HTTP/1.1 {status} ")),
                "{line} {headers}: {response}"
            );
            assert!(!response.contains("secret"), "{response}");
        }
        let response = get(&page, &format!("GET {path}"), &host).await;
        assert!(response.starts_with("HTTP/1.1 302 "), "{response}");
    }

    #[tokio::test]
    async fn the_page_is_gone_with_its_login() {
        let page = page();
        let address = page.address;
        drop(page);
        // The port may accept a connection until the task has ended, but the page serves none.
        let gone = async {
            while let Ok(mut stream) = TcpStream::connect(address).await {
                let mut rest = Vec::new();
                let _reset = stream.read_to_end(&mut rest).await;
                assert!(rest.is_empty());
            }
        };
        tokio::time::timeout(Duration::from_secs(5), gone)
            .await
            .unwrap();
    }

    #[test]
    fn the_oldest_of_many_links_becomes_invalid() {
        let mut links = Links::default();
        for number in 0..=MAX_LINKS {
            links.add(number.to_string());
        }
        assert_eq!(links.take("0"), None);
        assert_eq!(links.take("1"), Some(true));
    }
}
