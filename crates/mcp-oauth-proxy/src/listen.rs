//! An HTTP endpoint on this machine that adds the token. Its clients never get the token, and requests that a web page makes a browser send are refused (`docs/hostile.md` H166,
//! CVE-2025-49596).

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use mcp_client_oauth::{Secret, platform::Body};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use crate::{
    call_login::{Call, LoginEnd, LoginStep},
    connection::{Opener, Outgoing, ServerConnection},
    elicitation::{is_declared_in, may_require_input},
    error::ProxyError,
    host::UserBrowser,
    http_response::{json_response, text_response},
    http_sessions::HttpSessions,
    jsonrpc::{LOGIN_REQUIRED, Message, SERVER_ERROR, error_response},
    lines::LONGEST_LINE,
    offline_responses::{Reason, offline_response},
    settings::Settings,
};

/// The number of concurrent connections.
const MAX_CONNECTIONS: usize = 256;
/// The pause after the system refuses another connection.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);
/// Headers that belong to one connection (RFC 9110 §7.6.1) or to one side, and are not forwarded.
/// `Accept-Encoding` is among them, because tokens cannot be redacted in a compressed body.
const NOT_FORWARDED: [HeaderName; 14] = [
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
    connection: ServerConnection,
    address: SocketAddr,
    /// The bearer token that a client must send, if any.
    bearer: Option<Secret<String>>,
    settings: Settings,
    sessions: HttpSessions,
}

impl Endpoint {
    pub(crate) fn new(
        connection: ServerConnection,
        address: SocketAddr,
        bearer: Option<Secret<String>>,
        settings: Settings,
    ) -> Self {
        Self {
            sessions: HttpSessions::new(connection.clone(), settings.clone()),
            connection,
            address,
            bearer,
            settings,
        }
    }

    /// Serves connections until it is dropped.
    pub(crate) async fn serve(self, listener: TcpListener) {
        let endpoint = Arc::new(self);
        let clock = &endpoint.connection.platform().clock;
        let mut connections = JoinSet::new();
        loop {
            let has_capacity = connections.len() < MAX_CONNECTIONS;
            tokio::select! {
                accepted = listener.accept(), if has_capacity => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(Arc::clone(&endpoint).serve_connection(stream));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        clock.sleep(ACCEPT_RETRY_DELAY).await;
                    }
                },
                Some(_done) = connections.join_next() => {}
            }
        }
    }

    async fn serve_connection(self: Arc<Self>, stream: TcpStream) {
        let response = service_fn(|request| {
            let endpoint = Arc::clone(&self);
            async move { Ok::<_, Infallible>(endpoint.respond(request).await) }
        });
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new());
        if let Err(error) = server
            .serve_connection(TokioIo::new(stream), response)
            .await
        {
            tracing::debug!(%error, "a connection broke");
        }
    }

    async fn respond(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        if let Err((status, why)) = self.check_request(&head.headers) {
            return text_response(status, why);
        }
        let Some(url) = self.target_url(&head.uri) else {
            return text_response(StatusCode::NOT_FOUND, "no MCP server at this path");
        };
        let body = match Limited::new(body, LONGEST_LINE).collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => {
                return text_response(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "the request is larger than 64 MiB or incomplete",
                );
            }
        };
        if let Some(response) = self.sessions.respond(&head, &body).await {
            return response;
        }
        let mut outgoing = Outgoing {
            method: head.method,
            url,
            headers: end_to_end_headers(&head.headers),
            body,
            timeout: self.settings.limits.timeout,
        };
        let mut call = self.call(&mut outgoing);
        loop {
            let mut logins = self.connection.logins();
            let error = match self.connection.send(&outgoing).await {
                Ok(response) => {
                    let (mut head, body) = response.into_parts();
                    head.headers = end_to_end_headers(&head.headers);
                    return Response::from_parts(head, body);
                }
                Err(error) => error,
            };
            match &mut call {
                // The client shows the login itself. Its call is sent again after the login.
                Some(call) if matches!(error, ProxyError::LoginRequired) => {
                    if let Some(response) = self.log_in_by_client(call, &mut logins).await {
                        return response;
                    }
                }
                _ => return self.failure_response(&outgoing.body, error).await,
            }
        }
    }

    /// Returns the call of a client of MCP 2026-07-28 that shows a login to the user, and reads the action of
    /// the user from it. A client of MCP 2025-11-25 that does so has a session in `sessions`.
    fn call(&self, outgoing: &mut Outgoing) -> Option<Call> {
        memchr::memmem::find(&outgoing.body, b"elicitation")?;
        let message = Message::parse(&outgoing.body).ok()?;
        let is_shown = may_require_input(&message) && is_declared_in(&message);
        let call = is_shown.then(|| {
            Call::new(
                self.connection.clone(),
                Arc::new(message),
                self.settings.login_wait,
            )
        })?;
        outgoing.body = call.message.line.clone();
        Some(call)
    }

    /// Lets the client show the login for a call, or waits for a login that it shows. Returns none after the
    /// login, or the response to the call.
    async fn log_in_by_client(
        &self,
        call: &mut Call,
        logins: &mut watch::Receiver<u64>,
    ) -> Option<Response<Body>> {
        let message = Arc::clone(&call.message);
        let raw_id = message.raw_id.as_deref()?;
        let end = if self.connection.host().user_browser() == UserBrowser::Remote {
            LoginEnd::Refuse(self.connection.text_without_url())
        } else {
            match call.request_login(raw_id).await {
                LoginStep::Respond(response) => LoginEnd::Respond(response),
                LoginStep::Refuse(text) => LoginEnd::Refuse(text),
                LoginStep::Send(_) | LoginStep::Wait => call.wait_for_login(logins, raw_id).await,
            }
        };
        let line = match end {
            LoginEnd::Repeat => return None,
            LoginEnd::Respond(line) => line,
            LoginEnd::Refuse(text) => {
                let reason = Reason {
                    text: &text,
                    needs_login: true,
                    url: None,
                    tool: None,
                };
                offline_response(&message, raw_id, reason)
            }
        };
        Some(json_response(StatusCode::OK, line))
    }

    /// Checks the `Host`, the `Origin` and the bearer token of a request. A foreign `Host` is a sign of DNS
    /// rebinding, and a foreign `Origin` a sign of a web page; both are refused.
    fn check_request(&self, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
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
                "this endpoint does not serve this host",
            ));
        }
        if headers.contains_key(header::ORIGIN) {
            let origin = text(header::ORIGIN).unwrap_or_default();
            let is_own = hosts.iter().any(|own| origin == format!("http://{own}"));
            if !is_own {
                return Err((
                    StatusCode::FORBIDDEN,
                    "requests of web pages are not allowed",
                ));
            }
        }
        match &self.bearer {
            None => Ok(()),
            Some(bearer) if has_bearer_token(headers, bearer) => Ok(()),
            Some(_) => Err((
                StatusCode::UNAUTHORIZED,
                "this endpoint requires its own bearer token",
            )),
        }
    }

    /// Returns the URL of the server for its path and for `/`; other paths of its host are not served.
    fn target_url(&self, uri: &http::Uri) -> Option<url::Url> {
        let own = self.connection.url();
        if ![own.path(), "/"].contains(&uri.path()) {
            return None;
        }
        let mut url = own.clone();
        if uri.query().is_some() {
            url.set_query(uri.query());
        }
        Some(url)
    }

    /// Builds the response for an error: a JSON-RPC error for MCP clients, and a status for other clients.
    async fn failure_response(&self, body: &Bytes, error: ProxyError) -> Response<Body> {
        let (status, code, text, data) = match error {
            ProxyError::LoginRequired => {
                self.connection.request_start(Opener::Host);
                let needed = self.connection.login_needed().await;
                let data = needed.url.map(|url| serde_json::json!({ "url": url }));
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    LOGIN_REQUIRED,
                    needed.text,
                    data,
                )
            }
            error => {
                let text = self.connection.host().describe(&error);
                (StatusCode::BAD_GATEWAY, SERVER_ERROR, text, None)
            }
        };
        let message = Message::parse(body).ok();
        let id = message
            .as_ref()
            .and_then(|message| message.raw_id.as_deref());
        json_response(status, error_response(id, code, &text, data))
    }
}

/// Returns the values of `Host` that name this endpoint, without the port too if it is 80.
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

/// Compares the bearer token in constant time.
fn has_bearer_token(headers: &HeaderMap, bearer: &Secret<String>) -> bool {
    let given = headers
        .get(header::AUTHORIZATION)
        .map(HeaderValue::as_bytes);
    let given = given.and_then(|value| value.strip_prefix(b"Bearer "));
    let (given, own) = (given.unwrap_or_default(), bearer.expose().as_bytes());
    let pairs = given.iter().zip(own);
    let differences = pairs.fold(0, |all, (one, other)| all | (one ^ other));
    given.len() == own.len() && differences == 0
}

fn end_to_end_headers(headers: &HeaderMap) -> HeaderMap {
    let mut passed = headers.clone();
    for name in NOT_FORWARDED {
        passed.remove(name);
    }
    passed.remove("keep-alive");
    passed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_must_be_an_address_of_the_endpoint() {
        let is_own = |address: &str, host: &str| {
            own_hosts(address.parse().unwrap()).contains(&host.to_owned())
        };
        assert!(is_own("127.0.0.2:8080", "127.0.0.2:8080"));
        assert!(is_own("127.0.0.1:80", "localhost") && is_own("[::1]:80", "[::1]"));
        assert!(!is_own("127.0.0.1:8080", "localhost"));
        assert!(!is_own("127.0.0.1:8080", "127.0.0.2:8080"));
    }

    #[test]
    fn only_the_exact_bearer_token_is_accepted() {
        let own = Secret::new("own".to_owned());
        let carries = |value| {
            let value = HeaderValue::from_static(value);
            has_bearer_token(
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
