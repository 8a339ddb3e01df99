//! The errors of a Vault.

use std::sync::Arc;

use mcp_client_oauth::error::{HttpErrorKind, TokenStorageError, UntrustedText, UrlPolicyError};
use url::Url;

/// The reason why a Vault or OpenBao did not store or return a record.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// Tokens must not be sent to this address.
    #[error("it cannot be used: {0}; https, or http on loopback, is needed")]
    Address(UrlPolicyError),
    /// The mount or the prefix is not a valid path.
    #[error("`{0}` is not a path of plain segments: no empty ones, `.` or `..`")]
    Path(String),
    /// It could not be reached, or its response did not arrive.
    #[error("no response: {0}")]
    Unreachable(HttpErrorKind),
    /// HTTP 503.
    #[error("it is sealed; its operator must unseal it")]
    Sealed,
    /// HTTP 501.
    #[error("it is not initialized; its operator must do that first")]
    Uninitialized,
    /// A standby that does not forward, a rate limit, or a failing server.
    #[error("it is unavailable (HTTP {status}: {message})")]
    Unavailable {
        /// The HTTP status.
        status: u16,
        /// Its error message.
        message: UntrustedText,
    },
    /// It redirects. A token is sent to the address that was given, and nowhere else.
    #[error("it redirects to `{0}`, which is not followed; use the address of the active node")]
    Redirect(UntrustedText),
    /// HTTP 403. An expired token and a missing policy look the same.
    #[error(
        "permission denied for `{path}`: the token is no longer valid, or none of its policies allows \
         that"
    )]
    Denied {
        /// The path of the request.
        path: String,
    },
    /// The token that was given or found cannot be a token.
    #[error("the token {0}")]
    Token(&'static str),
    /// AppRole does not know the role or the secret id.
    #[error("the AppRole login at `{mount}` was refused ({message})")]
    AppRole {
        /// The mount of the auth method.
        mount: String,
        /// Its error message.
        message: UntrustedText,
    },
    /// No secrets engine is mounted there.
    #[error("no secrets engine is mounted at `{0}`; name the mount of a KV version 2 engine")]
    NoMount(String),
    /// Another secrets engine, or KV version 1.
    #[error(
        "`{mount}` is {found}, but check-and-set needs KV version 2 (for KV: `vault kv enable-versioning \
         {mount}`)"
    )]
    NotKv2 {
        /// The mount.
        mount: String,
        /// The secrets engine that is mounted there.
        found: UntrustedText,
    },
    /// Another refusal.
    #[error("it refused (HTTP {status}: {message})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its error message.
        message: UntrustedText,
    },
    /// The response is not one of a Vault.
    #[error("its response cannot be used: {0}")]
    Malformed(&'static str),
    /// The operating system returned no random bytes.
    #[error("the operating system returned no random bytes")]
    Random,
    /// A task of this client ended without a result.
    #[error("a task was stopped")]
    Stopped,
}

impl VaultError {
    /// Returns whether the same request may succeed later.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable(cause) => matches!(
                cause,
                HttpErrorKind::Connect(_)
                    | HttpErrorKind::Interrupted(_)
                    | HttpErrorKind::TimedOut(_)
            ),
            Self::Sealed | Self::Unavailable { .. } => true,
            _ => false,
        }
    }
}

impl VaultError {
    /// Returns the error of the token store in the Vault at `address`.
    pub(crate) fn at(self, address: &Url) -> TokenStorageError {
        TokenStorageError::Backend {
            location: format!("the vault at {address}"),
            is_temporary: self.is_temporary(),
            source: Arc::new(self),
        }
    }

    /// Returns the error of a Vault in `error`, if that is the cause of it.
    ///
    /// ```
    /// use mcp_client_oauth::{error::TokenStorageError};
    /// use mcp_oauth_vault::VaultError;
    ///
    /// fn is_sealed(error: &TokenStorageError) -> bool {
    ///     matches!(VaultError::of(error), Some(VaultError::Sealed))
    /// }
    /// # assert!(!is_sealed(&TokenStorageError::NoDirectory));
    /// ```
    pub fn of(error: &TokenStorageError) -> Option<&Self> {
        match error {
            TokenStorageError::Backend { source, .. } => source.downcast_ref(),
            _ => None,
        }
    }
}
