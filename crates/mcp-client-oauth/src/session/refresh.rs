//! One refresh request, and whether another may help.

use std::{sync::Arc, time::Duration};

use crate::{
    discovery::{Discovery, DiscoveryOptions, discover},
    dpop::{ProofGenerator, expected_scheme},
    error::{HttpError, HttpErrorKind, Remedy, TokenRefreshError},
    non_interactive::{self, By, NonInteractiveGrant},
    platform::{Platform, TOKEN_DEADLINE},
    proto::{
        client_auth::ClientAuth,
        resource_metadata::Resource,
        token::{self, TokenError, TokenSet},
    },
    store::Record,
    token_request,
};

/// Says how long a request waits at most until fewer others are under way. It is less than a record is
/// held.
const LONGEST_TURN: Duration = Duration::from_secs(20);

/// Sends one refresh request: no lock, no retry, nothing stored. [`Session`](crate::Session) does
/// all that; this is the bare step, for callers that keep their own tokens.
///
/// The result has the refresh token and the scope of the answer, or the old ones where the answer
/// has none (RFC 6749 §6, spec-checklist H5). The request goes to the endpoint of the record and
/// to no other (H6). A login that presents an assertion and has no refresh token is not renewed by
/// this: a record does not name the source of the assertion.
///
/// # Errors
/// [`TokenRefreshError`], which tells a dead token from a failing network.
pub async fn refresh(platform: &Platform, record: &Record) -> Result<TokenSet, TokenRefreshError> {
    let prover = prover_of(platform, record);
    refresh_within(platform, record, prover.as_ref(), None, TOKEN_DEADLINE).await
}

/// The grant that the caller gave to a session.
pub(super) struct GivenGrant {
    pub(super) grant: NonInteractiveGrant,
    /// Says how the authorization server is found again before an assertion is sent, if a record may have
    /// been forged.
    pub(super) discovery: Option<DiscoveryOptions>,
}

/// Returns what proves that we have the key of a login, for a record that nobody has a session for.
pub(super) fn prover_of(platform: &Platform, record: &Record) -> Option<ProofGenerator> {
    let key = record.dpop.clone()?;
    Some(ProofGenerator::new(key, Arc::clone(&platform.clock)))
}

pub(super) async fn refresh_within(
    platform: &Platform,
    record: &Record,
    prover: Option<&ProofGenerator>,
    given: Option<&GivenGrant>,
    left: Duration,
) -> Result<TokenSet, TokenRefreshError> {
    let resource = &record.discovery.resource;
    let Some(recorded) = &record.machine else {
        return refresh_with(platform, record, resource, prover, left).await;
    };
    let end = platform.clock.now() + left;
    if record.tokens.refresh_token.is_some() {
        match refresh_with(platform, record, resource, prover, left).await {
            // Nobody need be asked: what brought the login brings another one.
            Err(TokenRefreshError::Answer { cause, .. }) if cause.is("invalid_grant") => {}
            outcome => return outcome,
        }
    }
    let machine = recorded.with_source(given.map(|given| &given.grant))?;
    let _turn = turn(platform, record).await;
    let left = || end.duration_since(platform.clock.now()).unwrap_or_default();
    let found = match given.and_then(|given| given.discovery.as_ref()) {
        Some(options) if machine.presents_assertion() => {
            Some(find_again(platform, record, options, left()).await?)
        }
        _ => None,
    };
    let discovery = found.as_ref().unwrap_or(&record.discovery);
    let client = record.identity.authenticate(&discovery.metadata);
    let client = client.ok_or(TokenRefreshError::IssuerMismatch)?;
    let by = By {
        client: &client,
        prover,
    };
    let scope = record.requested.as_ref();
    let tokens = non_interactive::obtain(platform, discovery, by, machine, scope, left());
    Ok(Box::pin(tokens).await?)
}

/// Finds the authorization server once more. An assertion is sent where the server's metadata says and
/// not where a record says: a forged one would have it sent to its author.
async fn find_again(
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

/// Waits for a turn at the issuer, but not for long: one that hangs holds up its own, and being
/// polite is no reason to keep a login from its tokens.
async fn turn(platform: &Platform, record: &Record) -> Option<impl Sized> {
    let issuer = record.discovery.issuer();
    tokio::select! {
        biased;
        turn = platform.turns.at(issuer.as_str()) => turn,
        () = platform.clock.sleep(LONGEST_TURN) => None,
    }
}

fn own_client(record: &Record) -> Result<ClientAuth<'_>, TokenRefreshError> {
    let client = record.identity.authenticate(&record.discovery.metadata);
    client.ok_or(TokenRefreshError::IssuerMismatch)
}

/// Returns the same, for a resource that may be another one of the issuer. A refresh token of ours is bound
/// to the key of its login (RFC 9449 §5), and so are the tokens that it brings.
pub(super) async fn refresh_with(
    platform: &Platform,
    record: &Record,
    resource: &Resource,
    prover: Option<&ProofGenerator>,
    left: Duration,
) -> Result<TokenSet, TokenRefreshError> {
    let (discovery, server) = (&record.discovery, &record.discovery.metadata);
    let Some(refresh_token) = &record.tokens.refresh_token else {
        return Err(TokenRefreshError::NoRefreshToken(discovery.server.clone()));
    };
    let client = own_client(record)?.with_time(platform.clock.now())?;
    let endpoint = &server.token_endpoint;
    let end = platform.clock.now() + left;
    let _turn = turn(platform, record).await;
    let left = end.duration_since(platform.clock.now()).unwrap_or_default();
    let scope = record.scope_on_refresh();
    let request = |client: &ClientAuth<'_>| {
        let mut request = token::refresh_request(
            endpoint,
            discovery.reach,
            client,
            discovery.quirks.resource_parameter(resource),
            scope.as_ref(),
            refresh_token,
        );
        request.deadline = request.deadline.min(left);
        request
    };
    let now = platform.clock.now();
    let response = token_request::send(platform, &client, request, prover)
        .await
        .map_err(TokenRefreshError::Http)?;
    let response = discovery.quirks.token_answer(response);
    let sent = [refresh_token.expose().as_str()];
    let secrets: Vec<&str> = client.secrets().chain(sent).collect();
    let (quirks, issuer) = (&discovery.quirks, discovery.issuer());
    let tokens = quirks.tokens(issuer, &response, now, &secrets, expected_scheme(prover));
    let mut tokens = tokens.map_err(|cause| {
        let url = endpoint.as_url().clone();
        TokenRefreshError::Answer { url, cause }
    })?;
    tokens.refresh_token = tokens.refresh_token.or_else(|| Some(refresh_token.clone()));
    tokens.scope = tokens.scope.or_else(|| record.tokens.scope.clone());
    Ok(tokens)
}

/// Returns whether another try may help. A request whose answer was lost may have spent the refresh token:
/// it is tried again once, for servers that allow a moment of grace, and no more (H104). So is one
/// that a gateway answered in the place of a server that may have done its work.
pub(super) fn may_help(error: &TokenRefreshError, in_doubt: &mut bool) -> bool {
    let mut is_first_doubt = || !std::mem::replace(in_doubt, true);
    match error {
        TokenRefreshError::Answer {
            cause: TokenError::Unavailable { .. },
            ..
        } if leaves_doubt(error) => is_first_doubt(),
        TokenRefreshError::Answer {
            cause: TokenError::Unavailable { .. },
            ..
        } => true,
        TokenRefreshError::Http(error) => match error.cause {
            HttpErrorKind::Connect(_) | HttpErrorKind::Unproven(_) => true,
            HttpErrorKind::Interrupted(_) | HttpErrorKind::TimedOut(_) => is_first_doubt(),
            HttpErrorKind::Forbidden(_)
            | HttpErrorKind::TooLarge(_)
            | HttpErrorKind::HeadTooLarge
            | HttpErrorKind::Certificate(_)
            | HttpErrorKind::CertificateRequired
            | HttpErrorKind::NotTls
            | HttpErrorKind::Setup(_) => false,
        },
        TokenRefreshError::Machine(error) => error.may_pass(),
        TokenRefreshError::Discovery(error) => error.remedy() == Remedy::Retry,
        TokenRefreshError::Answer { .. }
        | TokenRefreshError::NotSigned(_)
        | TokenRefreshError::Interrupted { .. }
        | TokenRefreshError::NoRefreshToken(_)
        | TokenRefreshError::NotRefreshable { .. }
        | TokenRefreshError::Rejected(_)
        | TokenRefreshError::IssuerMismatch
        | TokenRefreshError::Aborted(_) => false,
    }
}

/// `Retry-After`, already bounded (H85).
pub(super) fn asked_wait(error: &TokenRefreshError) -> Option<Duration> {
    match error {
        TokenRefreshError::Answer {
            cause: TokenError::Unavailable { retry_after, .. },
            ..
        } => *retry_after,
        _ => None,
    }
}

/// Returns whether the request may have spent the refresh token without our knowing what came of it.
pub(super) fn leaves_doubt(error: &TokenRefreshError) -> bool {
    match error {
        TokenRefreshError::Http(error) => matches!(
            error.cause,
            HttpErrorKind::Interrupted(_)
                | HttpErrorKind::TimedOut(_)
                | HttpErrorKind::TooLarge(_)
                | HttpErrorKind::HeadTooLarge
        ),
        // Of a gateway, say, that has lost the answer. 503 is said before anything is done.
        TokenRefreshError::Answer {
            cause: TokenError::Unavailable { status, .. },
            ..
        } => *status >= 500 && *status != 503,
        _ => false,
    }
}
