//! The reasons for a missing response of the server.

use std::net::SocketAddr;

use http::StatusCode;
use mcp_client_oauth::{
    Error, Remedy,
    error::{HttpError, HttpErrorKind},
};
use url::Url;

use crate::jsonrpc::MessageError;

/// The message about a call after its response was lost. A model that reads it must not repeat the side
/// effect blindly.
pub(crate) const UNKNOWN_OUTCOME: &str =
    "it is unknown whether the call was carried out: check that before you repeat it";

/// Says why a client gets no response of the server, or why a proxy cannot serve.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The user must log in; the login has started.
    #[error("login required")]
    LoginRequired,
    /// The authorization or the network failed.
    #[error(transparent)]
    Request(Error),
    /// A response is larger than the limit of the proxy.
    #[error("{url}: the response is larger than {}, which is the limit", size_text(*limit))]
    TooLarge {
        /// The URL of the server.
        url: Url,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The server sent something that is no MCP message.
    #[error("{url} returned HTTP {status} with {content_type}, which is not an MCP message")]
    NoMessage {
        /// The URL of the server.
        url: Url,
        /// The HTTP status.
        status: StatusCode,
        /// The content type, with control characters escaped.
        content_type: String,
    },
    /// The HTTP response ended without a response to the message.
    #[error("the response of the server ended without a result")]
    Unanswered,
    /// The server does not know the session any more, so it has not accepted the message either.
    #[error("the server closes each session immediately")]
    SessionGone,
    /// The server does not speak this transport.
    #[error("the server returned HTTP {0}: no MCP transport found at this URL")]
    OtherTransport(StatusCode),
    /// The server rejected the token, and the one that replaced it.
    #[error("{0} rejected the token and the refreshed one")]
    TokenRejected(Url),
    /// The server rejected the `Authorization` header that the proxy was given.
    #[error("{0} rejected the Authorization header")]
    HeaderRejected(Url),
    /// The client called a tool that is hidden.
    #[error("the tool {0} is hidden")]
    HiddenTool(String),
    /// No session with the server is open yet, for this reason. A [`Host`](crate::Host) gets the reason
    /// alone.
    #[error(transparent)]
    Offline(Box<ProxyError>),
    /// An HTTP endpoint would serve other machines too, and they could use the token.
    #[error("{0} is not a loopback address: other machines could use the token")]
    NotLoopback(SocketAddr),
    /// Tools are hidden on stdio only, and not by an HTTP endpoint.
    #[error("tools cannot be hidden from the clients of an HTTP endpoint")]
    CannotHideTools,
    /// The listener of an HTTP endpoint has no address.
    #[error("cannot listen: {0}")]
    Listener(String),
    /// Any other reason, as text.
    #[error("{0}")]
    Other(String),
}

impl ProxyError {
    /// Returns the reason itself, without the state that it was found in.
    pub(crate) fn cause(&self) -> &Self {
        match self {
            Self::Offline(error) => error.cause(),
            other => other,
        }
    }

    /// Returns whether the request certainly did not reach the server, so that it can be sent again.
    pub(crate) fn never_sent(&self) -> bool {
        matches!(self, Self::Request(Error::Http(error)) if error.never_sent())
    }

    /// Returns whether the server could not be reached.
    pub(crate) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Request(error) if error.remedy() == Remedy::Retry)
    }

    /// Returns whether the request may have been carried out, although no response arrived.
    pub(crate) fn is_interrupted(&self) -> bool {
        match self {
            Self::Request(Error::Http(error)) => !error.never_sent(),
            Self::Unanswered | Self::TooLarge { .. } => true,
            _ => false,
        }
    }

    /// Returns whether the response was too large, so that repeating the request does not help.
    pub(crate) fn is_too_large(&self) -> bool {
        match self {
            Self::TooLarge { .. } => true,
            Self::Request(Error::Http(error)) => matches!(error.cause, HttpErrorKind::HeadTooLarge),
            _ => false,
        }
    }
}

/// Formats a size in the largest unit that needs no fraction.
fn size_text(bytes: usize) -> String {
    let units = [(20, "MiB"), (10, "KiB")];
    let whole = units
        .iter()
        .find(|(shift, _)| bytes.is_multiple_of(1 << shift));
    whole.map_or_else(
        || format!("{bytes} bytes"),
        |(shift, unit)| format!("{} {unit}", bytes >> shift),
    )
}

impl From<HttpError> for ProxyError {
    fn from(error: HttpError) -> Self {
        match error.cause {
            HttpErrorKind::TooLarge(limit) => Self::TooLarge {
                url: error.url,
                limit,
            },
            _ => Self::Request(error.into()),
        }
    }
}

impl From<MessageError> for ProxyError {
    fn from(error: MessageError) -> Self {
        Self::Other(error.reason.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_formatted_in_the_largest_exact_unit() {
        assert_eq!(size_text(64 << 20), "64 MiB");
        assert_eq!(size_text(512 << 10), "512 KiB");
        assert_eq!(size_text(1_000_000), "1000000 bytes");
    }
}
