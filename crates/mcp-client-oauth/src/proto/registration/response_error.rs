//! The error of a registration response.

use mcp_oauth_support::UntrustedText;

use crate::proto::oauth_error::OAuthErrorResponse;

/// Says why a client was not registered.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrationResponseError {
    /// RFC 7591 §3.2.2, or an HTTP status alone.
    #[error(
        "the server refused to register this client (HTTP {status}{})",
        detail(.error.as_ref(), .text.as_ref())
    )]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The error of the server.
        error: Option<OAuthErrorResponse>,
        /// The start of a body that is text and no OAuth error.
        text: Option<UntrustedText>,
    },
    /// The response cannot be used.
    #[error("cannot use the registration response: {0}")]
    Unusable(UntrustedText),
}

fn detail(error: Option<&OAuthErrorResponse>, text: Option<&UntrustedText>) -> String {
    match (error, text) {
        (Some(error), _) => format!(", {error}"),
        (None, Some(text)) => format!(": {text}"),
        (None, None) => String::new(),
    }
}
