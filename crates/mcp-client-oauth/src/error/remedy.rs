//! The remedy of each failure.

use mcp_oauth_store::TokenStorageError;

use crate::platform::{HttpError, HttpErrorKind, UrlPolicyError};

/// The action of a caller that resolves an [`Error`](super::Error).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Remedy {
    /// Run the interactive flow again.
    LogIn,
    /// Change the configuration: a client ID, a scope, a password, a port.
    Reconfigure,
    /// The server broke the protocol: contact its operator.
    ContactServerOperator,
    /// Try the same again later.
    Retry,
}

/// Returns what to do about a failure of the token store.
pub(super) fn storage_remedy(error: &TokenStorageError) -> Remedy {
    if error.is_temporary() {
        Remedy::Retry
    } else {
        Remedy::Reconfigure
    }
}

/// Returns what to do about a failure of the network.
pub(super) fn network_remedy(error: &HttpError) -> Remedy {
    match error.cause {
        HttpErrorKind::Forbidden(UrlPolicyError::NotPublic(..))
        | HttpErrorKind::Setup(_)
        | HttpErrorKind::Certificate(_)
        | HttpErrorKind::CertificateRequired
        | HttpErrorKind::NotTls => Remedy::Reconfigure,
        HttpErrorKind::Forbidden(_) | HttpErrorKind::TooLarge(_) | HttpErrorKind::HeadTooLarge => {
            Remedy::ContactServerOperator
        }
        HttpErrorKind::Connect(_)
        | HttpErrorKind::Interrupted(_)
        | HttpErrorKind::TimedOut(_)
        | HttpErrorKind::MissingDpopProof(_) => Remedy::Retry,
    }
}
