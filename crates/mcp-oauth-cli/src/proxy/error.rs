//! Why there is no response of the server, and what the client is told about it.

use http::StatusCode;
use mcp_client_oauth::{
    Error, McpResponseError, Remedy,
    error::{HttpError, HttpErrorKind},
};

use super::jsonrpc::NoMessage;
use crate::{error::Failure, hints::Subject};

/// Holds what a client is told of a call after its response was lost. A model that reads it must not repeat an
/// effect blindly.
pub(super) const UNKNOWN_OUTCOME: &str =
    "it is unknown whether the call was carried out: check that before you repeat it";

/// Says why there is no answer.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// A person must log in, which has begun.
    Login,
    /// The authorization, or the network.
    Failed(Error),
    /// Holds what came is no answer.
    NoAnswer(McpResponseError),
    /// The answer is over, and nothing in it was for the message.
    Unanswered,
    /// The server does not know our session any more, so it has not taken the message either.
    SessionGone,
    /// The server does not speak this transport.
    OtherTransport(StatusCode),
    /// There is no session with the server yet, for this reason.
    Shut(Box<Trouble>),
    /// In words.
    Said(String),
}

impl Trouble {
    /// Returns whether the request surely did not reach the server, so that it may be sent again.
    pub(crate) fn never_sent(&self) -> bool {
        matches!(self, Self::Failed(Error::Http(error)) if error.never_sent())
    }

    /// Returns whether the server could not be reached.
    pub(crate) fn is_of_network(&self) -> bool {
        matches!(self, Self::Failed(error) if error.remedy() == Remedy::Retry)
    }

    /// Returns whether the request may have been carried out, though no answer came.
    pub(crate) fn is_interrupted(&self) -> bool {
        match self {
            Self::Failed(Error::Http(error)) => !error.never_sent(),
            Self::Unanswered | Self::NoAnswer(McpResponseError::Network(_)) => true,
            _ => false,
        }
    }

    /// Returns whether what came was too large, and is so whenever it comes.
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

    /// Says what failed about a call that may have been carried out. No hint says to try it again:
    /// a model would follow it, and cause the effect twice.
    pub(crate) fn told_of_unknown_outcome(&self) -> String {
        let what = match self {
            Self::Failed(error) if !self.is_too_large() => {
                Failure::from(error.clone()).told(None).message
            }
            other => other.told(&Subject::default()),
        };
        format!("{what}; {UNKNOWN_OUTCOME}")
    }

    /// In words, with what to do about it, for a command about `subject`.
    pub(crate) fn told(&self, subject: &Subject) -> String {
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
                let told = Failure::from(error.clone()).told(Some(subject));
                let hint = told.hint.map(|hint| format!(" ({hint})"));
                format!("{}{}", told.message, hint.unwrap_or_default())
            }
            Self::NoAnswer(error) => error.to_string(),
            Self::Unanswered => {
                "the server ended its answer before the message was answered".to_owned()
            }
            Self::Shut(why) => why.told(subject),
            Self::SessionGone => "the server ends each session at once".to_owned(),
            Self::OtherTransport(status) => {
                format!("the server answers HTTP {status}, and speaks no transport of MCP there")
            }
            Self::Said(text) => text.clone(),
        }
    }
}

/// Writes a size in the largest unit that needs no fraction.
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

impl From<HttpError> for Trouble {
    fn from(error: HttpError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<NoMessage> for Trouble {
    fn from(broken: NoMessage) -> Self {
        Self::Said(broken.why.to_owned())
    }
}

impl From<McpResponseError> for Trouble {
    fn from(error: McpResponseError) -> Self {
        match error {
            McpResponseError::Network(error) => error.into(),
            other => Self::NoAnswer(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_named_as_it_was_chosen() {
        assert_eq!(size_text(64 << 20), "64 MiB");
        assert_eq!(size_text(512 << 10), "512 KiB");
        assert_eq!(size_text(1_000_000), "1000000 bytes");
    }
}
