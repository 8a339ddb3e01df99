//! Why a grant without a person brought no tokens.

use url::Url;

use super::{
    AssertionError, AssertionErrorKind, HttpError, SigningError, TokenError, TokenExchangeError,
    remedy::{Remedy, network_remedy},
};
use crate::proto::server_metadata::{ID_JAG_PROFILE, Issuer};

/// Says why a grant without a person brought no tokens. Nobody can be asked to log in, so what a server
/// refuses is mended where the grant was configured.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NonInteractiveGrantError {
    /// The place of the assertion has none.
    #[error(transparent)]
    Assertion(#[from] AssertionError),
    /// The login presents an assertion, and the caller has not named its source. No record holds that.
    #[error(
        "the login presents an assertion for each token ({0}), and the source of the assertion is not \
         given"
    )]
    SourceRequired(&'static str),
    /// A client that asks in its own name must prove who it is (RFC 6749 §4.4).
    #[error("the client `{client_id}` has nothing that proves to {issuer} who it is")]
    PublicClient {
        /// Says which client.
        client_id: String,
        /// Who would have to believe it.
        issuer: Issuer,
    },
    /// The server takes no identity provider's word (spec-checklist J6). Nothing was sent.
    #[error(
        "the authorization server {0} takes nobody's word for a person: its metadata does not list \
         `{ID_JAG_PROFILE}` among the `authorization_grant_profiles_supported`"
    )]
    IdJagNotSupported(Issuer),
    /// The key of the client could not sign.
    #[error(transparent)]
    NotSigned(#[from] SigningError),
    /// Holds what the identity provider of the organization said.
    #[error("the identity provider at {url}: {cause}")]
    IdentityProvider {
        /// Its token endpoint.
        url: Url,
        /// Holds what it said.
        #[source]
        cause: TokenExchangeError,
    },
    /// Holds what the authorization server said.
    #[error("{url}: {cause}")]
    Answer {
        /// The token endpoint.
        url: Url,
        /// Holds what it said.
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
            Self::NotSigned(_) => Remedy::Retry,
            Self::IdentityProvider { cause, .. } => match cause {
                TokenExchangeError::Answer(cause) => answer_remedy(cause),
                TokenExchangeError::OtherType(_) => Remedy::ContactServerOperator,
            },
            Self::Answer { cause, .. } => answer_remedy(cause),
            Self::Http(error) => network_remedy(error),
        }
    }

    /// Returns what the authorization server said.
    pub(super) fn token_answer(&self) -> Option<&TokenError> {
        match self {
            Self::Answer { cause, .. } => Some(cause),
            _ => None,
        }
    }

    /// Returns whether the same may work in a moment. An assertion that was refused is not sent again
    /// (spec-checklist J13).
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Answer { cause, .. }
            | Self::IdentityProvider {
                cause: TokenExchangeError::Answer(cause),
                ..
            } => matches!(cause, TokenError::Unavailable { .. }),
            Self::Http(error) => network_remedy(error) == Remedy::Retry,
            Self::Assertion(_)
            | Self::SourceRequired(_)
            | Self::PublicClient { .. }
            | Self::IdJagNotSupported(_)
            | Self::NotSigned(_)
            | Self::IdentityProvider { .. } => false,
        }
    }
}

fn answer_remedy(cause: &TokenError) -> Remedy {
    match cause {
        TokenError::Refused { error, .. }
            if error.has_code("temporarily_unavailable") || error.has_code("server_error") =>
        {
            Remedy::Retry
        }
        TokenError::Refused { .. } => Remedy::Reconfigure,
        TokenError::Unavailable { .. } => Remedy::Retry,
        TokenError::Downgraded | TokenError::NonceMismatch | TokenError::Malformed { .. } => {
            Remedy::ContactServerOperator
        }
    }
}
