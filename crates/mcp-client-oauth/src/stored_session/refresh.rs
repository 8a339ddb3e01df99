//! One refresh request, and whether a retry may succeed.

use std::{sync::Arc, time::Duration};

use crate::{
    discovery::{Discovery, DiscoveryOptions, discover},
    dpop::ProofGenerator,
    error::{HttpError, HttpErrorKind, Remedy, TokenRefreshError},
    grant::{self, Grant, NonInteractiveRequest, flow_of_record},
    platform::{Platform, TOKEN_DEADLINE},
    proto::{
        client_auth::ClientAuth,
        resource_metadata::Resource,
        token::{self, TokenError, TokenSet},
    },
    store::Record,
};

/// The longest time that a request waits for the rate limit of its issuer. It is shorter than the time
/// that a refresh may hold a record.
const LONGEST_RATE_LIMIT_WAIT: Duration = Duration::from_secs(20);

/// Sends one refresh request, without a lock, a retry or a save. [`Session`](crate::Session) does all
/// that; this function is for callers that keep their own tokens.
///
/// The result has the refresh token and the scope of the response, or the old ones if the response has
/// none (RFC 6749 §6). The request goes to the endpoint of the record and to no other: metadata that was
/// changed later cannot redirect the refresh token. A login that presents an assertion and has no refresh
/// token is not refreshed: a record does not name the source of the assertion.
///
/// # Errors
/// [`TokenRefreshError`]. The [`remedy`](crate::Error::remedy) of the [`Error`](crate::Error) that it
/// converts to tells a dead token from a failing network.
pub async fn refresh(platform: &Platform, record: &Record) -> Result<TokenSet, TokenRefreshError> {
    let proof_generator = proof_generator_of(platform, record);
    refresh_within(
        platform,
        record,
        proof_generator.as_ref(),
        None,
        TOKEN_DEADLINE,
    )
    .await
}

/// The grant that the caller gave to a session.
pub(super) struct GivenGrant {
    pub(super) grant: Grant,
    /// The options to discover the authorization server again before an assertion is sent, if a record may
    /// have been forged.
    pub(super) discovery: Option<DiscoveryOptions>,
}

/// Returns a generator of DPoP proofs with the key of a login, for a record without a session.
pub(super) fn proof_generator_of(platform: &Platform, record: &Record) -> Option<ProofGenerator> {
    let key = record.dpop.clone()?;
    Some(ProofGenerator::new(key, Arc::clone(&platform.clock)))
}

pub(super) async fn refresh_within(
    platform: &Platform,
    record: &Record,
    proof_generator: Option<&ProofGenerator>,
    given: Option<&GivenGrant>,
    left: Duration,
) -> Result<TokenSet, TokenRefreshError> {
    let resource = &record.discovery.resource;
    let Some(recorded) = &record.non_interactive else {
        return refresh_with(platform, record, resource, proof_generator, left).await;
    };
    let end = platform.clock.now() + left;
    if record.tokens.refresh_token.is_some() {
        match refresh_with(platform, record, resource, proof_generator, left).await {
            // The grant needs no user: it gets new tokens in the same way as at the login.
            Err(TokenRefreshError::Response { cause, .. }) if cause.has_code("invalid_grant") => {}
            outcome => return outcome,
        }
    }
    let flow = flow_of_record(recorded, given.map(|given| &given.grant))?;
    let _permit = wait_for_rate_limit(platform, record).await;
    let left = || end.duration_since(platform.clock.now()).unwrap_or_default();
    let found = match given.and_then(|given| given.discovery.as_ref()) {
        Some(options) if flow.presents_assertion() => {
            Some(discover_again(platform, record, options, left()).await?)
        }
        _ => None,
    };
    let discovery = found.as_ref().unwrap_or(&record.discovery);
    let client = record.identity.authenticate(&discovery.metadata);
    let client = client.ok_or(TokenRefreshError::IssuerMismatch)?;
    let request = NonInteractiveRequest {
        platform,
        discovery,
        client: &client,
        proof_generator,
        scope: record.requested.as_ref(),
        end,
    };
    Ok(flow.request_tokens(&request).await?)
}

/// Discovers the authorization server again. An assertion is sent to the endpoint in the server's
/// metadata and not to the one in a record: a forged record would send it to an attacker.
async fn discover_again(
    platform: &Platform,
    record: &Record,
    options: &DiscoveryOptions,
    left: Duration,
) -> Result<Discovery, TokenRefreshError> {
    let server = &record.discovery.server;
    let found = tokio::select! {
        biased;
        found = Box::pin(discover(platform, server, options)) => found,
        () = platform.clock.sleep(left) => {
            Err(HttpError::new(server.as_url(), HttpErrorKind::TimedOut(left)).into())
        }
    };
    found.map_err(|error| TokenRefreshError::Discovery(Box::new(error)))
}

/// Waits for the rate limit of the issuer, at most [`LONGEST_RATE_LIMIT_WAIT`]: if other requests to the
/// issuer hang, the refresh is sent without waiting for them.
async fn wait_for_rate_limit(platform: &Platform, record: &Record) -> Option<impl Sized> {
    let issuer = record.discovery.issuer();
    tokio::select! {
        biased;
        permit = platform.rate_limiter.acquire(issuer.as_str()) => permit,
        () = platform.clock.sleep(LONGEST_RATE_LIMIT_WAIT) => None,
    }
}

fn recorded_client(record: &Record) -> Result<ClientAuth<'_>, TokenRefreshError> {
    let client = record.identity.authenticate(&record.discovery.metadata);
    client.ok_or(TokenRefreshError::IssuerMismatch)
}

/// Sends one refresh request for a resource, which may be another one of the same issuer. A refresh token
/// is bound to the key of its login (RFC 9449 §5), and so are the tokens that it gets.
pub(super) async fn refresh_with(
    platform: &Platform,
    record: &Record,
    resource: &Resource,
    proof_generator: Option<&ProofGenerator>,
    left: Duration,
) -> Result<TokenSet, TokenRefreshError> {
    let (discovery, server) = (&record.discovery, &record.discovery.metadata);
    let Some(refresh_token) = &record.tokens.refresh_token else {
        return Err(TokenRefreshError::NoRefreshToken(discovery.server.clone()));
    };
    let client = recorded_client(record)?.with_time(platform.clock.now())?;
    let endpoint = &server.token_endpoint;
    let end = platform.clock.now() + left;
    let _permit = wait_for_rate_limit(platform, record).await;
    let left = end.duration_since(platform.clock.now()).unwrap_or_default();
    let scope = record.scope_on_refresh();
    let request = |client: &ClientAuth<'_>| {
        let mut request = token::refresh_request(
            endpoint,
            discovery.address_space,
            client,
            discovery.quirks.resource_parameter(resource),
            scope.as_ref(),
            refresh_token,
        );
        request.deadline = request.deadline.min(left);
        request
    };
    let sent = [refresh_token.expose().as_str()];
    let response = grant::send_token_request(
        platform,
        discovery,
        &client,
        request,
        &sent,
        proof_generator,
    );
    let response = response.await.map_err(TokenRefreshError::Http)?;
    let mut tokens = response.tokens.map_err(|cause| {
        let url = endpoint.as_url().clone();
        TokenRefreshError::Response { url, cause }
    })?;
    tokens.refresh_token = tokens.refresh_token.or_else(|| Some(refresh_token.clone()));
    tokens.scope = tokens.scope.or_else(|| record.tokens.scope.clone());
    Ok(tokens)
}

/// Returns whether a retry may succeed. If the response was lost, the request may have used up the refresh
/// token: it is retried once, for servers with a grace period, and no more (docs/hostile.md H104). The
/// same is true if a gateway responded for a server that may have processed the request.
pub(super) fn may_retry(error: &TokenRefreshError, in_doubt: &mut bool) -> bool {
    let mut is_first_doubt = || !std::mem::replace(in_doubt, true);
    match error {
        TokenRefreshError::Response {
            cause: TokenError::Unavailable { .. },
            ..
        } if leaves_doubt(error) => is_first_doubt(),
        TokenRefreshError::Response {
            cause: TokenError::Unavailable { .. },
            ..
        } => true,
        TokenRefreshError::Http(error) => match error.cause {
            HttpErrorKind::Connect(_) | HttpErrorKind::MissingDpopProof(_) => true,
            HttpErrorKind::Interrupted(_) | HttpErrorKind::TimedOut(_) => is_first_doubt(),
            HttpErrorKind::Forbidden(_)
            | HttpErrorKind::TooLarge(_)
            | HttpErrorKind::HeadTooLarge
            | HttpErrorKind::Certificate(_)
            | HttpErrorKind::CertificateRequired
            | HttpErrorKind::NotTls
            | HttpErrorKind::Setup(_) => false,
        },
        TokenRefreshError::NonInteractiveGrant(error) => error.may_retry(),
        TokenRefreshError::Discovery(error) => error.remedy() == Remedy::Retry,
        TokenRefreshError::Response { .. }
        | TokenRefreshError::Signing(_)
        | TokenRefreshError::Interrupted { .. }
        | TokenRefreshError::NoRefreshToken(_)
        | TokenRefreshError::NotRefreshable { .. }
        | TokenRefreshError::Rejected(_)
        | TokenRefreshError::IssuerMismatch
        | TokenRefreshError::Aborted(_) => false,
    }
}

/// Returns the `Retry-After` of the response (RFC 9110 §10.2.3), which has an upper limit.
pub(super) fn retry_after(error: &TokenRefreshError) -> Option<Duration> {
    match error {
        TokenRefreshError::Response {
            cause: TokenError::Unavailable { retry_after, .. },
            ..
        } => *retry_after,
        _ => None,
    }
}

/// Returns whether the request may have used up the refresh token, though its response is lost.
pub(super) fn leaves_doubt(error: &TokenRefreshError) -> bool {
    match error {
        TokenRefreshError::Http(error) => matches!(
            error.cause,
            HttpErrorKind::Interrupted(_)
                | HttpErrorKind::TimedOut(_)
                | HttpErrorKind::TooLarge(_)
                | HttpErrorKind::HeadTooLarge
        ),
        // A gateway may have lost the response. A server sends 503 before it processes a request.
        TokenRefreshError::Response {
            cause: TokenError::Unavailable { status, .. },
            ..
        } => *status >= 500 && *status != 503,
        _ => false,
    }
}
