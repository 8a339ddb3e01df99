//! Tokens for the sockets of `tokio-tungstenite`: the token is in the header of the opening handshake
//! (RFC 6455 §4.1), and never in the URL (RFC 6750 §2.3).
//!
//! For `wss:` the application selects the TLS implementation: it depends on `tokio-tungstenite` with a
//! feature such as `rustls-tls-native-roots`.
//!
//! ```no_run
//! # async fn run(session: mcp_client_oauth::Session) -> Result<(), Box<dyn std::error::Error>> {
//! use mcp_oauth_adapters::websocket;
//!
//! let (socket, _) = websocket::connect(&session, "wss://mcp.example/mcp/socket").await?;
//! # Ok(())
//! # }
//! ```

use http::{HeaderMap, Method, StatusCode};
use mcp_client_oauth::{
    Error,
    adapters::{self, Credentials, ResponseHead, TokenSource},
};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Error as SocketError,
        client::IntoClientRequest,
        handshake::client::{Request, Response},
    },
};
use url::Url;

/// An open WebSocket.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Says why no WebSocket was opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No token, or the URL is not part of its resource.
    #[error(transparent)]
    Authorization(#[from] Error),
    /// The network failed, or the server refused the handshake.
    #[error("cannot open the WebSocket: {0}")]
    Socket(#[from] Box<SocketError>),
}

impl From<SocketError> for ConnectError {
    fn from(error: SocketError) -> Self {
        Self::Socket(Box::new(error))
    }
}

/// Opens a WebSocket with a token of `source`; if the handshake is refused, once more with another
/// one. `ws:` and `wss:` stand for `http:` and `https:` (RFC 6455 §3), so a token for an https resource is
/// not sent to a `ws:` URL.
///
/// # Errors
/// [`ConnectError`].
pub async fn connect(
    source: &dyn TokenSource,
    request: impl IntoClientRequest,
) -> Result<(Socket, Response), ConnectError> {
    let request = request.into_client_request()?;
    let url = url_of(&request).ok_or_else(|| {
        SocketError::Url(tokio_tungstenite::tungstenite::error::UrlError::UnsupportedUrlScheme)
    })?;
    let open = |credentials: Credentials| {
        let mut request = request.clone();
        credentials.apply(request.headers_mut());
        async move { Handshake::of(Box::pin(connect_async(request)).await) }
    };
    match adapters::send(source, &Method::GET, &url, open).await?? {
        Handshake::Accepted(socket, response) => Ok((*socket, response)),
        Handshake::Refused(response) => Err(SocketError::Http(response).into()),
    }
}

/// The response to an opening handshake.
enum Handshake {
    Accepted(Box<Socket>, Response),
    Refused(Box<http::Response<Option<Vec<u8>>>>),
}

impl Handshake {
    fn of(outcome: Result<(Socket, Response), SocketError>) -> Result<Self, SocketError> {
        match outcome {
            Ok((socket, response)) => Ok(Self::Accepted(Box::new(socket), response)),
            Err(SocketError::Http(response)) => Ok(Self::Refused(response)),
            Err(error) => Err(error),
        }
    }
}

impl ResponseHead for Handshake {
    fn status(&self) -> StatusCode {
        match self {
            Self::Accepted(_, response) => response.status(),
            Self::Refused(response) => response.status(),
        }
    }

    fn headers(&self) -> &HeaderMap {
        match self {
            Self::Accepted(_, response) => response.headers(),
            Self::Refused(response) => response.headers(),
        }
    }
}

/// Returns the URL of the handshake, which is an HTTP request.
fn url_of(request: &Request) -> Option<Url> {
    let text = request.uri().to_string();
    let (scheme, rest) = text.split_once("://")?;
    let scheme = match scheme {
        "ws" | "http" => "http",
        "wss" | "https" => "https",
        _ => return None,
    };
    Url::parse(&format!("{scheme}://{rest}")).ok()
}
