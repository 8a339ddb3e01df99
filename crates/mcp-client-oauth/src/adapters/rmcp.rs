//! An MCP client of the official `rmcp` crate that sends a token with each request.

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
    authorized_client::{Credentials, retry::with_token},
    error::Error,
    platform::{self, HttpError, HttpErrorKind, METADATA_DEADLINE, ReqwestClient},
    proto::{challenge::Challenge, dpop, token::AuthScheme},
    server_url::ServerUrl,
    token_source::TokenSource,
};

type Failure = StreamableHttpError<reqwest::Error>;

/// The limit of probes for a nonce during one request.
const MAX_PROBES: usize = 2;

/// An HTTP client for `rmcp`'s streamable HTTP transport. It sends a token with every request (MCP
/// authorization, Token Requirements), and repeats a request once with another token if the token is
/// refused. A token that is bound to a key is sent with a new proof for each request.
///
/// `rmcp` returns only the first `WWW-Authenticate` line of a 403. A server that requests a wider scope
/// in a second line gets no step-up here: the request fails with 403. Probing for that line could
/// execute the request twice. [`Session::send`](crate::Session::send) reads every line.
#[derive(Clone)]
pub struct RmcpHttpClient {
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
    /// `rmcp` could not initialize the connection.
    #[error("cannot connect to the MCP server: {0}")]
    Mcp(#[from] Box<ClientInitializeError>),
}

/// Returns the capabilities that a client with the tokens of `source` has to declare: the authorization
/// extension of the grant, if it has one (MCP authorization, MCP Authorization Extensions). `rmcp` sends
/// them with each request of 2026-07-28.
fn capabilities(source: &dyn TokenSource) -> ClientCapabilities {
    let mut capabilities = ClientCapabilities::default();
    capabilities.extensions = source.mcp_extension().map(|name| {
        let mut extensions = ExtensionCapabilities::new();
        extensions.insert(name.to_owned(), serde_json::Map::new());
        extensions
    });
    capabilities
}

/// Connects to the server of `source` over the connections of `network`. A `lifecycle` is given if the
/// server's protocol version is known; else it is negotiated: 2026-07-28 if the server supports it, otherwise
/// an earlier one by `initialize`.
///
/// [`Session::mcp`](crate::Session::mcp) does this with the tokens of a session and the default network.
///
/// # Errors
/// [`ConnectError`]; a missing login is an error before the first request.
pub async fn connect(
    source: impl TokenSource + 'static,
    network: &ReqwestClient,
    lifecycle: Option<ClientLifecycleMode>,
) -> Result<RunningService<RoleClient, ClientConfig>, ConnectError> {
    source.token().await?;
    let mut client_config = ClientConfig::default();
    client_config.capabilities = capabilities(&source);
    let config = StreamableHttpClientTransportConfig::with_uri(source.server().as_str());
    let client = RmcpHttpClient::new(source, network)?;
    let transport = StreamableHttpClientTransport::with_client(client, config);
    let lifecycle = lifecycle.unwrap_or_else(|| ClientLifecycleMode::Auto {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        legacy_version: None,
    });
    client_config
        .serve_with_lifecycle(transport, lifecycle)
        .await
        .map_err(|error| Box::new(error).into())
}

/// Returns the error that made `rmcp` fail in a request to `server`: an error of this crate, such as a missing
/// login, or a failure of the network. Accepts a `ServiceError`, a `ClientInitializeError`, or any error that
/// has one of them as its source.
pub fn cause_of(error: &(dyn StdError + 'static), server: &ServerUrl) -> Option<Error> {
    let own = authorization_error(error).cloned();
    own.or_else(|| Some(HttpError::new(server.as_url(), network_cause(error)?).into()))
}

/// Returns the network error that made `rmcp` fail, if any: a certificate that is not accepted, for example.
fn network_cause(error: &(dyn StdError + 'static)) -> Option<HttpErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<reqwest::Error>() {
            return Some(platform::cause_of(error));
        }
        next = match error.downcast_ref::<Failure>() {
            Some(Failure::Client(error)) => return Some(platform::cause_of(error)),
            _ => source_of(error),
        };
    }
    None
}

/// Returns the error of this crate that made `rmcp` fail, if any: a missing login, for example.
fn authorization_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
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
        next = source_of(error);
    }
    None
}

/// Returns the source of an error. `rmcp` does not report the transport's error as the source of its own.
fn source_of<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<ClientInitializeError>() {
        Some(ClientInitializeError::TransportError { error, .. }) => Some(&*error.error),
        Some(ClientInitializeError::LegacyFallbackFailed { fallback, .. }) => Some(&**fallback),
        _ => error.source(),
    }
}

impl RmcpHttpClient {
    /// Creates a client that sends tokens of `source`, to its server only, over the connections of `network`.
    ///
    /// # Errors
    /// [`Error::Http`] if no HTTP client can be built.
    pub fn new(source: impl TokenSource + 'static, network: &ReqwestClient) -> Result<Self, Error> {
        let http = network.client_of(source.server(), source.address_space())?;
        let source = Arc::new(source);
        Ok(Self { http, source })
    }

    /// Calls `send` with a token for `uri`, and again with another one as long as the refusal allows a retry.
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
        let unusable = |_| Failure::UnexpectedServerResponse("invalid URL".into());
        let url = Url::parse(uri).map_err(unusable)?;
        let probe = Probe {
            client: self,
            url: &url,
            left: AtomicUsize::new(MAX_PROBES),
        };
        let attempt = |credentials: Credentials| {
            let bound = credentials.proof.is_some();
            // These values are wiped from memory after use, unlike the text that `rmcp` would copy. They
            // replace the caller's.
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
                    Some(challenge) if bound => Some(probe.with_nonce(challenge).await),
                    challenge => challenge,
                };
                Ok((outcome, challenge))
            }
        };
        let refusal = |(_, challenge): &(Result<T, Failure>, Option<Challenge>)| {
            let challenge = challenge.clone()?;
            tracing::debug!(server = %self.source.server(), "the server rejected the token");
            Some(challenge)
        };
        match with_token(&*self.source, &method, &url, attempt, refusal).await {
            Ok((outcome, _)) => outcome,
            Err(error) => Err(Failure::Io(io::Error::other(error))),
        }
    }
}

/// Fetches the nonce that a server requires in a proof (RFC 9449 §9). `rmcp` returns the text of a challenge
/// (except that of a `DELETE`), but never the header with the nonce, and this client does not see the
/// response that `reqwest` returns to `rmcp`. So one more request is sent to get the challenge. Its body is
/// not a JSON-RPC message, so that the server cannot execute anything if it accepts the proof.
struct Probe<'a> {
    client: &'a RmcpHttpClient,
    url: &'a Url,
    left: AtomicUsize,
}

impl Probe<'_> {
    /// Returns `challenge` with the nonce of the response, if it requires one.
    async fn with_nonce(&self, challenge: Challenge) -> Challenge {
        // `rmcp` returns only the first of several challenges, which may not be the one with `DPoP`.
        let is_other = challenge.scheme != AuthScheme::DPoP && !challenge.is_insufficient_scope();
        let take = |left: usize| left.checked_sub(1);
        let order = Ordering::Relaxed;
        if !(challenge.refuses_proof() || is_other)
            || self.left.fetch_update(order, order, take).is_err()
        {
            return challenge;
        }
        let found = self.send().await.filter(Challenge::refuses_proof);
        found.unwrap_or(challenge)
    }

    async fn send(&self) -> Option<Challenge> {
        let (source, url) = (&self.client.source, self.url);
        let (token, proof_generator) = (source.cached_token()?, source.proof_generator()?);
        let proof = proof_generator
            .prove(&Method::POST, url, Some(&token))
            .ok()?;
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
        proof_generator.store_nonce(url, response.headers());
        Challenge::from_headers(response.status(), response.headers())
    }
}

type Headers = HashMap<HeaderName, HeaderValue>;

/// The prefix of `rmcp`'s error text for a POST with the response 401 and no `WWW-Authenticate`. Servers of
/// 2025-03-26 respond like this, and so does rmcp's own OAuth example. An attacker gains nothing: the
/// token is refreshed as after any other 401.
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

impl StreamableHttpClient for RmcpHttpClient {
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
