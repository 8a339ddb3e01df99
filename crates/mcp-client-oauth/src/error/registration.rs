//! Errors of step 2: there is no client ID.

use url::Url;

use super::{RegistrationResponseError, SigningError, remedy::Remedy};
use crate::proto::server_metadata::Issuer;

/// The reason why there is no client ID.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// The server supports neither client ID metadata documents nor dynamic registration, and the caller
    /// gave no client ID (MCP authorization, "Client Registration").
    #[error(
        "the authorization server {0} does not support dynamic client registration; pass a client ID"
    )]
    RegistrationNotSupported(Issuer),
    /// A client ID belongs to the issuer that issued it (MCP authorization, "Authorization Server
    /// Binding").
    #[error("the client ID was registered with {registered}, but the server now names {found}")]
    IssuerMismatch {
        /// The issuer that the client ID belongs to.
        registered: Issuer,
        /// The issuer that the server's metadata names.
        found: Issuer,
    },
    /// The registration was refused, or its response cannot be used.
    #[error("{url}: {cause}")]
    Response {
        /// The registration endpoint.
        url: Url,
        /// Its error.
        #[source]
        cause: RegistrationResponseError,
    },
    /// The URL of a client metadata document cannot be a client ID
    /// (draft-ietf-oauth-client-id-metadata-document §3).
    #[error(
        "`{0}` cannot be a client ID: the URL of a client metadata document is https and has a path"
    )]
    Document(Url),
    /// A non-interactive grant needs a registered client (MCP extension
    /// `io.modelcontextprotocol/oauth-client-credentials`).
    #[error("a non-interactive login needs a pre-registered client; none was given for {0}")]
    NoClient(Issuer),
    /// A secret or a key was given for a pre-registered client, and no client ID.
    #[error("a client secret or key was given without a client ID")]
    ClientIdRequired,
    /// The key of the client signs with an algorithm that the server does not support.
    #[error(
        "the client's key signs with {own}, which the authorization server {issuer} does not support"
    )]
    SigningAlgorithm {
        /// The authorization server.
        issuer: Issuer,
        /// The algorithm of the key.
        own: &'static str,
    },
    /// The key of the client could not sign.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

impl RegistrationError {
    pub(super) fn remedy(&self) -> Remedy {
        match self {
            Self::RegistrationNotSupported(_)
            | Self::IssuerMismatch { .. }
            | Self::Document(_)
            | Self::ClientIdRequired
            | Self::NoClient(_)
            | Self::SigningAlgorithm { .. } => Remedy::Reconfigure,
            Self::Signing(_) => Remedy::Retry,
            Self::Response { cause, .. } => match cause {
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
