//! Errors of the non-interactive grants.

use url::Url;

use super::{
    AssertionError, AssertionErrorKind, HttpError, SigningError, TokenError, TokenExchangeError,
    remedy::{Remedy, network_remedy},
};
use crate::proto::server_metadata::{ID_JAG_PROFILE, Issuer};

/// The reason why a non-interactive grant returned no tokens. No user can log in, so a refusal is fixed in
/// the configuration of the grant.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NonInteractiveGrantError {
    /// The source returned no assertion.
    #[error(transparent)]
    Assertion(#[from] AssertionError),
    /// The login presents an assertion, and the caller has not named its source. No record holds that.
    #[error(
        "the login presents an assertion for each token ({0}), and the source of the assertion is not \
         given"
    )]
    SourceRequired(&'static str),
    /// A client that requests a token in its own name must authenticate (RFC 6749 §4.4).
    #[error("the client `{client_id}` has no secret or key to authenticate with at {issuer}")]
    PublicClient {
        /// The client ID.
        client_id: String,
        /// The authorization server that requires the authentication.
        issuer: Issuer,
    },
    /// The server accepts no ID-JAG (draft-ietf-oauth-identity-assertion-authz-grant). Nothing was sent.
    #[error(
        "the authorization server {0} does not support ID-JAG: its metadata does not list \
         `{ID_JAG_PROFILE}` among the `authorization_grant_profiles_supported`"
    )]
    IdJagNotSupported(Issuer),
    /// The key of the client could not sign.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The identity provider of the organization returned an error.
    #[error("the identity provider at {url}: {cause}")]
    IdentityProvider {
        /// Its token endpoint.
        url: Url,
        /// Its error.
        #[source]
        cause: TokenExchangeError,
    },
    /// The authorization server returned an error.
    #[error("{url}: {cause}")]
    Response {
        /// The token endpoint.
        url: Url,
        /// Its error.
        #[source]
        cause: TokenError,
    },
    /// The network failed.
    #[error(transparent)]
    Http(HttpError),
}

impl NonInteractiveGrantError {
    pub(super) fn remedy(&self) -> Remedy {
        match self {
            Self::Assertion(error) => match error.cause {
                AssertionErrorKind::TimedOut(_) => Remedy::Retry,
                _ => Remedy::Reconfigure,
            },
            Self::SourceRequired(_) | Self::PublicClient { .. } | Self::IdJagNotSupported(_) => {
                Remedy::Reconfigure
            }
            Self::Signing(_) => Remedy::Retry,
            Self::IdentityProvider { cause, .. } => match cause {
                TokenExchangeError::Response(cause) => token_error_remedy(cause),
                TokenExchangeError::OtherType(_) => Remedy::ContactServerOperator,
            },
            Self::Response { cause, .. } => token_error_remedy(cause),
            Self::Http(error) => network_remedy(error),
        }
    }

    /// Returns the error of the authorization server.
    pub(super) fn token_error(&self) -> Option<&TokenError> {
        match self {
            Self::Response { cause, .. } => Some(cause),
            _ => None,
        }
    }

    /// Returns whether the same request may succeed later. A refused assertion is not sent again:
    /// `invalid_grant` says that it is invalid (RFC 7523 §3.1).
    pub(crate) fn may_retry(&self) -> bool {
        match self {
            Self::Response { cause, .. }
            | Self::IdentityProvider {
                cause: TokenExchangeError::Response(cause),
                ..
            } => matches!(cause, TokenError::Unavailable { .. }),
            Self::Http(error) => network_remedy(error) == Remedy::Retry,
            Self::Assertion(_)
            | Self::SourceRequired(_)
            | Self::PublicClient { .. }
            | Self::IdJagNotSupported(_)
            | Self::Signing(_)
            | Self::IdentityProvider { .. } => false,
        }
    }
}

fn token_error_remedy(cause: &TokenError) -> Remedy {
    match cause {
        TokenError::Refused { error, .. }
            if error.has_code("temporarily_unavailable") || error.has_code("server_error") =>
        {
            Remedy::Retry
        }
        TokenError::Refused { .. } => Remedy::Reconfigure,
        TokenError::Unavailable { .. } => Remedy::Retry,
        TokenError::TokenTypeDowngrade
        | TokenError::NonceMismatch
        | TokenError::Malformed { .. } => Remedy::ContactServerOperator,
    }
}
