//! Authorization code with PKCE (RFC 6749 §4.1, RFC 7636, RFC 8252): the browser of the user opens the page
//! of the authorization server, which redirects it back with a code.

use async_trait::async_trait;
use url::Url;

use super::{
    flow::InteractiveFlow,
    loopback::{Callback, Serving, Verdict},
    redirect_uri::CallbackReceiver,
    request::{GrantRequest, no_grant},
    tokens::request_tokens,
};
use crate::{
    discovery::Discovery,
    dpop::ProofGenerator,
    error::{AuthorizationError, CallbackError, Error, RegistrationError},
    platform::Platform,
    proto::{
        authorization::{
            self, AuthorizationCode, AuthorizationRequest, PendingAuthorization, State,
        },
        client_auth::ClientAuth,
        id_token::Nonce,
        pkce::CodeVerifier,
        server_metadata::ServerMetadata,
        token::{self, TokenSet},
    },
};

const NAME: &str = "authorization_code";
/// The scope that requests an ID token (OpenID Connect Core §3.1.2.1).
const OPENID: &str = "openid";
/// The number of pasted URLs that are checked.
const PASTED_URL_LIMIT: usize = 64;

pub(super) struct AuthorizationCodeGrant;

#[async_trait]
impl InteractiveFlow for AuthorizationCodeGrant {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_offered_by(&self, server: &ServerMetadata) -> bool {
        server.authorization_endpoint.is_some()
    }

    fn needs_redirect(&self) -> bool {
        true
    }

    async fn request_tokens(
        &self,
        platform: &Platform,
        mut request: GrantRequest<'_>,
    ) -> Result<TokenSet, Error> {
        request.discovery.require_pkce()?;
        let receiver = request.receiver.take().ok_or_else(|| no_grant(&request))?;
        let (url, pending) = authorization_url(&request, receiver.uri())?;
        let mut connection = RedirectListener::open(receiver)?;
        let code = tokio::select! {
            code = connection.wait(platform, &url, pending) => code,
            () = platform.clock.sleep(request.timeout) => {
                Err(AuthorizationError::TimedOut(request.timeout))
            }
        };
        let tokens = match code {
            Ok(code) => {
                let proof_generator = request.proof_generator();
                exchange(
                    platform,
                    request.discovery,
                    &request.client,
                    &code,
                    proof_generator,
                )
                .await
            }
            Err(cause) => Err(cause.into()),
        };
        connection.close().await;
        tokens
    }
}

/// Exchanges a code for tokens (RFC 6749 §4.1.3), naming the resource again (RFC 8707 §2.2). With a
/// `proof_generator` they are bound to its key (RFC 9449 §5).
///
/// # Errors
/// [`Error::TokenExchange`] with the response of the server, or [`Error::Http`].
pub(crate) async fn exchange(
    platform: &Platform,
    discovery: &Discovery,
    client: &ClientAuth<'_>,
    code: &AuthorizationCode,
    proof_generator: Option<&ProofGenerator>,
) -> Result<TokenSet, Error> {
    let endpoint = &discovery.metadata.token_endpoint;
    let resource = discovery.resource_parameter();
    let client = client.with_time(platform.clock.now());
    let client = &client.map_err(RegistrationError::from)?;
    let request = |client: &ClientAuth<'_>| {
        token::code_request(endpoint, discovery.address_space, client, resource, code)
    };
    request_tokens(
        platform,
        discovery,
        client,
        request,
        &code.secrets(),
        proof_generator,
        code.nonce(),
    )
    .await
}

/// Returns an authorization URL for `request` that is only for a check: its `state`, code verifier and nonce
/// are dropped here, so its response cannot be accepted.
pub(crate) fn throwaway_url(request: &GrantRequest<'_>, redirect_uri: &Url) -> Result<Url, Error> {
    authorization_url(request, redirect_uri).map(|(url, _dropped)| url)
}

/// Returns the URL where the user authorizes the client, and what is needed to check its callback.
pub(crate) fn authorization_url(
    request: &GrantRequest<'_>,
    redirect_uri: &Url,
) -> Result<(Url, PendingAuthorization), Error> {
    let server = &request.discovery.metadata;
    let endpoint = server
        .authorization_endpoint
        .as_ref()
        .ok_or_else(|| no_grant(request))?;
    let thumbprint = request
        .proof_generator()
        .map(|proof_generator| proof_generator.key().thumbprint());
    let mut authorization = AuthorizationRequest::new(
        request.client.client_id,
        redirect_uri,
        request.resource_parameter(),
        request.scope(),
    );
    authorization.dpop_jkt = thumbprint.as_deref();
    let quirks = &request.discovery.quirks;
    authorization.extra_params = Some(&quirks.authorization_params);
    let others = quirks.names_in_callback(&server.issuer);
    authorization.other_issuers = &others;
    if !quirks.names_of(&server.issuer).is_empty() {
        let issuer = &server.issuer;
        tracing::warn!(%issuer, ?others, "this login accepts other issuer names of the server, as configured");
    }
    // Only for `openid`, where servers may require it. PKCE protects every login in the same way.
    let is_openid = request.scope().is_some_and(|scope| scope.contains(OPENID));
    let nonce = is_openid.then(Nonce::generate).transpose();
    let nonce = nonce.map_err(AuthorizationError::from)?;
    authorization.nonce = nonce.as_ref();
    let state = State::generate().map_err(AuthorizationError::from)?;
    let verifier = CodeVerifier::generate().map_err(AuthorizationError::from)?;
    Ok(authorization::authorization_url(
        server,
        endpoint,
        &authorization,
        state,
        verifier,
    ))
}

/// Receives the callback: from the listener, or from the application (`Interaction::callback`).
struct RedirectListener {
    /// The number of further callback URLs that the application may pass: an implementation that returns
    /// at once each time must not keep this loop busy.
    remaining_urls: usize,
    listener: Option<Serving>,
    redirect_uri: Url,
}

/// One URL that was received.
enum Arrival {
    Browser(Callback),
    Application(Url),
}

impl RedirectListener {
    fn open(receiver: CallbackReceiver) -> Result<Self, AuthorizationError> {
        let redirect_uri = receiver.uri().clone();
        let listener = receiver
            .listener
            .map(super::loopback::Listener::serve)
            .transpose()?;
        Ok(Self {
            remaining_urls: PASTED_URL_LIMIT,
            listener,
            redirect_uri,
        })
    }

    /// Opens `url` in the browser and waits for its callback; any other callback gets a response and is
    /// ignored (RFC 6749 §10.12, RFC 9700 §4.7).
    async fn wait(
        &mut self,
        platform: &Platform,
        url: &Url,
        pending: PendingAuthorization,
    ) -> Result<AuthorizationCode, AuthorizationError> {
        let opening = platform.interaction.open(url);
        tokio::pin!(opening);
        let mut opened = false;
        loop {
            let arrival = tokio::select! {
                () = &mut opening, if !opened => {
                    opened = true;
                    continue;
                }
                arrival = self.arrival(platform) => arrival,
            };
            match arrival {
                Arrival::Browser(callback) if pending.matches_state(&callback.url) => {
                    return self.respond(callback, pending);
                }
                Arrival::Browser(callback) => callback.ignore(),
                Arrival::Application(url) if pending.matches_state(&url) => {
                    return pending.accept(&url).map_err(refusal);
                }
                Arrival::Application(_) => {
                    self.remaining_urls = self.remaining_urls.saturating_sub(1);
                    tracing::warn!("the pasted URL does not belong to this login; still waiting");
                }
            }
        }
    }

    async fn arrival(&mut self, platform: &Platform) -> Arrival {
        let browser = async {
            match &mut self.listener {
                Some(listener) => listener.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            callback = browser => Arrival::Browser(callback),
            text = platform.interaction.callback(), if self.remaining_urls > 0 => Arrival::Application(
                Url::parse(text.trim()).unwrap_or_else(|_| self.redirect_uri.clone()),
            ),
        }
    }

    /// Shows the outcome in the browser, and returns it.
    fn respond(
        &mut self,
        callback: Callback,
        pending: PendingAuthorization,
    ) -> Result<AuthorizationCode, AuthorizationError> {
        let outcome = pending.accept(&callback.url).map_err(refusal);
        let granted = outcome.is_ok();
        let verdict = if granted {
            Verdict::Accepted
        } else {
            Verdict::Denied
        };
        if let Some(listener) = &mut self.listener {
            listener.end(callback, verdict);
        }
        outcome
    }

    async fn close(self) {
        if let Some(listener) = self.listener {
            listener.close().await;
        }
    }
}

/// Returns the error of a login for a callback that was not accepted.
pub(crate) fn refusal(cause: CallbackError) -> AuthorizationError {
    match cause {
        CallbackError::Refused(error) if error.has_code("access_denied") => {
            AuthorizationError::Denied(error)
        }
        CallbackError::Refused(error) => AuthorizationError::Refused(error),
        other => AuthorizationError::Callback(other),
    }
}
