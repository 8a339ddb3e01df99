//! Every failure on one page: one cause enum for each stage of the way, and what to do about it.
//!
//! The `Display` of [`Error`] says all there is to say, in one line; the sources are there for
//! programs. What a server wrote is escaped and cut. Errors are `Clone`, because one refresh
//! answers many callers.
//!
//! | stage | typical causes | [`Remedy`] |
//! |---|---|---|
//! | [`Error::Discovery`] | no metadata, metadata of somebody else, no PKCE | report to the server |
//! | [`Error::RegisteredClient`] | no way to register, a client id of another issuer | reconfigure |
//! | [`Error::Authorization`] | denied, timed out, nobody logged in yet; port busy | log in; reconfigure |
//! | [`Error::TokenExchange`] | the code was refused; the client was; no token in the answer | log in; reconfigure; report |
//! | [`Error::NonInteractiveGrant`] | the assertion or the client was refused; there is no assertion | reconfigure, or retry |
//! | [`Error::TokenRefresh`] | the refresh token is spent (definitive), the server is busy (transient) | log in, or retry |
//! | [`Error::TokenStorage`] | wrong password, damaged file, disk full | reconfigure |
//! | [`Error::Revocation`] | the server did not take the token back, or takes none | retry; report |
//! | [`Error::Http`] | no connection, timeout, too large | retry |

use std::time::Duration;

use url::Url;

mod authorization;
mod discovery;
mod non_interactive;
mod registration;
mod remedy;
mod storage;

pub use authorization::AuthorizationError;
pub use discovery::{Attempt, DiscoveryError};
pub use non_interactive::NonInteractiveGrantError;
pub use registration::RegistrationError;
pub use remedy::Remedy;
use remedy::network_remedy;
pub use storage::{KeychainErrorKind, TokenStorageError, VaultErrorKind};

pub use crate::{
    platform::{AssertionError, AssertionErrorKind, HttpError, HttpErrorKind, UrlPolicyError},
    proto::{
        authorization::CallbackError, device::DeviceResponseError, dpop::DpopError,
        pkce::RandomError, private_key::SigningError, registration::RegistrationResponseError,
        resource_metadata::ResourceMetadataError, revocation::RevocationResponseError,
        scope::ScopeError, server_metadata::ServerMetadataError, token::TokenError,
        token_exchange::TokenExchangeError,
    },
    server_url::ServerUrlError,
};
use crate::{
    proto::{dpop::USE_NONCE, server_metadata::Issuer},
    server_url::ServerUrl,
};

/// Anything that can stop a server URL from becoming an authorized request.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Finding the authorization server.
    #[error("discovery failed: {0}")]
    Discovery(#[from] DiscoveryError),
    /// Getting a client id.
    #[error("client registration failed: {0}")]
    Registration(#[from] RegistrationError),
    /// Asking the person.
    #[error("authorization failed: {0}")]
    Authorization(#[from] AuthorizationError),
    /// Trading a grant for tokens.
    #[error("token exchange at {url} failed: {cause}")]
    TokenExchange {
        /// The token endpoint.
        url: Url,
        /// Holds what it said.
        #[source]
        cause: TokenError,
    },
    /// Getting tokens without a person.
    #[error("no tokens without a person: {0}")]
    MachineGrant(#[from] NonInteractiveGrantError),
    /// Trading a refresh token for tokens.
    #[error("token refresh failed: {0}")]
    TokenRefresh(#[from] TokenRefreshError),
    /// Keeping tokens.
    #[error("token storage failed: {0}")]
    TokenStorage(#[from] TokenStorageError),
    /// Giving tokens back.
    #[error("revocation failed: {0}")]
    Revocation(#[from] RevocationError),
    /// The network, at any stage.
    #[error(transparent)]
    Http(#[from] HttpError),
}

impl Error {
    /// Returns what to do about it. The match is exhaustive: no failure can be added without deciding.
    pub fn remedy(&self) -> Remedy {
        match self {
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
                TokenError::Downgraded
                | TokenError::NonceMismatch
                | TokenError::Malformed { .. } => Remedy::ContactServerOperator,
            },
            Self::MachineGrant(cause) => cause.remedy(),
            Self::TokenRefresh(cause) => cause.remedy(),
            Self::TokenStorage(cause) => cause.remedy(),
            Self::Revocation(cause) => cause.remedy(),
            Self::Http(error) => network_remedy(error),
        }
    }

    /// Returns whether an authorization server no longer knows the client that we registered (H173).
    pub fn is_unknown_client(&self) -> bool {
        let unknown = ["invalid_client", "unauthorized_client"];
        match self {
            Self::Authorization(AuthorizationError::Refused(error)) => {
                unknown.iter().any(|code| error.has_code(code))
            }
            Self::Authorization(AuthorizationError::Device { cause, .. }) => {
                unknown.iter().any(|code| cause.is(code))
            }
            _ => self
                .token_answer()
                .is_some_and(|cause| unknown.iter().any(|code| cause.is(code))),
        }
    }

    /// Returns whether an authorization server refused the scope (RFC 6749 §4.1.2.1 and §5.2).
    pub fn is_invalid_scope(&self) -> bool {
        let code = "invalid_scope";
        match self {
            Self::Authorization(AuthorizationError::Refused(error)) => error.has_code(code),
            Self::Authorization(AuthorizationError::Device { cause, .. }) => cause.is(code),
            _ => self.token_answer().is_some_and(|cause| cause.is(code)),
        }
    }

    /// Returns whether what was discovered before is out of date: an endpoint is gone, or the client that
    /// it knew (H22).
    pub fn is_stale_discovery(&self) -> bool {
        let is_gone = matches!(self, Self::Authorization(AuthorizationError::Device { cause, .. })
            if cause.is_gone());
        is_gone
            || matches!(self, Self::Registration(_))
            || self.is_unknown_client()
            || self.token_answer().is_some_and(TokenError::is_gone)
    }

    /// Returns what a token endpoint said.
    fn token_answer(&self) -> Option<&TokenError> {
        match self {
            Self::TokenExchange { cause, .. }
            | Self::TokenRefresh(TokenRefreshError::Answer { cause, .. }) => Some(cause),
            Self::MachineGrant(error) | Self::TokenRefresh(TokenRefreshError::Machine(error)) => {
                error.token_answer()
            }
            _ => None,
        }
    }
}

/// Says why there is no fresh token.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenRefreshError {
    /// The login brought no refresh token (spec-checklist H4).
    #[error("the access token for {0} has expired, and the login brought no refresh token")]
    NoRefreshToken(ServerUrl),
    /// A refresh was requested while the access token is still valid, and the server gave no refresh
    /// token (RFC 6749 §5.1 makes it optional).
    #[error("the server gave no refresh token for {server}; the access token is valid for {}; log in again when it ends", remaining(*.left))]
    NotRefreshable {
        /// The MCP server.
        server: ServerUrl,
        /// Says how long the access token is still valid; `None` if the server did not say.
        left: Option<Duration>,
    },
    /// The MCP server rejected an access token that should still be valid, and there is no refresh
    /// token to replace it by.
    #[error("{0} rejected the access token, and the login brought no refresh token")]
    Rejected(ServerUrl),
    /// Holds what the token endpoint said.
    #[error("{url}: {cause}")]
    Answer {
        /// The token endpoint.
        url: Url,
        /// Holds what it said.
        #[source]
        cause: TokenError,
    },
    /// The refresh token was refused, and an earlier refresh with it had been sent whose answer was
    /// never stored: its answer was lost on the way, or a process ended in the middle.
    #[error(
        "{url}: {cause}; an earlier refresh was interrupted before its answer was stored, and may \
         have spent the refresh token"
    )]
    Interrupted {
        /// The token endpoint.
        url: Url,
        /// Holds what it said.
        #[source]
        cause: TokenError,
    },
    /// The network failed.
    #[error(transparent)]
    Http(HttpError),
    /// The client id in the record belongs to another issuer than the record's server.
    #[error("the stored client id belongs to another issuer")]
    IssuerMismatch,
    /// The key of the client could not sign.
    #[error(transparent)]
    NotSigned(#[from] SigningError),
    /// A login without a person could not be done again.
    #[error(transparent)]
    Machine(#[from] NonInteractiveGrantError),
    /// The authorization server could not be found again, before an assertion was sent to it.
    #[error(transparent)]
    Discovery(Box<Error>),
    /// The refresh task itself died.
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
    /// Returns whether only a new login helps; otherwise the tokens are kept and another try may work.
    pub fn is_definitive(&self) -> bool {
        match self {
            Self::NoRefreshToken(_)
            | Self::NotRefreshable { .. }
            | Self::Rejected(_)
            | Self::IssuerMismatch
            | Self::Interrupted { .. } => true,
            Self::Answer { cause, .. } => cause.is_definitive(),
            Self::Http(_)
            | Self::NotSigned(_)
            | Self::Machine(_)
            | Self::Discovery(_)
            | Self::Aborted(_) => false,
        }
    }

    fn remedy(&self) -> Remedy {
        match self {
            Self::Machine(cause) => cause.remedy(),
            Self::Discovery(error) => error.remedy(),
            // No time mends a certificate, and no login.
            Self::Http(error) if error.is_about_certificates() => network_remedy(error),
            _ if self.is_definitive() => Remedy::LogIn,
            _ => Remedy::Retry,
        }
    }
}

/// Says why a token was not given back.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevocationError {
    /// The server takes no tokens back: they live until they expire.
    #[error("the authorization server {0} has no revocation endpoint")]
    NotOffered(Issuer),
    /// The client id belongs to another issuer than the server.
    #[error("the client id belongs to another issuer than {0}")]
    OtherIssuer(Issuer),
    /// Holds what the revocation endpoint said.
    #[error("{url}: {cause}")]
    Answer {
        /// The revocation endpoint.
        url: Url,
        /// Holds what it said.
        #[source]
        cause: RevocationResponseError,
    },
}

impl RevocationError {
    fn remedy(&self) -> Remedy {
        match self {
            Self::Answer { .. } => Remedy::Retry,
            Self::NotOffered(_) => Remedy::ContactServerOperator,
            Self::OtherIssuer(_) => Remedy::Reconfigure,
        }
    }
}
