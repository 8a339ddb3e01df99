//! An MCP client by the official `rmcp` crate, whose requests carry our tokens.

use std::{
    collections::HashMap,
    error::Error as StdError,
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::stream::BoxStream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use rmcp::{
    model::{
        ClientCapabilities, ClientConfig, ClientJsonRpcMessage, ExtensionCapabilities,
        ProtocolVersion,
    },
    service::{
        ClientInitializeError, ClientLifecycleMode, ClientServiceExt, RoleClient, RunningService,
    },
    transport::{
        StreamableHttpClientTransport,
        streamable_http_client::{
            SseError, StreamableHttpClient, StreamableHttpClientTransportConfig,
            StreamableHttpError, StreamableHttpPostResponse, StreamableHttpResponseLimits,
        },
    },
};
use sse_stream::Sse;
use url::Url;

use crate::{
    authorized::{Credentials, retry::with_token},
    client::Client,
    error::Error,
    platform::{self, HttpErrorKind, METADATA_DEADLINE, ReqwestClient},
    proto::{challenge::Challenge, dpop, token::AuthScheme},
    session::{Session, TokenSource},
    store::LoginKey,
};

type Failure = StreamableHttpError<reqwest::Error>;

/// Says how often the server is asked for a nonce because of one request (H181).
const PROBES: usize = 2;

/// An HTTP client for `rmcp`'s streamable HTTP transport that sends a token with every request,
/// and another one, once, when it is refused (spec-checklist A4). A token that is bound to a key goes
/// with a proof of its own for each request.
///
/// `rmcp` passes on the first `WWW-Authenticate` line of a 403, and no other. A server that asks for a
/// wider scope in a second line is not heard here: the request fails with 403, and sending it again
/// for that line could do its work twice. [`Authorized`](crate::Authorized) reads every line.
#[derive(Clone)]
pub struct AuthorizedClient {
    http: reqwest::Client,
    source: Arc<dyn TokenSource>,
}

/// Says why there is no MCP connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No token, or no HTTP client.
    #[error(transparent)]
    Authorization(#[from] Error),
    /// The server and `rmcp` did not come together.
    #[error("the MCP server cannot be used: {0}")]
    Mcp(#[from] Box<ClientInitializeError>),
}

/// Returns what a client whose tokens come from `source` has to declare: the extension by which they are got
/// (spec-checklist J14). `rmcp` sends it with each request of 2026-07-28.
pub fn capabilities(source: &dyn TokenSource) -> ClientCapabilities {
    let mut capabilities = ClientCapabilities::default();
    capabilities.extensions = source.mcp_extension().map(|name| {
        let mut extensions = ExtensionCapabilities::new();
        extensions.insert(name.to_owned(), serde_json::Map::new());
        extensions
    });
    capabilities
}

/// Connects to the server of `source` and negotiates the protocol version: 2026-07-28 where the
/// server speaks it, else an `initialize` of an earlier one. Connections are made as a
/// [`ReqwestClient`] makes them by default; for authorities, a certificate or a resolver of your own
/// there is [`connect_over`].
///
/// # Errors
/// [`ConnectError`]; a missing login is found before the server is asked.
pub async fn connect(
    source: Arc<dyn TokenSource>,
) -> Result<RunningService<RoleClient, ClientConfig>, ConnectError> {
    connect_with_http_client(source, &ReqwestClient::default(), default_lifecycle()).await
}

/// Returns the same without a negotiation, where it is known which protocol version the server speaks.
///
/// # Errors
/// As [`connect`].
pub async fn connect_with_lifecycle(
    source: Arc<dyn TokenSource>,
    lifecycle: ClientLifecycleMode,
) -> Result<RunningService<RoleClient, ClientConfig>, ConnectError> {
    connect_with_http_client(source, &ReqwestClient::default(), lifecycle).await
}

/// Returns the lifecycle of [`connect`], for [`connect_over`].
pub fn default_lifecycle() -> ClientLifecycleMode {
    ClientLifecycleMode::Auto {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        legacy_version: None,
    }
}

/// Returns the same over a network of the caller's.
///
/// # Errors
/// As [`connect`].
pub async fn connect_with_http_client(
    source: Arc<dyn TokenSource>,
    network: &ReqwestClient,
    lifecycle: ClientLifecycleMode,
) -> Result<RunningService<RoleClient, ClientConfig>, ConnectError> {
    source.token().await?;
    let mut client_config = ClientConfig::default();
    client_config.capabilities = capabilities(&*source);
    let config = StreamableHttpClientTransportConfig::with_uri(source.server().as_str());
    let client = AuthorizedClient::over(source, network)?;
    let transport = StreamableHttpClientTransport::with_client(client, config);
    client_config
        .serve_with_lifecycle(transport, lifecycle)
        .await
        .map_err(|error| Box::new(error).into())
}

impl Session {
    /// Returns an MCP client with the tokens of this session; see [`connect`]. What its platform sends by is
    /// not asked: for a network of your own there is [`connect_over`].
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn mcp(&self) -> Result<RunningService<RoleClient, ClientConfig>, ConnectError> {
        connect(Arc::new(self.clone())).await
    }
}

impl Client {
    /// Returns an MCP client with the tokens of `key`, if somebody has logged in; see [`connect`].
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn mcp(
        &self,
        key: &LoginKey,
    ) -> Result<RunningService<RoleClient, ClientConfig>, ConnectError> {
        self.session_or_error(key).await?.mcp().await
    }
}

/// Returns why the network failed, if that is why `rmcp` did: a certificate that is not accepted, say. Give it
/// what [`authorization_error`] takes.
pub fn network_cause(error: &(dyn StdError + 'static)) -> Option<HttpErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<reqwest::Error>() {
            return Some(platform::cause_of(error));
        }
        next = match error.downcast_ref::<Failure>() {
            Some(Failure::Client(error)) => return Some(platform::cause_of(error)),
            _ => below(error),
        };
    }
    None
}

/// Our own error, if it is why `rmcp` failed: a login that is needed, say. Give it a
/// `ServiceError`, a `ClientInitializeError`, or any error that has one of them as its source.
pub fn authorization_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        let carried = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if let Some(own) = carried.and_then(|carried| carried.downcast_ref::<Error>()) {
            return Some(own);
        }
        let initialize = error.downcast_ref::<ClientInitializeError>();
        if let Some(ClientInitializeError::LegacyFallbackFailed { discover, fallback }) = initialize
        {
            return authorization_error(&**fallback).or_else(|| authorization_error(&**discover));
        }
        next = below(error);
    }
    None
}

/// Returns the source of an error. `rmcp` does not name the transport's error as the source of its own.
fn below<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<ClientInitializeError>() {
        Some(ClientInitializeError::TransportError { error, .. }) => Some(&*error.error),
        Some(ClientInitializeError::LegacyFallbackFailed { fallback, .. }) => Some(&**fallback),
        _ => error.source(),
    }
}

impl AuthorizedClient {
    /// Sends with tokens of `source`, to its server only.
    ///
    /// # Errors
    /// [`Error::Http`] if no HTTP client can be built.
    pub fn new(source: Arc<dyn TokenSource>) -> Result<Self, Error> {
        Self::over(source, &ReqwestClient::default())
    }

    /// Returns the same, over connections that are made as `network` makes them.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn over(source: Arc<dyn TokenSource>, network: &ReqwestClient) -> Result<Self, Error> {
        let http = network.client_of(source.server())?;
        Ok(Self { http, source })
    }

    /// Calls `send` with a token for `uri`, and again with another one while that may help.
    async fn with_token<T, F, Fut>(
        &self,
        method: Method,
        uri: &str,
        custom_headers: Headers,
        send: F,
    ) -> Result<T, Failure>
    where
        F: Fn(Headers) -> Fut,
        Fut: Future<Output = Result<T, Failure>>,
    {
        let unusable = |_| Failure::UnexpectedServerResponse("the URL cannot be used".into());
        let url = Url::parse(uri).map_err(unusable)?;
        let probe = Probe {
            client: self,
            url: &url,
            left: AtomicUsize::new(PROBES),
        };
        let attempt = |credentials: Credentials| {
            let bound = credentials.proof.is_some();
            // Values that are wiped after use, and not the text that `rmcp` would copy. They are
            // ours, whatever the caller's headers say.
            let mut own = HeaderMap::new();
            credentials.apply(&mut own);
            let mut headers = custom_headers.clone();
            headers.extend(
                own.into_iter()
                    .filter_map(|(name, value)| Some((name?, value))),
            );
            let (response, probe) = (send(headers), &probe);
            async move {
                let outcome = response.await;
                let challenge = outcome.as_ref().err().and_then(challenge_of);
                let challenge = match challenge {
                    Some(challenge) if bound => Some(probe.completed(challenge).await),
                    challenge => challenge,
                };
                Ok((outcome, challenge))
            }
        };
        let refusal = |(_, challenge): &(Result<T, Failure>, Option<Challenge>)| {
            let challenge = challenge.clone()?;
            tracing::debug!(server = %self.source.server(), "the server refused the token");
            Some(challenge)
        };
        match with_token(&*self.source, &method, &url, attempt, refusal).await {
            Ok((outcome, _)) => outcome,
            Err(error) => Err(Failure::Io(io::Error::other(error))),
        }
    }
}

/// Holds what the server wants to see in a proof. `rmcp` passes the text of a challenge on, and that of a
/// `DELETE` not even that, but never the header with the nonce, and `reqwest` shows an answer to
/// nobody but its caller. So the server is asked once more, for its challenge alone, by a message
/// that is no message, and which it cannot act upon if it lets it in.
struct Probe<'a> {
    client: &'a AuthorizedClient,
    url: &'a Url,
    left: AtomicUsize,
}

impl Probe<'_> {
    /// Returns the challenge with the nonce that it came with, if it is about one.
    async fn completed(&self, challenge: Challenge) -> Challenge {
        // `rmcp` passes on the first of several, which need not be the one that is meant for us.
        let is_other = challenge.scheme != AuthScheme::DPoP && !challenge.is_insufficient_scope();
        let take = |left: usize| left.checked_sub(1);
        let order = Ordering::Relaxed;
        if !(challenge.refuses_proof() || is_other)
            || self.left.fetch_update(order, order, take).is_err()
        {
            return challenge;
        }
        let found = self.ask().await.filter(Challenge::refuses_proof);
        found.unwrap_or(challenge)
    }

    async fn ask(&self) -> Option<Challenge> {
        let (source, url) = (&self.client.source, self.url);
        let (token, prover) = (source.cached_token()?, source.prover()?);
        let proof = prover.prove(&Method::POST, url, Some(&token)).ok()?;
        let request = self.client.http.post(url.clone()).body("{}");
        let response = request
            .timeout(METADATA_DEADLINE)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, text/event-stream")
            .header(header::AUTHORIZATION, token.header())
            .header(dpop::PROOF, proof.header)
            .send()
            .await
            .ok()?;
        prover.store_nonce(url, response.headers());
        Challenge::from_headers(response.status(), response.headers())
    }
}

type Headers = HashMap<HeaderName, HeaderValue>;

/// Says how `rmcp` reports a POST with the response 401 and no `WWW-Authenticate`: as text alone,
/// followed by the reason and the body. A server of 2025-03-26 sends that, as rmcp's own OAuth
/// example does. An attacker gains nothing: the token is refreshed as after any other 401.
const UNCHALLENGED: &str = "HTTP 401 ";

fn challenge_of(failure: &Failure) -> Option<Challenge> {
    let read = |status, text: &str| {
        let value = HeaderValue::from_str(text).ok()?;
        Challenge::from_headers(
            status,
            &HeaderMap::from_iter([(header::WWW_AUTHENTICATE, value)]),
        )
    };
    match failure {
        Failure::AuthRequired(error) => {
            read(StatusCode::UNAUTHORIZED, &error.www_authenticate_header)
        }
        Failure::InsufficientScope(error) => {
            read(StatusCode::FORBIDDEN, &error.www_authenticate_header)
        }
        Failure::Client(error) if error.status() == Some(StatusCode::UNAUTHORIZED) => {
            Some(Challenge::default())
        }
        Failure::UnexpectedServerResponse(text) if text.starts_with(UNCHALLENGED) => {
            Some(Challenge::default())
        }
        _ => None,
    }
}

impl StreamableHttpClient for AuthorizedClient {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let limits = StreamableHttpResponseLimits::default();
        self.post_message_with_response_limits(
            uri,
            message,
            session_id,
            auth_header,
            custom_headers,
            limits,
        )
        .await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _auth_header: Option<String>,
        custom_headers: Headers,
        limits: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        self.with_token(Method::POST, &uri.clone(), custom_headers, |headers| {
            self.http.post_message_with_response_limits(
                uri.clone(),
                message.clone(),
                session_id.clone(),
                None,
                headers,
                limits,
            )
        })
        .await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        _auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<(), Failure> {
        self.with_token(Method::DELETE, &uri.clone(), custom_headers, |headers| {
            self.http
                .delete_session(uri.clone(), session_id.clone(), None, headers)
        })
        .await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failure> {
        let limit = StreamableHttpResponseLimits::default().max_sse_event_size;
        self.get_stream_with_max_sse_event_size(
            uri,
            session_id,
            last_event_id,
            auth_header,
            custom_headers,
            limit,
        )
        .await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _auth_header: Option<String>,
        custom_headers: Headers,
        limit: usize,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failure> {
        self.with_token(Method::GET, &uri.clone(), custom_headers, |headers| {
            self.http.get_stream_with_max_sse_event_size(
                uri.clone(),
                session_id.clone(),
                last_event_id.clone(),
                None,
                headers,
                limit,
            )
        })
        .await
    }
}
