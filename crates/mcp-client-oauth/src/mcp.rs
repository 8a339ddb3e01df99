//! An MCP client by the official `rmcp` crate, whose requests carry our tokens.

use std::{collections::HashMap, error::Error as StdError, future::Future, io, sync::Arc};

use futures_util::stream::BoxStream;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
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
    authorized::with_token, error::Error, platform, proto::challenge::Challenge,
    session::TokenSource,
};

type Failure = StreamableHttpError<reqwest::Error>;

/// An HTTP client for `rmcp`'s streamable HTTP transport that sends a token with every request,
/// and another one, once, when it is refused (spec-checklist A4).
#[derive(Clone)]
pub struct AuthorizedClient {
    http: reqwest::Client,
    source: Arc<dyn TokenSource>,
}

/// Why there is no MCP connection.
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

/// What a client whose tokens come from `source` has to declare: the extension by which they are got
/// (spec-checklist J14). `rmcp` sends it with each request of 2026-07-28.
pub fn capabilities(source: &dyn TokenSource) -> ClientCapabilities {
    let mut capabilities = ClientCapabilities::default();
    capabilities.extensions = source.extension().map(|name| {
        let mut extensions = ExtensionCapabilities::new();
        extensions.insert(name.to_owned(), serde_json::Map::new());
        extensions
    });
    capabilities
}

/// Connects to the server of `source` and negotiates the protocol version: 2026-07-28 where the
/// server speaks it, else an `initialize` of an earlier one.
///
/// # Errors
/// [`ConnectError`]; a missing login is found before the server is asked.
pub async fn connect(
    source: Arc<dyn TokenSource>,
) -> Result<RunningService<RoleClient, ClientConfig>, ConnectError> {
    let lifecycle = ClientLifecycleMode::Auto {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        legacy_version: None,
    };
    connect_by(source, lifecycle).await
}

/// The same without a negotiation, where it is known which protocol version the server speaks.
///
/// # Errors
/// As [`connect`].
pub async fn connect_by(
    source: Arc<dyn TokenSource>,
    lifecycle: ClientLifecycleMode,
) -> Result<RunningService<RoleClient, ClientConfig>, ConnectError> {
    source.token().await?;
    let mut client_config = ClientConfig::default();
    client_config.capabilities = capabilities(&*source);
    let config = StreamableHttpClientTransportConfig::with_uri(source.server().as_str());
    let client = AuthorizedClient::new(source)?;
    let transport = StreamableHttpClientTransport::with_client(client, config);
    client_config
        .serve_with_lifecycle(transport, lifecycle)
        .await
        .map_err(|error| Box::new(error).into())
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
        // `rmcp` does not name the transport's error as the source of this one.
        next = match error.downcast_ref::<ClientInitializeError>() {
            Some(ClientInitializeError::TransportError { error, .. }) => Some(&*error.error),
            Some(ClientInitializeError::LegacyFallbackFailed { discover, fallback }) => {
                return authorization_error(&**fallback)
                    .or_else(|| authorization_error(&**discover));
            }
            _ => error.source(),
        };
    }
    None
}

impl AuthorizedClient {
    /// Sends with tokens of `source`, to its server only.
    ///
    /// # Errors
    /// [`Error::Http`] if no HTTP client can be built.
    pub fn new(source: Arc<dyn TokenSource>) -> Result<Self, Error> {
        let http = platform::application_client(source.server().as_url())?;
        Ok(Self { http, source })
    }

    /// Calls `send` with a token for `uri`, and again with another one while that may help.
    async fn with_token<T, F, Fut>(
        &self,
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
        let attempt = |authorization| {
            let mut headers = custom_headers.clone();
            // A value that is wiped after use, and not the text that `rmcp` would copy. It is ours,
            // whatever the caller's headers say.
            headers.insert(header::AUTHORIZATION, authorization);
            let outcome = send(headers);
            async move { Ok(outcome.await) }
        };
        let refusal = |outcome: &Result<T, Failure>| {
            let challenge = challenge_of(outcome.as_ref().err()?)?;
            tracing::debug!(server = %self.source.server(), "the server refused the token");
            Some(challenge)
        };
        with_token(&*self.source, &url, attempt, refusal)
            .await
            .unwrap_or_else(|error| Err(Failure::Io(io::Error::other(error))))
    }
}

type Headers = HashMap<HeaderName, HeaderValue>;

fn challenge_of(failure: &Failure) -> Option<Challenge> {
    let read = |status, text: &str| {
        let value = HeaderValue::from_str(text).ok()?;
        Challenge::of(
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
        self.with_token(&uri.clone(), custom_headers, |headers| {
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
        self.with_token(&uri.clone(), custom_headers, |headers| {
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
        self.with_token(&uri.clone(), custom_headers, |headers| {
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
