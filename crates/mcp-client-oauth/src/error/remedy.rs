//! What a caller can do about a failure.

use crate::platform::{HttpError, HttpErrorCause};

/// What a caller can do about an [`Error`](super::Error).
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

/// Returns what to do about a failure of the network.
pub(super) fn network_remedy(error: &HttpError) -> Remedy {
    match error.cause {
        HttpErrorCause::Forbidden(_)
        | HttpErrorCause::TooLarge(_)
        | HttpErrorCause::HeadTooLarge => Remedy::ReportToServer,
        HttpErrorCause::Setup(_)
        | HttpErrorCause::Certificate(_)
        | HttpErrorCause::CertificateRequired
        | HttpErrorCause::NotTls => Remedy::Reconfigure,
        HttpErrorCause::Connect(_)
        | HttpErrorCause::Interrupted(_)
        | HttpErrorCause::TimedOut(_)
        | HttpErrorCause::Unproven(_) => Remedy::Retry,
    }
}
