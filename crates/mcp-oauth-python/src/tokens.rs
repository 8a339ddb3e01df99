//! The tokens of a login, as a dictionary: for `mcp_client_oauth.compat` alone. Elsewhere tokens do not leave
//! the library, except in headers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mcp_client_oauth::{
    Secret,
    flow::{AccessToken, TokenSet},
};
use pyo3::prelude::*;

use crate::errors::invalid;

/// The members of `compat.OAuthTokens`. Unlike the value of the library it is not wiped: Python has copies.
#[derive(FromPyObject, IntoPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Tokens {
    access_token: String,
    token_type: String,
    expires_in: Option<u64>,
    refresh_token: Option<String>,
    scope: Option<String>,
    issued_at: Option<f64>,
}

impl Tokens {
    /// Returns the tokens for the library. Those without a time of issue were issued `now`.
    ///
    /// # Errors
    /// `ValueError` if the access token cannot be sent in a header, or is bound to a key.
    pub(crate) fn into_set(self, now: SystemTime) -> PyResult<TokenSet> {
        if self.token_type.eq_ignore_ascii_case("DPoP") {
            return Err(invalid(
                "token_type",
                "a token that is bound to a key is of no use without it",
            ));
        }
        let access_token = AccessToken::new(&self.access_token).ok_or_else(|| {
            invalid(
                "access_token",
                "it is empty, too long, or has a control character",
            )
        })?;
        let after = |start: SystemTime, seconds| start.checked_add(seconds);
        let issued_at = self
            .issued_at
            .and_then(|at| Duration::try_from_secs_f64(at).ok())
            .and_then(|at| after(UNIX_EPOCH, at))
            .unwrap_or(now);
        let mut tokens = TokenSet::new(access_token, issued_at);
        tokens.refresh_token = self.refresh_token.map(Secret::new);
        tokens.expires_at = self
            .expires_in
            .and_then(|seconds| after(issued_at, Duration::from_secs(seconds)));
        tokens.scope = self.scope.and_then(|scope| scope.parse().ok());
        Ok(tokens)
    }
}

impl From<&TokenSet> for Tokens {
    fn from(tokens: &TokenSet) -> Self {
        let since = |at: SystemTime, start| at.duration_since(start).unwrap_or_default();
        let expires_in = tokens
            .expires_at
            .map(|at| since(at, tokens.issued_at).as_secs());
        Self {
            access_token: tokens.access_token.expose().to_owned(),
            token_type: tokens.access_token.scheme().to_string(),
            expires_in,
            refresh_token: tokens
                .refresh_token
                .as_ref()
                .map(|token| token.expose().clone()),
            scope: tokens.scope.as_ref().map(ToString::to_string),
            issued_at: Some(since(tokens.issued_at, UNIX_EPOCH).as_secs_f64()),
        }
    }
}
