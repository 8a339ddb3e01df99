//! The reasons for a missing response of the server, and their messages for the client.

use http::StatusCode;
use mcp_client_oauth::{
    Error, McpResponseError, Remedy,
    error::{HttpError, HttpErrorKind},
};

use super::jsonrpc::MessageError;
use crate::{error::Failure, hints::Subject};

/// The message about a call after its response was lost. A model that reads it must not repeat the side
/// effect blindly.
pub(super) const UNKNOWN_OUTCOME: &str =
    "it is unknown whether the call was carried out: check that before you repeat it";

/// The reason for a missing response.
#[derive(Clone, Debug)]
pub(crate) enum ProxyError {
    /// The user must log in; the login has started.
    Login,
    /// The authorization or the network failed.
    Failed(Error),
    /// The server sent something that is no MCP response.
    InvalidResponse(McpResponseError),
    /// The HTTP response ended without a response to the message.
    Unanswered,
    /// The server does not know the session any more, so it has not accepted the message either.
    SessionGone,
    /// The server does not speak this transport.
    OtherTransport(StatusCode),
    /// No session with the server is open yet, for this reason.
    Offline(Box<ProxyError>),
    /// Any other reason, as text.
    Other(String),
}

impl ProxyError {
    /// Returns whether the request certainly did not reach the server, so that it can be sent again.
    pub(crate) fn never_sent(&self) -> bool {
        matches!(self, Self::Failed(Error::Http(error)) if error.never_sent())
    }

    /// Returns whether the server could not be reached.
    pub(crate) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Failed(error) if error.remedy() == Remedy::Retry)
    }

    /// Returns whether the request may have been carried out, although no response arrived.
    pub(crate) fn is_interrupted(&self) -> bool {
        match self {
            Self::Failed(Error::Http(error)) => !error.never_sent(),
            Self::Unanswered | Self::InvalidResponse(McpResponseError::Network(_)) => true,
            _ => false,
        }
    }

    /// Returns whether the response was too large, so that repeating the request does not help.
    pub(crate) fn is_too_large(&self) -> bool {
        let cause = match self {
            Self::Failed(Error::Http(error)) => &error.cause,
            _ => return false,
        };
        matches!(
            cause,
            HttpErrorKind::TooLarge(_) | HttpErrorKind::HeadTooLarge
        )
    }

    /// Returns the message for a call that may have been carried out. It has no hint to try again: a model
    /// would follow it and cause the side effect twice.
    pub(crate) fn unknown_outcome_message(&self) -> String {
        let what = match self {
            Self::Failed(error) if !self.is_too_large() => {
                Failure::from(error.clone()).render(None).message
            }
            other => other.message(&Subject::default()),
        };
        format!("{what}; {UNKNOWN_OUTCOME}")
    }

    /// Returns the message with a hint, for a command about `subject`.
    pub(crate) fn message(&self, subject: &Subject) -> String {
        match self {
            Self::Failed(Error::Http(HttpError {
                url,
                cause: HttpErrorKind::TooLarge(limit),
                ..
            })) => format!(
                "{url}: the response is larger than {}, which is the limit of mcp-oauth proxy; \
                 --max-response raises it",
                size_text(*limit)
            ),
            Self::Login => "login required".to_owned(),
            Self::Failed(error) => {
                let rendered = Failure::from(error.clone()).render(Some(subject));
                let hint = rendered.hint.map(|hint| format!(" ({hint})"));
                format!("{}{}", rendered.message, hint.unwrap_or_default())
            }
            Self::InvalidResponse(error) => error.to_string(),
            Self::Unanswered => "the response of the server ended without a result".to_owned(),
            Self::Offline(error) => error.message(subject),
            Self::SessionGone => "the server closes each session immediately".to_owned(),
            Self::OtherTransport(status) => {
                format!("the server returned HTTP {status}: no MCP transport found at this URL")
            }
            Self::Other(text) => text.clone(),
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
        Self::Failed(error.into())
    }
}

impl From<MessageError> for ProxyError {
    fn from(error: MessageError) -> Self {
        Self::Other(error.reason.to_owned())
    }
}

impl From<McpResponseError> for ProxyError {
    fn from(error: McpResponseError) -> Self {
        match error {
            McpResponseError::Network(error) => error.into(),
            other => Self::InvalidResponse(other),
        }
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
