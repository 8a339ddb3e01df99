//! The error answer of OAuth endpoints (RFC 6749 §5.2): codes for machines, words for people.

use std::fmt;

use serde::Deserialize;

use super::untrusted_text::UntrustedText;

/// Holds what a server said when it said no.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct OAuthErrorResponse {
    /// `invalid_grant`, `access_denied`, ...
    pub code: UntrustedText,
    /// The server's words.
    pub description: Option<UntrustedText>,
    /// Says whether the body was empty, so that the code is this client's reading of the HTTP status and
    /// not the server's word.
    pub is_assumed: bool,
}

impl OAuthErrorResponse {
    /// An error of given parts.
    pub fn new(code: &str, description: Option<&str>) -> Self {
        Self {
            code: UntrustedText::new(code),
            description: description.map(UntrustedText::new),
            is_assumed: false,
        }
    }

    /// Returns an error with a code that stands for an empty body.
    pub fn assumed(code: &str) -> Self {
        Self {
            is_assumed: true,
            ..Self::new(code, None)
        }
    }

    /// Reads a JSON body that carries an `error`; none if it carries none.
    pub fn parse(body: &[u8]) -> Option<Self> {
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

    /// Redacts `secrets`: some servers echo what they were sent (CWE-532).
    #[must_use]
    pub fn redact(mut self, secrets: &[&str]) -> Self {
        self.code = self.code.redact(secrets);
        self.description = self.description.map(|words| words.redact(secrets));
        self
    }
}

impl fmt::Display for OAuthErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_assumed {
            return write!(f, "nothing (treated as `{}`)", self.code);
        }
        write!(f, "`{}`", self.code)?;
        match &self.description {
            Some(words) => write!(f, ": {words}"),
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
