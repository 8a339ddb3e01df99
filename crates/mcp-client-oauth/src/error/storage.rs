//! Errors of a token store, and of the keychain or Vault that it uses.

use std::{path::PathBuf, sync::Arc};

use url::Url;

use super::{HttpErrorKind, UrlPolicyError, remedy::Remedy};
use crate::proto::untrusted_text::UntrustedText;

/// The reason why a record could not be stored or read. The stored state is unchanged.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenStorageError {
    /// This build has no such back end.
    #[error("no token store called `{0}` in this build")]
    UnknownBackend(String),
    /// The platform has no data directory for this user.
    #[error("no data directory found; set --data-dir")]
    NoDirectory,
    /// The store is encrypted with a password, and none was given.
    #[error("the token store {0} is encrypted with a password, and none was given")]
    PasswordNeeded(PathBuf),
    /// The store is encrypted with a key that was not given.
    #[error(
        "the token store {0} is encrypted with another kind of key than the one that was given"
    )]
    OtherKey(PathBuf),
    /// The store is encrypted with another password.
    #[error("wrong password for the token store {0}")]
    WrongPassword(PathBuf),
    /// The file or record is corrupt, was written by something else, or is encrypted with another
    /// key.
    #[error("{location} is corrupt (left unchanged): {why}")]
    Corrupt {
        /// The file or record.
        location: String,
        /// The problem with it.
        why: &'static str,
    },
    /// A later version of this library wrote the file or record.
    #[error("{location} has the format version {version}, which this version does not read")]
    UnsupportedVersion {
        /// The file or record.
        location: String,
        /// Its version.
        version: u64,
    },
    /// Other users could change or read a directory or file of the store.
    #[error("{path} is not safe to keep tokens in: {why}")]
    Insecure {
        /// The directory or file.
        path: PathBuf,
        /// The reason why it is not safe.
        why: &'static str,
    },
    /// The record is larger than a record may be.
    #[error("{location} is too large to store: with its name it may have {most} bytes")]
    TooLarge {
        /// The record.
        location: String,
        /// The largest number of bytes that a record may have.
        most: usize,
    },
    /// Another process holds the record for longer than a refresh can take.
    #[error("{location} is locked by another process for too long")]
    Locked {
        /// The record.
        location: String,
    },
    /// Another task or process changed the record at the same time.
    #[error("{location} was modified concurrently")]
    Conflict {
        /// The record.
        location: String,
    },
    /// The operating system returned an error.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// The action that failed, a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error of the system.
        source: Arc<std::io::Error>,
    },
    /// HashiCorp Vault or OpenBao failed or refused a request.
    #[error("the vault at {address}: {cause}")]
    Vault {
        /// Its URL.
        address: Url,
        /// The cause.
        #[source]
        cause: VaultErrorKind,
    },
    /// The keychain of the system, which holds the key of the store, failed or refused access.
    #[error("no key for the token store {store} from the keychain: {cause}")]
    Keychain {
        /// The directory of the store.
        store: PathBuf,
        /// The cause.
        #[source]
        cause: KeychainErrorKind,
    },
    /// Another back end failed.
    #[error("the {name} token store failed: {source}")]
    Backend {
        /// Its name.
        name: &'static str,
        /// Its error.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
}

impl TokenStorageError {
    pub(super) fn remedy(&self) -> Remedy {
        match self {
            Self::UnknownBackend(_)
            | Self::NoDirectory
            | Self::PasswordNeeded(_)
            | Self::OtherKey(_)
            | Self::WrongPassword(_)
            | Self::Corrupt { .. }
            | Self::UnsupportedVersion { .. }
            | Self::Insecure { .. }
            | Self::TooLarge { .. }
            | Self::Io { .. }
            | Self::Keychain { .. }
            | Self::Backend { .. } => Remedy::Reconfigure,
            Self::Locked { .. } | Self::Conflict { .. } => Remedy::Retry,
            Self::Vault { cause, .. } => cause.remedy(),
        }
    }
}

/// The reason why the keychain of the system did not store or return the key of a store. The records of the
/// store are unchanged.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeychainErrorKind {
    /// No keychain responds: there is no session bus, no service on it, no login session, or the
    /// system or this build has no keychain.
    #[error(
        "no keychain responds ({0}); start one, or use a password or a key file for a new store"
    )]
    Absent(UntrustedText),
    /// The keychain is locked, and the user did not unlock it.
    #[error(
        "it is locked ({0}); unlock it and try again, or use a password or a key file for a new store"
    )]
    Locked(UntrustedText),
    /// The user or a policy denied access.
    #[error(
        "it denied access ({0}); allow access for this program, or use a password or a key file for a \
         new store"
    )]
    Denied(UntrustedText),
    /// The store is encrypted with a key that the keychain no longer has. No other key is created:
    /// the records could not be read then, even if the old key were restored.
    #[error(
        "the key is gone from it; restore the entry `{account}` of the service `{service}`, or log in \
         again with a store in another directory"
    )]
    EntryGone {
        /// The service of the entry.
        service: String,
        /// Its account: the id of the store, with that of the change after a change of key.
        account: String,
    },
    /// There is an entry, but it is not the key that the store is encrypted with.
    #[error(
        "the entry `{account}` of the service `{service}` is not the key that the store is encrypted \
         with; restore it, or log in again with a store in another directory"
    )]
    OtherKey {
        /// The service of the entry.
        service: String,
        /// Its account: the id of the store, with that of the change after a change of key.
        account: String,
    },
    /// Another failure.
    #[error("it failed ({0}); use a password or a key file for a new store")]
    Failed(UntrustedText),
}

/// The reason why a Vault or OpenBao did not store or return a record.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultErrorKind {
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
}

impl VaultErrorKind {
    pub(super) fn remedy(&self) -> Remedy {
        match self {
            Self::Unreachable(
                HttpErrorKind::Connect(_)
                | HttpErrorKind::Interrupted(_)
                | HttpErrorKind::TimedOut(_),
            )
            | Self::Sealed
            | Self::Unavailable { .. } => Remedy::Retry,
            Self::Unreachable(_)
            | Self::Address(_)
            | Self::Path(_)
            | Self::Uninitialized
            | Self::Redirect(_)
            | Self::Denied { .. }
            | Self::Token(_)
            | Self::AppRole { .. }
            | Self::NoMount(_)
            | Self::NotKv2 { .. }
            | Self::Refused { .. }
            | Self::Malformed(_) => Remedy::Reconfigure,
        }
    }
}
