//! The error response of OAuth endpoints (RFC 6749 §5.2): a code, and a description for developers.

use std::fmt;

use serde::Deserialize;

use mcp_oauth_support::UntrustedText;

/// The error of a server that refused a request.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
#[expect(unnameable_types, reason = "callers read it in the error of a step")]
pub struct OAuthErrorResponse {
    /// `invalid_grant`, `access_denied`, ...
    pub code: UntrustedText,
    /// The description of the error.
    pub description: Option<UntrustedText>,
    /// Says whether the body was empty, so that the code is derived from the HTTP status and was not
    /// sent by the server.
    pub is_assumed: bool,
}

impl OAuthErrorResponse {
    /// Creates an error.
    pub(crate) fn new(code: &str, description: Option<&str>) -> Self {
        Self {
            code: UntrustedText::new(code),
            description: description.map(UntrustedText::new),
            is_assumed: false,
        }
    }

    /// Creates the error that is assumed for an empty body.
    pub(crate) fn assumed(code: &str) -> Self {
        Self {
            is_assumed: true,
            ..Self::new(code, None)
        }
    }

    /// Parses a JSON body with an `error`; none if it has none.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Wire {
            error: String,
            #[serde(default, deserialize_with = "super::serde_lenient::optional")]
            error_description: Option<String>,
        }
        let wire: Wire = serde_json::from_slice(body).ok()?;
        Some(Self::new(&wire.error, wire.error_description.as_deref()))
    }

    /// Returns whether the code is `code`.
    pub fn has_code(&self, code: &str) -> bool {
        self.code.as_raw() == code
    }

    /// Redacts `secrets`: some servers echo the request (CWE-532).
    #[must_use]
    pub(crate) fn redact(mut self, secrets: &[&str]) -> Self {
        self.code = self.code.redact(secrets);
        self.description = self.description.map(|text| text.redact(secrets));
        self
    }
}

impl fmt::Display for OAuthErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_assumed {
            return write!(f, "an empty body (treated as `{}`)", self.code);
        }
        write!(f, "`{}`", self.code)?;
        match &self.description {
            Some(text) => write!(f, ": {text}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echoed_secret_is_redacted() {
        let secret = "planted-refresh-token-0123456789";
        let body = serde_json::json!({"error": "invalid_grant", "error_description": format!("token {secret} is spent")});
        let error = OAuthErrorResponse::parse(body.to_string().as_bytes())
            .unwrap()
            .redact(&[secret]);
        assert_eq!(
            error.to_string(),
            "`invalid_grant`: token [redacted] is spent"
        );
    }

    #[test]
    fn a_body_without_an_error_is_none() {
        for body in ["", "<html>", "{}", "[]", r#"{"error":{}}"#] {
            assert_eq!(OAuthErrorResponse::parse(body.as_bytes()), None, "{body}");
        }
    }
}
