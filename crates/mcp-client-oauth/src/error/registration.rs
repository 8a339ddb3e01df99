//! Step 2 that failed.

use url::Url;

use super::{RegistrationResponseError, SigningError, remedy::Remedy};
use crate::proto::server_metadata::Issuer;

/// Says why there is no client id.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// Nothing to be had, and nothing given (spec-checklist D1).
    #[error("the authorization server {0} registers no clients by itself; a client id is needed")]
    RegistrationNotSupported(Issuer),
    /// A client id belongs to the issuer that gave it (spec-checklist D12-D14).
    #[error("the client id was registered with {registered}, but the server now names {found}")]
    IssuerMismatch {
        /// TargetArgs it is.
        registered: Issuer,
        /// Who asks for it.
        found: Issuer,
    },
    /// The registration was refused, or came back unusable.
    #[error("{url}: {cause}")]
    Answer {
        /// The registration endpoint.
        url: Url,
        /// Holds what it said.
        #[source]
        cause: RegistrationResponseError,
    },
    /// A client metadata document that cannot be a client id (spec-checklist D5).
    #[error(
        "`{0}` cannot be a client id: the URL of a client metadata document is https and has a path"
    )]
    Document(Url),
    /// A grant without a person needs a client that is there already (spec-checklist J2).
    #[error("no client is registered without a person, and none was given that {0} knows")]
    NoClient(Issuer),
    /// The key of the client signs with an algorithm that the server does not check.
    #[error(
        "the client's key signs with {own}, which the authorization server {issuer} does not take"
    )]
    SigningAlgorithm {
        /// Says which server.
        issuer: Issuer,
        /// Holds what the key signs with.
        own: &'static str,
    },
    /// The key of the client could not sign.
    #[error(transparent)]
    NotSigned(#[from] SigningError),
}

impl RegistrationError {
    pub(super) fn remedy(&self) -> Remedy {
        match self {
            Self::RegistrationNotSupported(_)
            | Self::IssuerMismatch { .. }
            | Self::Document(_)
            | Self::NoClient(_)
            | Self::SigningAlgorithm { .. } => Remedy::Reconfigure,
            Self::NotSigned(_) => Remedy::Retry,
            Self::Answer { cause, .. } => match cause {
                RegistrationResponseError::Refused {
                    status: 429 | 500..,
                    ..
                } => Remedy::Retry,
                RegistrationResponseError::Refused { .. } => Remedy::Reconfigure,
                RegistrationResponseError::Unusable(_) => Remedy::ContactServerOperator,
            },
        }
    }
}
