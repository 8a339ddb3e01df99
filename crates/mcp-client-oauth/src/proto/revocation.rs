//! Token revocation (RFC 7009).

use super::{client_auth::ClientAuth, endpoint::EndpointUrl, oauth_error::OAuthErrorResponse};
use crate::platform::{AddressSpace, Request, Response};

/// The type of the token that is revoked (RFC 7009 §2.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TokenTypeHint {
    /// `access_token`.
    Access,
    /// `refresh_token`.
    Refresh,
}

/// The server did not revoke the token.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the server did not revoke the token (HTTP {status}{})", .error.as_ref().map(|e| format!(", {e}")).unwrap_or_default())]
#[non_exhaustive]
#[expect(unnameable_types, reason = "callers show it, and do not match on it")]
pub struct RevocationResponseError {
    /// The HTTP status.
    pub status: u16,
    /// The error of the server.
    pub error: Option<OAuthErrorResponse>,
}

/// Returns the request that revokes `token`.
pub(crate) fn request(
    endpoint: &EndpointUrl,
    address_space: AddressSpace,
    client: &ClientAuth<'_>,
    token: &str,
    kind: TokenTypeHint,
) -> Request {
    let hint = match kind {
        TokenTypeHint::Access => "access_token",
        TokenTypeHint::Refresh => "refresh_token",
    };
    client.build_form_request(
        endpoint,
        address_space,
        &[("token", token), ("token_type_hint", hint)],
    )
}

/// Parses the response: 200 means revoked, or an unknown token (RFC 7009 §2.2), which is the same here.
///
/// `secrets` are those of the request: they are redacted in the error of the server (CWE-532).
pub(crate) fn response(
    response: &Response,
    secrets: &[&str],
) -> Result<(), RevocationResponseError> {
    if response.status.is_success() {
        return Ok(());
    }
    let error = OAuthErrorResponse::parse(&response.body).map(|error| error.redact(secrets));
    Err(RevocationResponseError {
        status: response.status.as_u16(),
        error,
    })
}

/// Returns whether the server requires the field `client_secret`: `invalid_request` that names it, as in
/// `client_secret: Field required` of the Python MCP SDK (`mcp` 1.23 to 2.3), which requires the field
/// of public clients too.
pub(crate) fn requires_secret(response: &Response) -> bool {
    let names_it = |error: OAuthErrorResponse| {
        let description = error.description.as_ref();
        error.has_code("invalid_request")
            && description.is_some_and(|text| names_secret(text.as_raw()))
    };
    matches!(response.status.as_u16(), 400 | 401 | 422)
        && OAuthErrorResponse::parse(&response.body).is_some_and(names_it)
}

/// Returns whether `text` names the field: `client_secret_basic` and its like are methods, and a server
/// that treats the form as a second one (RFC 6749 §5.2) may name them.
fn names_secret(text: &str) -> bool {
    let mut rests = text.split("client_secret").skip(1);
    rests.any(|rest| !rest.starts_with('_'))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;

    #[test]
    fn only_a_refusal_that_names_the_field_requires_a_secret() {
        let python =
            r#"{"error":"invalid_request","error_description":"client_secret: Field required"}"#;
        for (status, body, expected) in [
            (400, python, true),
            (401, python, true),
            (422, python, true),
            (200, python, false),
            (403, python, false),
            (500, python, false),
            (
                400,
                r#"{"error":"invalid_request","error_description":"token: Field required"}"#,
                false,
            ),
            (
                400,
                r#"{"error":"invalid_request","error_description":"client_secret_basic and another method"}"#,
                false,
            ),
            (400, r#"{"error":"invalid_request"}"#, false),
            (
                401,
                r#"{"error":"invalid_client","error_description":"Invalid client_secret"}"#,
                false,
            ),
            (400, "client_secret: Field required", false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let received = Response::new(status, HeaderMap::new(), body);
            assert_eq!(requires_secret(&received), expected, "{status} {body}");
        }
    }

    #[test]
    fn only_a_success_status_means_revoked() {
        for (status, revoked) in [
            (200, true),
            (204, true),
            (503, false),
            (400, false),
            (302, false),
        ] {
            let received =
                Response::new(StatusCode::from_u16(status).unwrap(), HeaderMap::new(), "");
            assert_eq!(response(&received, &["t"]).is_ok(), revoked, "{status}");
        }
    }
}
