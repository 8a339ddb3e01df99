//! The code of an outcome, which other implementations can use too: the step and the kind of error.

use mcp_client_oauth::{
    Error,
    error::{
        AuthorizationError, CallbackError, DeviceResponseError, DiscoveryError, HttpErrorKind,
        RegistrationError, RegistrationResponseError, ResourceMetadataError, RevocationError,
        ServerMetadataError, TokenError, TokenRefreshError,
    },
};

/// Returns the code of a failure.
pub(crate) fn code(error: &Error) -> String {
    let (step, cause) = match error {
        Error::Discovery(cause) => ("discovery", discovery(cause)),
        Error::Registration(cause) => ("registration", registration(cause)),
        Error::Authorization(cause) => authorization(cause),
        Error::TokenExchange { cause, .. } => ("token", token(cause)),
        Error::TokenRefresh(cause) => refresh(cause),
        Error::TokenStorage(_) => ("store", "failed"),
        Error::Revocation(cause) => ("revocation", revocation(cause)),
        Error::Http(error) => ("http", http(&error.cause)),
        _ => ("other", "other"),
    };
    format!("{step}/{cause}")
}

fn discovery(cause: &DiscoveryError) -> &'static str {
    match cause {
        DiscoveryError::NotProtected { .. } => "not-protected",
        DiscoveryError::NoResourceMetadata { .. } => "no-resource-metadata",
        DiscoveryError::LegacyMetadata { .. } => "legacy-metadata",
        DiscoveryError::ResourceMetadata { cause, .. } => match cause {
            ResourceMetadataError::OtherResource(_) => "other-resource",
            _ => "unreadable",
        },
        DiscoveryError::NoAuthorizationServer(_) => "no-authorization-server",
        DiscoveryError::NoServerMetadata { .. } => "no-server-metadata",
        DiscoveryError::ServerMetadata { cause, .. } => match cause {
            ServerMetadataError::IssuerMismatch { .. } => "other-issuer",
            ServerMetadataError::UnsafeEndpoint { .. } => "unsafe-url",
            _ => "unreadable",
        },
        DiscoveryError::Unsafe { .. } => "unsafe-url",
        DiscoveryError::Redirect { .. } => "redirect",
        DiscoveryError::PkceUnlisted(_) | DiscoveryError::PkceUnsupported(_) => "no-pkce",
        DiscoveryError::DiscoveryLoop(_) => "too-many-requests",
        _ => "other",
    }
}

fn registration(cause: &RegistrationError) -> &'static str {
    match cause {
        RegistrationError::RegistrationNotSupported(_) => "not-supported",
        RegistrationError::IssuerMismatch { .. } => "other-issuer",
        RegistrationError::Response { cause, .. } => match cause {
            RegistrationResponseError::Refused { .. } => "refused",
            _ => "unusable",
        },
        RegistrationError::Document(_) => "unusable-document",
        _ => "other",
    }
}

fn authorization(cause: &AuthorizationError) -> (&'static str, &'static str) {
    if let AuthorizationError::Device { cause, .. } = cause {
        return ("device", device(cause));
    }
    let cause = match cause {
        AuthorizationError::LoginRequired(_) => "login-required",
        AuthorizationError::NoGrant { .. } => "no-grant",
        AuthorizationError::Denied(_) => "denied",
        AuthorizationError::Refused(_) => "refused",
        AuthorizationError::Callback(cause) => match cause {
            CallbackError::Issuer { .. } => "other-issuer",
            CallbackError::IssuerMissing(_) => "no-issuer",
            CallbackError::NoCode => "no-code",
            _ => "other",
        },
        AuthorizationError::CodeExpired => "code-expired",
        AuthorizationError::TimedOut(_) => "timed-out",
        AuthorizationError::PortBusy(_) => "port-busy",
        AuthorizationError::RedirectUri(_) => "unusable-redirect-uri",
        AuthorizationError::DpopUnsupported(_) => "no-dpop",
        AuthorizationError::ScopeNotGranted { .. } => "scope-not-granted",
        AuthorizationError::OutsideResource { .. } => "outside-resource",
        _ => "other",
    };
    ("authorization", cause)
}

fn device(cause: &DeviceResponseError) -> &'static str {
    match cause {
        DeviceResponseError::Refused { .. } => "refused",
        DeviceResponseError::UnsafeUri { .. } => "unsafe-url",
        _ => "unusable",
    }
}

fn token(cause: &TokenError) -> &'static str {
    match cause {
        TokenError::Refused { .. } => "refused",
        TokenError::Unavailable { .. } => "unavailable",
        TokenError::TokenTypeDowngrade => "downgraded",
        TokenError::NonceMismatch => "nonce",
        _ => "unusable",
    }
}

fn refresh(cause: &TokenRefreshError) -> (&'static str, &'static str) {
    match cause {
        TokenRefreshError::Response { cause, .. } => ("refresh", token(cause)),
        TokenRefreshError::Interrupted { .. } => ("refresh", "interrupted"),
        TokenRefreshError::NoRefreshToken(_) | TokenRefreshError::NotRefreshable { .. } => {
            ("refresh", "no-refresh-token")
        }
        TokenRefreshError::Http(error) => ("http", http(&error.cause)),
        _ => ("refresh", "other"),
    }
}

fn revocation(cause: &RevocationError) -> &'static str {
    match cause {
        RevocationError::NotOffered(_) => "not-offered",
        RevocationError::Response { .. } => "refused",
        _ => "other",
    }
}

/// Returns the code of a network failure.
pub(super) fn http(cause: &HttpErrorKind) -> &'static str {
    match cause {
        HttpErrorKind::Forbidden(_) => "forbidden",
        // The request was not sent: nothing listens there, or the server does not support TLS.
        HttpErrorKind::Connect(_) | HttpErrorKind::NotTls => "connect",
        HttpErrorKind::Interrupted(_) => "interrupted",
        HttpErrorKind::TimedOut(_) => "timed-out",
        HttpErrorKind::TooLarge(_) => "too-large",
        HttpErrorKind::HeadTooLarge => "head-too-large",
        HttpErrorKind::Certificate(_) => "certificate",
        _ => "other",
    }
}
