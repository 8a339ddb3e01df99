//! Every failure on one page: one cause enum for each stage of the way, and what to do about it.
//!
//! The `Display` of [`Error`] says all there is to say, in one line; the sources are there for
//! programs. What a server wrote is escaped and cut. Errors are `Clone`, because one refresh
//! answers many callers.
//!
//! | stage | typical causes | [`Remedy`] |
//! |---|---|---|
//! | [`Error::Discovery`] | no metadata, metadata of somebody else, no PKCE | report to the server |
//! | [`Error::Registration`] | no way to register, a client id of another issuer | reconfigure |
//! | [`Error::Authorization`] | denied, timed out, nobody logged in yet; port busy | log in; reconfigure |
//! | [`Error::TokenExchange`] | the code was refused; the client was; no token in the answer | log in; reconfigure; report |
//! | [`Error::MachineGrant`] | the assertion or the client was refused; there is no assertion | reconfigure, or retry |
//! | [`Error::TokenRefresh`] | the refresh token is spent (definitive), the server is busy (transient) | log in, or retry |
//! | [`Error::TokenStorage`] | wrong password, damaged file, disk full | reconfigure |
//! | [`Error::Revocation`] | the server did not take the token back, or takes none | retry; report |
//! | [`Error::Http`] | no connection, timeout, too large | retry |

use std::{fmt, sync::Arc, time::Duration};

use url::Url;

mod machine;
mod storage;

pub use machine::MachineGrantError;
pub use storage::{KeychainCause, TokenStorageError, VaultCause};

pub use crate::{
    platform::{HttpError, HttpErrorCause, NoAssertion, NoAssertionCause, UnsafeUrl},
    proto::{
        authorization::CallbackError, client_auth::NotSigned, device::DeviceResponseError,
        dpop::NoProof, pkce::NoRandomness, registration::RegistrationResponseError,
        resource_metadata::ResourceMetadataError, revocation::NotRevoked, scope::ScopeError,
        server_metadata::ServerMetadataError, token::TokenError,
        token_exchange::TokenExchangeError,
    },
    server_url::ServerUrlError,
};
use crate::{
    proto::{
        dpop::USE_NONCE, error_body::ErrorBody, foreign::Foreign, scope::Scope,
        server_metadata::Issuer,
    },
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
        /// What it said.
        #[source]
        cause: TokenError,
    },
    /// Getting tokens without a person.
    #[error("no tokens without a person: {0}")]
    MachineGrant(#[from] MachineGrantError),
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

/// What a caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Remedy {
    /// Run the interactive flow again.
    LogIn,
    /// Change the configuration: a client id, a scope, a password, a port.
    Reconfigure,
    /// The server broke the protocol; tell whoever runs it.
    ReportToServer,
    /// Try the same thing later.
    Retry,
}

impl Error {
    /// What to do about it. The match is exhaustive: no failure can be added without deciding.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Discovery(cause) => cause.remedy(),
            Self::Registration(cause) => cause.remedy(),
            Self::Authorization(cause) => cause.remedy(),
            Self::TokenExchange { cause, .. } => match cause {
                TokenError::Refused { error, .. } if error.is("invalid_grant") => Remedy::LogIn,
                TokenError::Refused { error, .. } if error.is(USE_NONCE) => Remedy::ReportToServer,
                TokenError::Refused { .. } => Remedy::Reconfigure,
                TokenError::Unavailable { .. } => Remedy::Retry,
                TokenError::Downgraded | TokenError::Malformed { .. } => Remedy::ReportToServer,
            },
            Self::MachineGrant(cause) => cause.remedy(),
            Self::TokenRefresh(cause) => cause.remedy(),
            Self::TokenStorage(cause) => cause.remedy(),
            Self::Revocation(cause) => cause.remedy(),
            Self::Http(error) => network_remedy(error),
        }
    }

    /// Whether an authorization server no longer knows the client that we registered (H173).
    pub fn is_unknown_client(&self) -> bool {
        let unknown = ["invalid_client", "unauthorized_client"];
        match self {
            Self::Authorization(AuthorizationError::Refused(error)) => {
                unknown.iter().any(|code| error.is(code))
            }
            Self::Authorization(AuthorizationError::Device { cause, .. }) => {
                unknown.iter().any(|code| cause.is(code))
            }
            _ => self
                .token_answer()
                .is_some_and(|cause| unknown.iter().any(|code| cause.is(code))),
        }
    }

    /// Whether what was discovered before is out of date: an endpoint is gone, or the client that
    /// it knew (H22).
    pub fn contradicts_discovery(&self) -> bool {
        let is_gone = matches!(self, Self::Authorization(AuthorizationError::Device { cause, .. })
            if cause.is_gone());
        is_gone
            || matches!(self, Self::Registration(_))
            || self.is_unknown_client()
            || self.token_answer().is_some_and(TokenError::is_gone)
    }

    /// What a token endpoint said.
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

fn network_remedy(error: &HttpError) -> Remedy {
    match error.cause {
        HttpErrorCause::Forbidden(_)
        | HttpErrorCause::TooLarge(_)
        | HttpErrorCause::HeadTooLarge => Remedy::ReportToServer,
        HttpErrorCause::Setup(_)
        | HttpErrorCause::Certificate(_)
        | HttpErrorCause::CertificateRequired => Remedy::Reconfigure,
        HttpErrorCause::Connect(_)
        | HttpErrorCause::Interrupted(_)
        | HttpErrorCause::TimedOut(_)
        | HttpErrorCause::Unproven(_) => Remedy::Retry,
    }
}

/// One place that was asked for metadata, and what came.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Tried {
    /// Where.
    pub url: Url,
    /// The HTTP status.
    pub status: u16,
    /// Whether a web page came where JSON was wanted.
    pub html: bool,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let page = if self.html { ", a web page" } else { "" };
        write!(f, "{} (HTTP {}{page})", self.url, self.status)
    }
}

fn list(tried: &[Tried]) -> String {
    tried
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Why it is not known who issues tokens for a server.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// The server answers without a token and publishes no metadata.
    #[error("{server} asks for no authorization (it answered HTTP {status} without a token; tried {})", list(.tried))]
    NotProtected {
        /// Which server.
        server: ServerUrl,
        /// What it answered.
        status: u16,
        /// Where metadata was looked for.
        tried: Vec<Tried>,
    },
    /// The server wants a token, and does not say from whom (H16).
    #[error("{server} answered HTTP {status} and says nowhere who issues its tokens; tried {}", list(.tried))]
    NoResourceMetadata {
        /// Which server.
        server: ServerUrl,
        /// What it answered.
        status: u16,
        /// Where metadata was looked for.
        tried: Vec<Tried>,
    },
    /// Metadata of the server that cannot be used.
    #[error("the document at {url} cannot be used: {cause}")]
    ResourceMetadata {
        /// Where it is.
        url: Url,
        /// What is wrong with it.
        #[source]
        cause: ResourceMetadataError,
    },
    /// The server's metadata names nobody.
    #[error("the document at {0} names no authorization server")]
    NoAuthorizationServer(Url),
    /// The authorization server publishes no metadata.
    #[error("the authorization server {issuer} publishes no metadata; tried {}", list(.tried))]
    NoServerMetadata {
        /// Which.
        issuer: Issuer,
        /// Where metadata was looked for.
        tried: Vec<Tried>,
    },
    /// Metadata of the authorization server that cannot be used.
    #[error("the document at {url} cannot be used: {cause}")]
    ServerMetadata {
        /// Where it is.
        url: Url,
        /// What is wrong with it.
        #[source]
        cause: ServerMetadataError,
    },
    /// A URL that the server names, and that must not be visited.
    #[error("the server names `{url}`, which cannot be used: {cause}")]
    Unsafe {
        /// As the server wrote it.
        url: Foreign,
        /// Why not.
        #[source]
        cause: UnsafeUrl,
    },
    /// A redirect to another origin, or one of too many.
    #[error(
        "{url} redirects to `{location}`, which is not followed: metadata moves at most {most} times, within its own origin"
    )]
    Redirect {
        /// Where from.
        url: Url,
        /// Where to, as the server wrote it.
        location: Foreign,
        /// How many are followed.
        most: usize,
    },
    /// spec-checklist E2: without PKCE a stolen code is a stolen login.
    #[error(
        "the authorization server {0} supports other methods of PKCE than S256, and not that one"
    )]
    PkceUnsupported(Issuer),
    /// The same of a server that says nothing of PKCE, and may check it all the same.
    #[error("the authorization server {0} does not say that it supports PKCE with S256")]
    PkceUnlisted(Issuer),
    /// Too many requests for one discovery (H10, H130).
    #[error("{0} sends us from place to place; gave up")]
    Endless(ServerUrl),
}

impl DiscoveryError {
    fn remedy(&self) -> Remedy {
        let busy = |tried: &[Tried]| tried.iter().any(|place| place.status >= 500);
        match self {
            Self::NotProtected { .. } => Remedy::Reconfigure,
            Self::NoResourceMetadata { tried, .. } | Self::NoServerMetadata { tried, .. }
                if busy(tried) =>
            {
                Remedy::Retry
            }
            Self::NoResourceMetadata { .. }
            | Self::NoServerMetadata { .. }
            | Self::ResourceMetadata { .. }
            | Self::NoAuthorizationServer(_)
            | Self::ServerMetadata { .. }
            | Self::Unsafe { .. }
            | Self::Redirect { .. }
            | Self::PkceUnsupported(_)
            | Self::PkceUnlisted(_)
            | Self::Endless(_) => Remedy::ReportToServer,
        }
    }
}

/// Why there is no client id.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// Nothing to be had, and nothing given (spec-checklist D1).
    #[error("the authorization server {0} registers no clients by itself; a client id is needed")]
    NoWay(Issuer),
    /// A client id belongs to the issuer that gave it (spec-checklist D12-D14).
    #[error("the client id was registered with {registered}, but the server now names {found}")]
    OtherIssuer {
        /// Whose it is.
        registered: Issuer,
        /// Who asks for it.
        found: Issuer,
    },
    /// The registration was refused, or came back unusable.
    #[error("{url}: {cause}")]
    Answer {
        /// The registration endpoint.
        url: Url,
        /// What it said.
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
        /// Which server.
        issuer: Issuer,
        /// What the key signs with.
        own: &'static str,
    },
    /// The key of the client could not sign.
    #[error(transparent)]
    NotSigned(#[from] NotSigned),
}

impl RegistrationError {
    fn remedy(&self) -> Remedy {
        match self {
            Self::NoWay(_)
            | Self::OtherIssuer { .. }
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
                RegistrationResponseError::Unusable(_) => Remedy::ReportToServer,
            },
        }
    }
}

/// Why there is no authorization.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorizationError {
    /// Nobody has logged in to that server, or has logged out since.
    #[error("nobody is logged in to {0}")]
    LoginRequired(ServerUrl),
    /// No grant of ours works with this server.
    #[error(
        "no way to log in works with the authorization server {issuer}{}{}",
        asked(.wanted.as_ref()),
        must_be_named.map(|name| format!("; `{name}` may, if it is asked for")).unwrap_or_default()
    )]
    NoGrant {
        /// Which server.
        issuer: Issuer,
        /// The grant that was asked for, if one was.
        wanted: Option<String>,
        /// The grant that would do, if the caller named it.
        must_be_named: Option<&'static str>,
    },
    /// The person said no.
    #[error("access was denied ({0})")]
    Denied(ErrorBody),
    /// The authorization server refused the request itself.
    #[error("the authorization server answered {0}")]
    Refused(ErrorBody),
    /// The callback cannot be trusted.
    #[error(transparent)]
    Callback(CallbackError),
    /// The server gave no code to enter on another device (RFC 8628 §3.2).
    #[error("{url}: {cause}")]
    Device {
        /// The device authorization endpoint.
        url: Url,
        /// What it said.
        #[source]
        cause: DeviceResponseError,
    },
    /// Nobody entered the code while it lived (RFC 8628 §3.5, `expired_token`).
    #[error("the code expired before anybody had entered and confirmed it")]
    CodeExpired,
    /// Nobody authorized in time.
    #[error("nobody authorized within {} seconds", .0.as_secs())]
    TimedOut(Duration),
    /// Somebody else listens on the port that was asked for.
    #[error("port {0} on 127.0.0.1 is in use by another program")]
    PortBusy(u16),
    /// No listener for the callback.
    #[error("cannot listen for the browser on 127.0.0.1: {0}")]
    Listener(#[source] Arc<std::io::Error>),
    /// A redirect URI that a browser cannot come back by.
    #[error(
        "`{0}` cannot be a redirect URI: it must be http on loopback, https, or a custom scheme"
    )]
    RedirectUri(Url),
    /// No random numbers.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// Tokens are to be bound to a key, and there is none.
    #[error("tokens that are bound to a key (DPoP) cannot be asked for: {0}")]
    NoProof(#[from] NoProof),
    /// RFC 9449 §5.1: tokens are to be bound to a key, and the server takes no proof of ours.
    #[error(
        "the authorization server {0} takes no proofs of possession (DPoP) that are signed with ES256"
    )]
    DpopUnsupported(Issuer),
    /// The server keeps asking for more than it grants (spec-checklist G6).
    #[error("{server} asks for the scope `{scope}`, which a login has not brought")]
    ScopeNotGranted {
        /// Which server.
        server: ServerUrl,
        /// What it asks for.
        scope: Scope,
    },
    /// A token may go to its own resource only (H90).
    #[error("{url} is not part of `{resource}`, which the token is for")]
    OutsideResource {
        /// Where the request was to go.
        url: Url,
        /// Where it may go.
        resource: String,
    },
}

fn asked(wanted: Option<&String>) -> String {
    wanted
        .map(|name| format!(" (asked for `{name}`)"))
        .unwrap_or_default()
}

impl AuthorizationError {
    fn remedy(&self) -> Remedy {
        match self {
            Self::LoginRequired(_)
            | Self::Denied(_)
            | Self::CodeExpired
            | Self::TimedOut(_)
            | Self::ScopeNotGranted { .. } => Remedy::LogIn,
            Self::Device { cause, .. } => match cause {
                DeviceResponseError::Refused {
                    status: 429 | 500..,
                    ..
                } => Remedy::Retry,
                DeviceResponseError::Refused { .. } => Remedy::Reconfigure,
                DeviceResponseError::Unusable(_) | DeviceResponseError::UnsafeUri { .. } => {
                    Remedy::ReportToServer
                }
            },
            Self::NoGrant { .. }
            | Self::PortBusy(_)
            | Self::Listener(_)
            | Self::RedirectUri(_)
            | Self::Refused(_)
            | Self::DpopUnsupported(_)
            | Self::NoProof(NoProof::NotBuilt | NoProof::NotAKey)
            | Self::OutsideResource { .. } => Remedy::Reconfigure,
            Self::Callback(_) => Remedy::ReportToServer,
            Self::NoRandomness(_) | Self::NoProof(NoProof::System) => Remedy::Retry,
        }
    }
}

/// Why there is no fresh token.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenRefreshError {
    /// The login brought no refresh token (spec-checklist H4).
    #[error("the access token for {0} has expired, and the login brought no refresh token")]
    NoRefreshToken(ServerUrl),
    /// What the token endpoint said.
    #[error("{url}: {cause}")]
    Answer {
        /// The token endpoint.
        url: Url,
        /// What it said.
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
        /// What it said.
        #[source]
        cause: TokenError,
    },
    /// The network failed.
    #[error(transparent)]
    Http(HttpError),
    /// The client id in the record belongs to another issuer than the record's server.
    #[error("the stored client id belongs to another issuer")]
    OtherIssuer,
    /// The key of the client could not sign.
    #[error(transparent)]
    NotSigned(#[from] NotSigned),
    /// A login without a person could not be done again.
    #[error(transparent)]
    Machine(#[from] MachineGrantError),
    /// The refresh task itself died.
    #[error("the refresh was aborted ({0})")]
    Aborted(String),
}

impl TokenRefreshError {
    /// Whether only a new login helps; otherwise the tokens are kept and another try may work.
    pub fn is_definitive(&self) -> bool {
        match self {
            Self::NoRefreshToken(_) | Self::OtherIssuer | Self::Interrupted { .. } => true,
            Self::Answer { cause, .. } => cause.is_definitive(),
            Self::Http(_) | Self::NotSigned(_) | Self::Machine(_) | Self::Aborted(_) => false,
        }
    }

    fn remedy(&self) -> Remedy {
        if let Self::Machine(cause) = self {
            cause.remedy()
        } else if self.is_definitive() {
            Remedy::LogIn
        } else {
            Remedy::Retry
        }
    }
}

/// Why a token was not given back.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevocationError {
    /// The server takes no tokens back: they live until they expire.
    #[error("the authorization server {0} has no revocation endpoint")]
    NotOffered(Issuer),
    /// The client id belongs to another issuer than the server.
    #[error("the client id belongs to another issuer than {0}")]
    OtherIssuer(Issuer),
    /// What the revocation endpoint said.
    #[error("{url}: {cause}")]
    Answer {
        /// The revocation endpoint.
        url: Url,
        /// What it said.
        #[source]
        cause: NotRevoked,
    },
}

impl RevocationError {
    fn remedy(&self) -> Remedy {
        match self {
            Self::Answer { .. } => Remedy::Retry,
            Self::NotOffered(_) => Remedy::ReportToServer,
            Self::OtherIssuer(_) => Remedy::Reconfigure,
        }
    }
}
