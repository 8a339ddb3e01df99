//! The error of a registration response.

use crate::proto::{oauth_error::OAuthErrorResponse, untrusted_text::UntrustedText};

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

impl RegistrationResponseError {
    /// Returns whether the server may register only the clients of an allow list, as Figma and `ClickUp` do:
    /// it refuses the client, and its error names nothing in the request that could be changed.
    pub fn may_be_allow_list(&self) -> bool {
        let Self::Refused { status, error, .. } = self else {
            return false;
        };
        // RFC 7591 §3.2.2: these codes are about members of the request.
        let of_request = [
            "invalid_redirect_uri",
            "invalid_client_metadata",
            "invalid_software_statement",
            "unapproved_software_statement",
        ];
        let names_request =
            |error: &OAuthErrorResponse| of_request.iter().any(|code| error.has_code(code));
        matches!(status, 400 | 401 | 403) && !error.as_ref().is_some_and(names_request)
    }
}

fn detail(error: Option<&OAuthErrorResponse>, text: Option<&UntrustedText>) -> String {
    match (error, text) {
        (Some(error), _) => format!(", {error}"),
        (None, Some(text)) => format!(": {text}"),
        (None, None) => String::new(),
    }
}
