//! Token revocation (RFC 7009).

use super::{client_auth::ClientAuth, endpoint::Endpoint, error_body::ErrorBody};
use crate::platform::{Reach, Request, Response};

/// Which token is given back (RFC 7009 §2.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TokenKind {
    /// `access_token`.
    Access,
    /// `refresh_token`.
    Refresh,
}

/// The server did not take the token back.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the server did not revoke the token (HTTP {status}{})", .error.as_ref().map(|e| format!(", {e}")).unwrap_or_default())]
#[non_exhaustive]
pub struct NotRevoked {
    /// The HTTP status.
    pub status: u16,
    /// What it said.
    pub error: Option<ErrorBody>,
}

/// The request that gives `token` back.
pub fn request(
    endpoint: &Endpoint,
    reach: Reach,
    client: &ClientAuth<'_>,
    token: &str,
    kind: TokenKind,
) -> Request {
    let hint = match kind {
        TokenKind::Access => "access_token",
        TokenKind::Refresh => "refresh_token",
    };
    client.post(
        endpoint,
        reach,
        &[("token", token), ("token_type_hint", hint)],
    )
}

/// Reads the answer: 200 means revoked, or never known (RFC 7009 §2.2), which is the same to us.
///
/// `secrets` are what the request carried: they are blotted out of the server's words (H160).
pub fn response(answer: &Response, secrets: &[&str]) -> Result<(), NotRevoked> {
    if answer.status.is_success() {
        return Ok(());
    }
    let error = ErrorBody::parse(&answer.body).map(|error| error.without(secrets));
    Err(NotRevoked {
        status: answer.status.as_u16(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;

    #[test]
    fn only_success_is_revoked() {
        for (status, revoked) in [
            (200, true),
            (204, true),
            (503, false),
            (400, false),
            (302, false),
        ] {
            let answer = Response::new(StatusCode::from_u16(status).unwrap(), HeaderMap::new(), "");
            assert_eq!(response(&answer, &["t"]).is_ok(), revoked, "{status}");
        }
    }
}
