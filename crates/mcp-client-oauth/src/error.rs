//! All errors of the crate: one enum for each step, and the remedy of each failure.
//!
//! The `Display` of [`Error`] says everything in one line; the sources are for programs. Text from a
//! server is escaped and cut. Errors are `Clone`, because many callers get the result of one refresh.
//!
//! | step | typical causes | [`Remedy`] |
//! |---|---|---|
//! | [`Error::ServerUrl`], [`Error::Scope`] | the argument of a login is not valid | reconfigure |
//! | [`Error::Discovery`] | no metadata, metadata of another server, no PKCE | contact the server operator |
//! | [`Error::Registration`] | dynamic registration is not supported, a client ID of another issuer | reconfigure |
//! | [`Error::Authorization`] | denied, timed out, not logged in; port busy | log in; reconfigure |
//! | [`Error::TokenExchange`] | the code or the client was refused; no token in the response | log in; reconfigure; contact the server operator |
//! | [`Error::NonInteractiveGrant`] | the assertion or the client was refused; there is no assertion | reconfigure, or retry |
//! | [`Error::TokenRefresh`] | the refresh token is spent (definitive), the server is busy (transient) | log in, or retry |
//! | [`Error::TokenStorage`] | wrong password, corrupt file, disk full | reconfigure |
//! | [`Error::Revocation`] | the server did not revoke the token, or has no revocation endpoint | retry; contact the server operator |
//! | [`Error::Http`] | no connection, timeout, too large | retry |

use std::{convert::Infallible, time::Duration};

use url::Url;

mod authorization;
mod discovery;
mod non_interactive;
mod registration;
mod remedy;

pub use authorization::AuthorizationError;
pub use discovery::{Attempt, DiscoveryError};
pub use non_interactive::NonInteractiveGrantError;
pub use registration::RegistrationError;
pub use remedy::Remedy;
use remedy::{network_remedy, storage_remedy};

pub use mcp_oauth_store::TokenStorageError;
pub use mcp_oauth_support::UntrustedText;

pub use crate::{
    platform::{AssertionError, AssertionErrorKind, HttpError, HttpErrorKind, UrlPolicyError},
    proto::{
        authorization::CallbackError, device::DeviceResponseError,
        registration::RegistrationResponseError, resource_metadata::ResourceMetadataError,
        server_metadata::ServerMetadataError, token::TokenError,
        token_exchange::TokenExchangeError,
    },
    server_url::ServerUrlError,
};
use crate::{
    proto::{
        dpop::{DpopError, USE_NONCE},
        pkce::RandomError,
        private_key::SigningError,
        revocation::RevocationResponseError,
        scope::ScopeError,
        server_metadata::Issuer,
    },
    server_url::ServerUrl,
};

/// Any failure between a server URL and an authorized request.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL of the server is not valid.
    #[error("{0}")]
    ServerUrl(#[from] ServerUrlError),
    /// The requested scope is not valid.
    #[error("invalid scope: {0}")]
    Scope(#[from] ScopeError),
    /// The authorization server was not found.
    #[error("discovery failed: {0}")]
    Discovery(#[from] DiscoveryError),
    /// There is no client ID.
    #[error("client registration failed: {0}")]
    Registration(#[from] RegistrationError),
    /// The user did not authorize the client, or could not be reached.
    #[error("authorization failed: {0}")]
    Authorization(#[from] AuthorizationError),
    /// The token endpoint did not exchange a code for tokens.
    #[error("token exchange at {url} failed: {cause}")]
    TokenExchange {
        /// The token endpoint.
        url: Url,
        /// Its error.
        #[source]
        cause: TokenError,
    },
    /// A non-interactive grant failed.
    #[error("non-interactive login failed: {0}")]
    NonInteractiveGrant(#[from] NonInteractiveGrantError),
    /// The access token was not refreshed.
    #[error("token refresh failed: {0}")]
    TokenRefresh(#[from] TokenRefreshError),
    /// The token store failed.
    #[error("token storage failed: {0}")]
    TokenStorage(#[from] TokenStorageError),
    /// A token was not revoked.
    #[error("revocation failed: {0}")]
    Revocation(#[from] RevocationError),
    /// The network failed, at any step.
    #[error(transparent)]
    Http(#[from] HttpError),
}

impl Error {
    /// Returns what to do about the error. The match is exhaustive, so each new error needs a remedy.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::ServerUrl(_) | Self::Scope(_) => Remedy::Reconfigure,
            Self::Discovery(cause) => cause.remedy(),
            Self::Registration(cause) => cause.remedy(),
            Self::Authorization(cause) => cause.remedy(),
            Self::TokenExchange { cause, .. } => match cause {
                TokenError::Refused { error, .. } if error.has_code("invalid_grant") => {
                    Remedy::LogIn
                }
                TokenError::Refused { error, .. } if error.has_code(USE_NONCE) => {
                    Remedy::ContactServerOperator
                }
                TokenError::Refused { .. } => Remedy::Reconfigure,
                TokenError::Unavailable { .. } => Remedy::Retry,
                TokenError::TokenTypeDowngrade
                | TokenError::NonceMismatch
                | TokenError::Malformed { .. } => Remedy::ContactServerOperator,
            },
            Self::NonInteractiveGrant(cause) => cause.remedy(),
            Self::TokenRefresh(cause) => cause.remedy(),
            Self::TokenStorage(cause) => storage_remedy(cause),
            Self::Revocation(cause) => cause.remedy(),
            Self::Http(error) => network_remedy(error),
        }
    }

    /// Returns whether an authorization server no longer knows the registered client (RFC 6749 §5.2,
    /// `invalid_client`).
    pub fn is_unknown_client(&self) -> bool {
        let unknown = ["invalid_client", "unauthorized_client"];
        match self {
            Self::Authorization(AuthorizationError::Refused(error)) => {
                unknown.iter().any(|code| error.has_code(code))
            }
            Self::Authorization(AuthorizationError::Device { cause, .. }) => {
                unknown.iter().any(|code| cause.has_code(code))
            }
            _ => self
                .token_error()
                .is_some_and(|cause| unknown.iter().any(|code| cause.has_code(code))),
        }
    }

    /// Returns whether the discovered metadata is out of date: an endpoint is gone, or the server no
    /// longer knows the client.
    pub(crate) fn is_stale_discovery(&self) -> bool {
        let is_gone = matches!(self, Self::Authorization(AuthorizationError::Device { cause, .. })
            if cause.is_gone());
        is_gone
            || matches!(self, Self::Registration(_))
            || self.is_unknown_client()
            || self.token_error().is_some_and(TokenError::is_gone)
    }

    /// Returns the error of a token endpoint.
    fn token_error(&self) -> Option<&TokenError> {
        match self {
            Self::TokenExchange { cause, .. }
            | Self::TokenRefresh(TokenRefreshError::Response { cause, .. }) => Some(cause),
            Self::NonInteractiveGrant(error)
            | Self::TokenRefresh(TokenRefreshError::NonInteractiveGrant(error)) => {
                error.token_error()
            }
            _ => None,
        }
    }
}

/// A conversion that cannot fail, such as that of a [`ServerUrl`] to itself.
impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// The reason why an access token was not refreshed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenRefreshError {
    /// The server issued no refresh token, which RFC 6749 §5.1 makes optional.
    #[error("the access token for {0} has expired, and the server issued no refresh token")]
    NoRefreshToken(ServerUrl),
    /// A refresh was requested while the access token is still valid, and the server issued no refresh
    /// token (RFC 6749 §5.1 makes it optional).
    #[error(
        "the server issued no refresh token for {server}; the access token is valid for {}; log in \
         again when it expires",
        remaining(*.left)
    )]
    NotRefreshable {
        /// The MCP server.
        server: ServerUrl,
        /// The remaining lifetime of the access token; `None` if the server did not return one.
        left: Option<Duration>,
    },
    /// The MCP server rejected an access token that should still be valid, and there is no refresh
    /// token to replace it by.
    #[error("{0} rejected the access token, and the server issued no refresh token")]
    Rejected(ServerUrl),
    /// The token endpoint returned an error.
    #[error("{url}: {cause}")]
    Response {
        /// The token endpoint.
        url: Url,
        /// Its error.
        #[source]
        cause: TokenError,
    },
    /// The refresh token was refused, and the response to an earlier refresh with it was never stored:
    /// that response was lost, or the process ended before it was stored.
    #[error(
        "{url}: {cause}; an earlier refresh was interrupted before its response was stored, and may \
         have spent the refresh token"
    )]
    Interrupted {
        /// The token endpoint.
        url: Url,
        /// Its error.
        #[source]
        cause: TokenError,
    },
    /// The network failed.
    #[error(transparent)]
    Http(HttpError),
    /// The client ID in the record belongs to another issuer than the record's server.
    #[error("the stored client ID belongs to another issuer")]
    IssuerMismatch,
    /// The key of the client could not sign.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// A non-interactive login could not be repeated.
    #[error(transparent)]
    NonInteractiveGrant(#[from] NonInteractiveGrantError),
    /// The authorization server could not be found again, before an assertion was sent to it.
    #[error(transparent)]
    Discovery(Box<Error>),
    /// The refresh task panicked or was cancelled.
    #[error("the refresh was aborted ({0})")]
    Aborted(String),
}

/// Formats how long a token is still valid: whole minutes from two minutes on, else seconds.
fn remaining(left: Option<Duration>) -> String {
    match left.map(|left| left.as_secs()) {
        None => "an unknown time".to_owned(),
        Some(seconds @ 120..) => format!("{} more minutes", seconds / 60),
        Some(1) => "1 more second".to_owned(),
        Some(seconds) => format!("{seconds} more seconds"),
    }
}

impl TokenRefreshError {
    /// Returns whether only a new login helps; otherwise the tokens are kept and a retry may succeed.
    pub(crate) fn is_definitive(&self) -> bool {
        match self {
            Self::NoRefreshToken(_)
            | Self::NotRefreshable { .. }
            | Self::Rejected(_)
            | Self::IssuerMismatch
            | Self::Interrupted { .. } => true,
            Self::Response { cause, .. } => cause.is_definitive(),
            Self::Http(_)
            | Self::Signing(_)
            | Self::NonInteractiveGrant(_)
            | Self::Discovery(_)
            | Self::Aborted(_) => false,
        }
    }

    fn remedy(&self) -> Remedy {
        match self {
            Self::NonInteractiveGrant(cause) => cause.remedy(),
            Self::Discovery(error) => error.remedy(),
            // Neither a retry nor a login fixes a certificate.
            Self::Http(error) if error.is_about_certificates() => network_remedy(error),
            _ if self.is_definitive() => Remedy::LogIn,
            _ => Remedy::Retry,
        }
    }
}

/// The reason why a token was not revoked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevocationError {
    /// The server revokes no tokens: they are valid until they expire.
    #[error("the authorization server {0} has no revocation endpoint")]
    NotOffered(Issuer),
    /// The client ID belongs to another issuer than the server.
    #[error("the client ID belongs to another issuer than {0}")]
    IssuerMismatch(Issuer),
    /// The revocation endpoint returned an error.
    #[error("{url}: {cause}")]
    Response {
        /// The revocation endpoint.
        url: Url,
        /// Its error.
        #[source]
        cause: RevocationResponseError,
    },
}

impl RevocationError {
    fn remedy(&self) -> Remedy {
        match self {
            Self::Response { .. } => Remedy::Retry,
            Self::NotOffered(_) => Remedy::ContactServerOperator,
            Self::IssuerMismatch(_) => Remedy::Reconfigure,
        }
    }
}
