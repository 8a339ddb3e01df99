//! Step 3 that failed: nobody has consented, or not to what was asked.

use std::{sync::Arc, time::Duration};

use url::Url;

use super::{CallbackError, DeviceResponseError, DpopError, RandomError, remedy::Remedy};
use crate::{
    proto::{oauth_error::OAuthErrorResponse, scope::Scope, server_metadata::Issuer},
    server_url::ServerUrl,
};

/// Says why there is no authorization.
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
        /// Says which server.
        issuer: Issuer,
        /// The grant that was asked for, if one was.
        wanted: Option<String>,
        /// The grant that would do, if the caller named it.
        must_be_named: Option<&'static str>,
    },
    /// The metadata lists the device grant and does not say where to request a code (RFC 8628 §4).
    #[error(
        "the authorization server {0} lists the device grant in `grant_types_supported`, but names \
         no `device_authorization_endpoint`"
    )]
    NoDeviceEndpoint(Issuer),
    /// The person said no.
    #[error("access was denied ({0})")]
    Denied(OAuthErrorResponse),
    /// The authorization server refused the request itself.
    #[error("the authorization server answered {0}")]
    Refused(OAuthErrorResponse),
    /// The callback cannot be trusted.
    #[error(transparent)]
    Callback(CallbackError),
    /// The server gave no code to enter on another device (RFC 8628 §3.2).
    #[error("{url}: {cause}")]
    Device {
        /// The device authorization endpoint.
        url: Url,
        /// Holds what it said.
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
    NoRandomness(#[from] RandomError),
    /// Tokens are to be bound to a key, and there is none.
    #[error("tokens that are bound to a key (DPoP) cannot be asked for: {0}")]
    NoProof(#[from] DpopError),
    /// RFC 9449 §5.1: tokens are to be bound to a key, and the server takes no proof of ours.
    #[error(
        "the authorization server {0} takes no proofs of possession (DPoP) that are signed with ES256"
    )]
    DpopUnsupported(Issuer),
    /// The server keeps asking for more than it grants (spec-checklist G6).
    #[error("{server} asks for the scope `{scope}`, which a login has not brought")]
    ScopeNotGranted {
        /// Says which server.
        server: ServerUrl,
        /// Holds what it asks for.
        scope: Scope,
    },
    /// A token may go to its own resource only (H90).
    #[error("{url} is not part of `{resource}`, which the token is for")]
    OutsideResource {
        /// Says where the request was to go.
        url: Url,
        /// Says where it may go.
        resource: String,
    },
}

fn asked(wanted: Option<&String>) -> String {
    wanted
        .map(|name| format!(" (asked for `{name}`)"))
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
            | Self::Refused(_)
            | Self::DpopUnsupported(_)
            | Self::NoProof(DpopError::NotAKey)
            | Self::OutsideResource { .. } => Remedy::Reconfigure,
            Self::Callback(_) => Remedy::ContactServerOperator,
            Self::NoRandomness(_) | Self::NoProof(DpopError::System) => Remedy::Retry,
        }
    }
}
