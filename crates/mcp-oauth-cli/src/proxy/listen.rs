//! `proxy --listen`: an HTTP endpoint on this machine that adds the token. Whoever asks there never
//! sees it; what a web page makes a browser ask is refused (H166, CVE-2025-49596).

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use mcp_client_oauth::{Secret, platform::Body};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{
    connection::{Outgoing, ServerConnection},
    error::Trouble,
    jsonrpc::{LOGIN_REQUIRED, Message, SERVER_ERROR, error},
    stdio::LONGEST_LINE,
};
use crate::hints::Subject;

/// Says how many connections are open at once.
const AT_ONCE: usize = 256;
/// Says how long to wait where the system gives no more connections.
const NO_MORE: Duration = Duration::from_millis(100);
/// Holds what belongs to one connection, or to one side alone (RFC 9110 §7.6.1), and is not passed on. In
/// what a server has compressed nothing of ours is found.
const OF_ONE_SIDE: [HeaderName; 14] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::CONTENT_LENGTH,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::HOST,
    header::ORIGIN,
    header::AUTHORIZATION,
    header::COOKIE,
    header::SET_COOKIE,
    header::WWW_AUTHENTICATE,
    header::EXPECT,
    header::ACCEPT_ENCODING,
];

/// The endpoint.
pub(crate) struct Endpoint {
    door: ServerConnection,
    address: SocketAddr,
    /// Holds what a client has to bring, if anything.
    bearer: Option<Secret<String>>,
    patience: Duration,
    subject: Subject,
}

impl Endpoint {
    pub(crate) fn new(
        door: ServerConnection,
        address: SocketAddr,
        bearer: Option<Secret<String>>,
        patience: Duration,
        subject: Subject,
    ) -> Self {
        Self {
            door,
            address,
            bearer,
            patience,
            subject,
        }
    }

    /// Answers until it is dropped.
    pub(crate) async fn serve(self, listener: TcpListener) {
        let endpoint = Arc::new(self);
        let clock = &endpoint.door.platform().clock;
        let mut connections = JoinSet::new();
        loop {
            let has_place = connections.len() < AT_ONCE;
            tokio::select! {
                accepted = listener.accept(), if has_place => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(Arc::clone(&endpoint).converse(stream));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        clock.sleep(NO_MORE).await;
                    }
                },
                Some(_done) = connections.join_next() => {}
            }
        }
    }

    async fn converse(self: Arc<Self>, stream: TcpStream) {
        let answer = service_fn(|request| {
            let endpoint = Arc::clone(&self);
            async move { Ok::<_, Infallible>(endpoint.answer(request).await) }
        });
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new());
        if let Err(error) = server.serve_connection(TokioIo::new(stream), answer).await {
            tracing::debug!(%error, "a connection has broken");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        if let Err((status, why)) = self.admit(&head.headers) {
            return said(status, why);
        }
        let Some(url) = self.meant(&head.uri) else {
            return said(StatusCode::NOT_FOUND, "the MCP server is not here");
        };
        let body = match Limited::new(body, LONGEST_LINE).collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => {
                return said(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "larger than 64 MiB, or cut off",
                );
            }
        };
        let outgoing = Outgoing {
            method: head.method,
            url,
            headers: passed_on(&head.headers),
            body,
            patience: self.patience,
        };
        match self.door.send(&outgoing).await {
            Ok(answer) => {
                let (mut head, body) = answer.into_parts();
                head.headers = passed_on(&head.headers);
                Response::from_parts(head, body)
            }
            Err(trouble) => self.refused(&outgoing.body, trouble).await,
        }
    }

    /// A name that a stranger's DNS leads here (rebinding) is not ours, and no web page is a client.
    fn admit(&self, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
        let hosts = own_hosts(self.address);
        let text = |name| {
            headers
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok())
        };
        let host = text(header::HOST).unwrap_or_default();
        if !hosts.iter().any(|own| own.eq_ignore_ascii_case(host)) {
            return Err((
                StatusCode::MISDIRECTED_REQUEST,
                "this host is not served here",
            ));
        }
        if headers.contains_key(header::ORIGIN) {
            let origin = text(header::ORIGIN).unwrap_or_default();
            let is_own = hosts.iter().any(|own| origin == format!("http://{own}"));
            if !is_own {
                return Err((StatusCode::FORBIDDEN, "no web page may ask here"));
            }
        }
        match &self.bearer {
            None => Ok(()),
            Some(bearer) if carries(headers, bearer) => Ok(()),
            Some(_) => Err((
                StatusCode::UNAUTHORIZED,
                "this endpoint has a token of its own",
            )),
        }
    }

    /// Returns the server's own URL, by its path or by `/`; nothing else of its host is here.
    fn meant(&self, uri: &http::Uri) -> Option<url::Url> {
        let own = self.door.url();
        if ![own.path(), "/"].contains(&uri.path()) {
            return None;
        }
        let mut url = own.clone();
        if uri.query().is_some() {
            url.set_query(uri.query());
        }
        Some(url)
    }

    /// Returns a client of MCP understands an error of JSON-RPC; the status is for everybody else.
    async fn refused(&self, body: &Bytes, trouble: Trouble) -> Response<Body> {
        let (status, code, text, data) = match trouble {
            Trouble::Login => {
                self.door.retry_login();
                let wanted = self.door.wanted().await;
                let data = wanted.url.map(|url| serde_json::json!({ "url": url }));
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    LOGIN_REQUIRED,
                    wanted.text,
                    data,
                )
            }
            trouble => {
                let text = trouble.told(&self.subject);
                (StatusCode::BAD_GATEWAY, SERVER_ERROR, text, None)
            }
        };
        let message = Message::read(body).ok();
        let id = message
            .as_ref()
            .and_then(|message| message.raw_id.as_deref());
        let mut answer = Response::new(Body::full(error(id, code, &text, data)));
        *answer.status_mut() = status;
        let json = HeaderValue::from_static("application/json");
        answer.headers_mut().insert(header::CONTENT_TYPE, json);
        answer
    }
}

/// Returns what a client may call this endpoint, without the port as well where that is the one of http.
fn own_hosts(address: SocketAddr) -> Vec<String> {
    let port = address.port();
    let usual = ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("{host}:{port}"));
    let mut hosts = Vec::from(usual);
    hosts.push(address.to_string());
    let bare = hosts.iter().filter_map(|host| host.strip_suffix(":80"));
    let bare: Vec<_> = bare.map(str::to_owned).collect();
    hosts.extend(bare);
    hosts
}

/// In a time that does not tell how much of it was right.
fn carries(headers: &HeaderMap, bearer: &Secret<String>) -> bool {
    let given = headers
        .get(header::AUTHORIZATION)
        .map(HeaderValue::as_bytes);
    let given = given.and_then(|value| value.strip_prefix(b"Bearer "));
    let (given, own) = (given.unwrap_or_default(), bearer.expose().as_bytes());
    let pairs = given.iter().zip(own);
    let differences = pairs.fold(0, |all, (one, other)| all | (one ^ other));
    given.len() == own.len() && differences == 0
}

fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let mut passed = headers.clone();
    for name in OF_ONE_SIDE {
        passed.remove(name);
    }
    passed.remove("keep-alive");
    passed
}

fn said(status: StatusCode, why: &'static str) -> Response<Body> {
    let mut answer = Response::new(Body::full(Bytes::from_static(why.as_bytes())));
    *answer.status_mut() = status;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_called_by_its_address() {
        let is_own = |address: &str, host: &str| {
            own_hosts(address.parse().unwrap()).contains(&host.to_owned())
        };
        assert!(is_own("127.0.0.2:8080", "127.0.0.2:8080"));
        assert!(is_own("127.0.0.1:80", "localhost") && is_own("[::1]:80", "[::1]"));
        assert!(!is_own("127.0.0.1:8080", "localhost"));
        assert!(!is_own("127.0.0.1:8080", "127.0.0.2:8080"));
    }

    #[test]
    fn a_token_of_its_own_is_compared_whole() {
        let own = Secret::new("own".to_owned());
        let carries = |value| {
            let value = HeaderValue::from_static(value);
            carries(
                &HeaderMap::from_iter([(header::AUTHORIZATION, value)]),
                &own,
            )
        };
        assert!(carries("Bearer own"));
        for other in [
            "Bearer",
            "Bearer ow",
            "Bearer owns",
            "Bearer oWn",
            "own",
            "bearer own",
        ] {
            assert!(!carries(other), "{other}");
        }
    }
}
