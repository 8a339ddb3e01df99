//! The JSON responses of an endpoint.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

/// An error response as in RFC 6749 §5.2.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    pub(super) error: Cow<'static, str>,
    pub(super) description: String,
    /// Says whether the client used HTTP Basic, so that a 401 must name that scheme.
    basic: bool,
}

impl Refusal {
    pub(super) fn new(error: &'static str, description: impl Into<String>) -> Self {
        let description = description.into();
        Self {
            status: StatusCode::BAD_REQUEST,
            error: Cow::Borrowed(error),
            description,
            basic: false,
        }
    }

    /// Returns the error that a fault sets.
    pub(super) fn forced(error: String) -> Self {
        Self {
            error: Cow::Owned(error),
            ..Self::new("", "refused by a fault of the testbed")
        }
    }

    pub(super) fn invalid_client(description: &str, basic: bool) -> Self {
        let status = StatusCode::UNAUTHORIZED;
        Self {
            status,
            error: Cow::Borrowed("invalid_client"),
            description: description.to_owned(),
            basic,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.error, "error_description": self.description });
        let mut response = json_response(self.status, &body);
        if self.basic {
            let challenge = HeaderValue::from_static("Basic realm=\"mcp-oauth-testbed\"");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// Returns a JSON response that must not be cached (RFC 6749 §5.1).
pub(super) fn json_response(status: StatusCode, body: &Value) -> Response {
    const HEADERS: [(HeaderName, &str); 3] = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::PRAGMA, "no-cache"),
    ];
    (status, HEADERS, body.to_string()).into_response()
}

/// Refuses a grant (RFC 6749 §5.2).
pub(super) fn invalid_grant(reason: &str) -> Refusal {
    Refusal::new("invalid_grant", reason)
}
