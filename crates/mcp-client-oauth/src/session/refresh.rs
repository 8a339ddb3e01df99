//! One refresh request, and whether another may help.

use std::time::Duration;

use crate::{
    error::{HttpErrorCause, TokenRefreshError},
    platform::{Platform, TOKEN_DEADLINE},
    proto::{
        resource_metadata::Resource,
        token::{self, TokenError, TokenSet},
    },
    store::Record,
};

/// Sends one refresh request: no lock, no retry, nothing stored. [`Session`](crate::Session) does
/// all that; this is the bare step, for callers that keep their own tokens.
///
/// The result has the refresh token and the scope of the answer, or the old ones where the answer
/// has none (RFC 6749 §6, spec-checklist H5). The request goes to the endpoint of the record and
/// to no other (H6).
///
/// # Errors
/// [`TokenRefreshError`], which tells a dead token from a failing network.
pub async fn refresh(platform: &Platform, record: &Record) -> Result<TokenSet, TokenRefreshError> {
    refresh_within(platform, record, TOKEN_DEADLINE).await
}

pub(super) async fn refresh_within(
    platform: &Platform,
    record: &Record,
    left: Duration,
) -> Result<TokenSet, TokenRefreshError> {
    refresh_with(platform, record, &record.discovery.resource, left).await
}

/// The same, for a resource that may be another one of the issuer.
pub(super) async fn refresh_with(
    platform: &Platform,
    record: &Record,
    resource: &Resource,
    left: Duration,
) -> Result<TokenSet, TokenRefreshError> {
    let (discovery, server) = (&record.discovery, &record.discovery.metadata);
    let Some(refresh_token) = &record.tokens.refresh_token else {
        return Err(TokenRefreshError::NoRefreshToken(discovery.server.clone()));
    };
    let client = record
        .identity
        .authenticate(server)
        .ok_or(TokenRefreshError::OtherIssuer)?;
    let endpoint = &server.token_endpoint;
    let mut request = token::refresh_request(
        endpoint,
        discovery.reach,
        &client,
        Some(resource),
        refresh_token,
    );
    request.deadline = request.deadline.min(left);
    let now = platform.clock.now();
    let answer = platform
        .http
        .send(request)
        .await
        .map_err(TokenRefreshError::Http)?;
    let secret = client
        .client_secret
        .map_or("", |secret| secret.expose().as_str());
    let mut tokens =
        token::response(&answer, now, &[refresh_token.expose(), secret]).map_err(|cause| {
            TokenRefreshError::Answer {
                url: endpoint.as_url().clone(),
                cause,
            }
        })?;
    tokens.refresh_token = tokens.refresh_token.or_else(|| Some(refresh_token.clone()));
    tokens.scope = tokens.scope.or_else(|| record.tokens.scope.clone());
    Ok(tokens)
}

/// Whether another try may help. A request whose answer was lost may have spent the refresh token:
/// it is tried again once, for servers that allow a moment of grace, and no more (H104).
pub(super) fn may_help(error: &TokenRefreshError, in_doubt: &mut bool) -> bool {
    match error {
        TokenRefreshError::Answer {
            cause: TokenError::Unavailable { .. },
            ..
        } => true,
        TokenRefreshError::Http(error) => match error.cause {
            HttpErrorCause::Connect(_) => true,
            HttpErrorCause::Interrupted(_) | HttpErrorCause::TimedOut(_) => {
                !std::mem::replace(in_doubt, true)
            }
            HttpErrorCause::Forbidden(_)
            | HttpErrorCause::TooLarge(_)
            | HttpErrorCause::Setup(_) => false,
        },
        TokenRefreshError::Answer { .. }
        | TokenRefreshError::Interrupted { .. }
        | TokenRefreshError::NoRefreshToken(_)
        | TokenRefreshError::OtherIssuer
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

/// Whether the request may have spent the refresh token without our knowing what came of it.
pub(super) fn leaves_doubt(error: &TokenRefreshError) -> bool {
    matches!(error, TokenRefreshError::Http(error)
        if matches!(error.cause, HttpErrorCause::Interrupted(_) | HttpErrorCause::TimedOut(_)))
}
