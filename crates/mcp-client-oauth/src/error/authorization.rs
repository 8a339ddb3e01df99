//! Errors of step 3: the user did not authorize the client, or not for the requested scope.

use std::{sync::Arc, time::Duration};

use url::Url;

use super::{
    CallbackError, DeviceResponseError, DpopError, RandomError, UntrustedText, remedy::Remedy,
};
use crate::{
    proto::{oauth_error::OAuthErrorResponse, scope::Scope, server_metadata::Issuer},
    server_url::ServerUrl,
};

/// The reason why there is no authorization.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorizationError {
    /// There is no login at that server, or the user has logged out.
    #[error("not logged in to {0}")]
    LoginRequired(ServerUrl),
    /// This client and the server have no grant in common.
    #[error(
        "no supported grant works with the authorization server {issuer}{}{}",
        requested_grant(.requested.as_ref()),
        must_be_named.map(|name| format!("; `{name}` may work if it is requested")).unwrap_or_default()
    )]
    NoGrant {
        /// The authorization server.
        issuer: Issuer,
        /// The requested grant, if one was requested.
        requested: Option<String>,
        /// The grant that would work if the caller requested it.
        must_be_named: Option<&'static str>,
    },
    /// The metadata lists the device grant and does not say where to request a code (RFC 8628 §4).
    #[error(
        "the authorization server {0} lists the device grant in `grant_types_supported`, but names \
         no `device_authorization_endpoint`"
    )]
    NoDeviceEndpoint(Issuer),
    /// The user denied access.
    #[error("access was denied ({0})")]
    Denied(OAuthErrorResponse),
    /// The authorization server refused the request itself.
    #[error("the authorization server responded with {0}")]
    Refused(OAuthErrorResponse),
    /// The callback cannot be trusted.
    #[error(transparent)]
    Callback(CallbackError),
    /// The server gave no code to enter on another device (RFC 8628 §3.2).
    #[error("{url}: {cause}")]
    Device {
        /// The device authorization endpoint.
        url: Url,
        /// Its error.
        #[source]
        cause: DeviceResponseError,
    },
    /// The user did not enter the code before it expired (RFC 8628 §3.5, `expired_token`).
    #[error("the code expired before it was entered and confirmed")]
    CodeExpired,
    /// The user did not authorize in time.
    #[error("authorization timed out after {} s", .0.as_secs())]
    TimedOut(Duration),
    /// Another program listens on the requested port.
    #[error("port {0} on 127.0.0.1 is in use by another program")]
    PortBusy(u16),
    /// The listener for the callback could not be started.
    #[error("cannot listen for the browser on 127.0.0.1: {0}")]
    Listener(#[source] Arc<std::io::Error>),
    /// The redirect URI is not one that a browser can be redirected to.
    #[error(
        "`{0}` cannot be a redirect URI: it must be http on loopback, https, or a custom scheme"
    )]
    RedirectUri(Url),
    /// A login that ends in another request needs a redirect URI, and a grant that redirects the browser.
    #[error(
        "a login that ends in another request needs a redirect URI and the authorization code grant"
    )]
    RedirectUriRequired,
    /// The path to return to after a login is not one of the application.
    #[error("cannot return to `{0}`: it must be a path with one `/` at its start, percent-encoded")]
    ReturnPath(UntrustedText),
    /// No login waits for this callback: it was finished already, has expired, or never began. Nothing was
    /// changed.
    #[error("no login is pending for this callback: it was finished already, or has expired")]
    NotPending,
    /// The callback came from another browser than the one that began the login (RFC 9700 §4.7.1). Nothing
    /// was changed: the login can still be finished.
    #[error("the callback came from another browser than the one that began this login")]
    OtherBrowser,
    /// The store holds so many pending logins, and takes no more until some are finished or expire.
    #[error("{0} logins are pending in the token store, and no more can begin now")]
    TooManyPending(usize),
    /// The end of a login panicked or was cancelled.
    #[error("the login was aborted ({0})")]
    Aborted(String),
    /// The system returned no random numbers.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// Tokens are to be bound to a key, and there is none.
    #[error("cannot request DPoP-bound tokens: {0}")]
    Dpop(#[from] DpopError),
    /// Tokens are to be bound to a key, and the metadata of the server lists no algorithm of this client
    /// for DPoP proofs (RFC 9449 §5.1).
    #[error("the authorization server {0} does not support DPoP proofs that are signed with ES256")]
    DpopUnsupported(Issuer),
    /// The server requires a scope that the authorization server has not granted. A client must not
    /// repeat the step-up flow without end (MCP authorization, "Step-Up Authorization Flow").
    #[error("{server} requires the scope `{scope}`, which was not granted")]
    ScopeNotGranted {
        /// The MCP server.
        server: ServerUrl,
        /// The required scope.
        scope: Scope,
    },
    /// A token may be sent to its own resource only (RFC 8707 §1; MCP authorization, "Token Audience
    /// Binding and Validation").
    #[error("{url} is not part of `{resource}`, which the token is for")]
    OutsideResource {
        /// The URL of the request.
        url: Url,
        /// The resource of the token.
        resource: String,
    },
}

fn requested_grant(requested: Option<&String>) -> String {
    requested
        .map(|name| format!(" (requested: `{name}`)"))
        .unwrap_or_default()
}

impl AuthorizationError {
    pub(super) fn remedy(&self) -> Remedy {
        match self {
            Self::LoginRequired(_)
            | Self::Denied(_)
            // Most often the user has declined there, too.
            | Self::Callback(CallbackError::IssuerMissing(_))
            | Self::CodeExpired
            | Self::TimedOut(_)
            | Self::NotPending
            | Self::OtherBrowser
            | Self::Aborted(_)
            | Self::ScopeNotGranted { .. } => Remedy::LogIn,
            Self::Device { cause, .. } => match cause {
                DeviceResponseError::Refused {
                    status: 429 | 500..,
                    ..
                } => Remedy::Retry,
                DeviceResponseError::Refused { .. } => Remedy::Reconfigure,
                DeviceResponseError::Unusable(_) | DeviceResponseError::UnsafeUri { .. } => {
                    Remedy::ContactServerOperator
                }
            },
            Self::NoGrant { .. }
            | Self::NoDeviceEndpoint(_)
            | Self::PortBusy(_)
            | Self::Listener(_)
            | Self::RedirectUri(_)
            | Self::RedirectUriRequired
            | Self::ReturnPath(_)
            | Self::Refused(_)
            | Self::DpopUnsupported(_)
            | Self::Dpop(DpopError::NotAKey)
            | Self::OutsideResource { .. } => Remedy::Reconfigure,
            Self::Callback(_) => Remedy::ContactServerOperator,
            Self::Random(_) | Self::Dpop(DpopError::System) | Self::TooManyPending(_) => {
                Remedy::Retry
            }
        }
    }
}
