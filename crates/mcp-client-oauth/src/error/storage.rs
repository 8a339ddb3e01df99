//! Why a record could not be kept or read, and why a place for records or keys failed.

use std::{path::PathBuf, sync::Arc};

use url::Url;

use super::{HttpErrorKind, UrlPolicyError, remedy::Remedy};
use crate::proto::untrusted_text::UntrustedText;

/// Says why a record could not be kept or read. The stored state is as it was.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenStorageError {
    /// No such back end in this build.
    #[error("no token store called `{0}` in this build")]
    UnknownBackend(String),
    /// The platform names no data directory.
    #[error("this system names no data directory; give one")]
    NoDirectory,
    /// The store is sealed with a password, and none was given.
    #[error("the token store {0} is sealed with a password, and none was given")]
    PasswordNeeded(PathBuf),
    /// The store is sealed with a key that is not there.
    #[error("the token store {0} was sealed with another kind of key than the one that was given")]
    OtherKey(PathBuf),
    /// Not the password that the store was sealed with.
    #[error("wrong password for the token store {0}")]
    WrongPassword(PathBuf),
    /// Not ours, or damaged, or sealed with another key.
    #[error("{place} is damaged and was left as it is: {why}")]
    Corrupt {
        /// The file or record.
        place: String,
        /// Holds what is wrong with it.
        why: &'static str,
    },
    /// Written by a later version of this library.
    #[error("{place} has the format version {version}, which this version does not read")]
    UnsupportedVersion {
        /// The file or record.
        place: String,
        /// Its version.
        version: u64,
    },
    /// A directory or file that others could change or read.
    #[error("{path} is not safe to keep tokens in: {why}")]
    Insecure {
        /// Says which.
        path: PathBuf,
        /// Says why not.
        why: &'static str,
    },
    /// More than a record may have.
    #[error("{place} is too large to keep: with its name it may have {most} bytes")]
    TooLarge {
        /// The record.
        place: String,
        /// Says how many bytes a record may have.
        most: usize,
    },
    /// Another process holds the record for longer than a refresh can take.
    #[error("{place} is locked by another process for too long")]
    Locked {
        /// The record.
        place: String,
    },
    /// Somebody else changed the record in between.
    #[error("{place} was changed by somebody else at the same time")]
    Conflict {
        /// The record.
        place: String,
    },
    /// The operating system said no.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// Holds what was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// Holds what the system said.
        source: Arc<std::io::Error>,
    },
    /// HashiCorp Vault or OpenBao.
    #[error("the vault at {address}: {cause}")]
    Vault {
        /// Says where it is.
        address: Url,
        /// Holds what is wrong.
        #[source]
        cause: VaultErrorKind,
    },
    /// The keychain of the system, which keeps the key of the store.
    #[error("no key for the token store {store} from the keychain: {cause}")]
    Keychain {
        /// The directory of the store.
        store: PathBuf,
        /// Holds what is wrong.
        #[source]
        cause: KeychainErrorKind,
    },
    /// Another back end failed.
    #[error("the {name} token store failed: {source}")]
    Backend {
        /// Says which.
        name: &'static str,
        /// Holds what it said.
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

/// Says why the keychain of the system did not keep or bring the key of a store. The records of the
/// store are as they were.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeychainErrorKind {
    /// None that answers: no session bus, no service on it, nobody's login session, or a system
    /// or build without one.
    #[error(
        "none answers ({0}); start one, or keep the key of a new store elsewhere: a password or a key file"
    )]
    Absent(UntrustedText),
    /// It is locked, and nobody unlocked it.
    #[error(
        "it is locked ({0}); unlock it and try again, or keep the key of a new store elsewhere: a password or a key file"
    )]
    Locked(UntrustedText),
    /// A person or a policy said no.
    #[error(
        "it denied access ({0}); allow it to this program, or keep the key of a new store elsewhere: a password or a key file"
    )]
    Denied(UntrustedText),
    /// The store was sealed with a key that the keychain no longer has. No other key is made:
    /// nobody could read the records then, even if the key were restored.
    #[error(
        "the key is gone from it; restore the entry `{account}` of the service `{service}`, or log in again with a store in another directory"
    )]
    EntryGone {
        /// The service of the entry.
        service: String,
        /// Its account: the id of the store, with that of the change after a change of key.
        account: String,
    },
    /// There is an entry, but not the key that the store was sealed with.
    #[error(
        "the entry `{account}` of the service `{service}` is not the key that the store was sealed with; restore it, or log in again with a store in another directory"
    )]
    OtherKey {
        /// The service of the entry.
        service: String,
        /// Its account: the id of the store, with that of the change after a change of key.
        account: String,
    },
    /// Another failure.
    #[error("it failed ({0}); keep the key of a new store elsewhere: a password or a key file")]
    Failed(UntrustedText),
}

/// Says why a Vault or OpenBao did not keep or bring a record.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultErrorKind {
    /// An address that tokens must not be sent to.
    #[error("it cannot be used: {0}; https, or http on loopback, is needed")]
    Address(UrlPolicyError),
    /// A mount or a prefix that cannot be one.
    #[error("`{0}` is not a path of plain segments: no empty ones, `.` or `..`")]
    Path(String),
    /// It was not reached, or its answer did not arrive.
    #[error("no answer: {0}")]
    Unreachable(HttpErrorKind),
    /// HTTP 503.
    #[error("it is sealed; whoever runs it must unseal it")]
    Sealed,
    /// HTTP 501.
    #[error("it was never initialized; whoever runs it must do that first")]
    Uninitialized,
    /// A standby that does not forward, a rate limit, or a failing server.
    #[error("it cannot answer now (HTTP {status}: {message})")]
    Unavailable {
        /// Holds what it answered.
        status: u16,
        /// Its own words.
        message: UntrustedText,
    },
    /// A token is sent to the address that was given, and nowhere else.
    #[error("it sends us to `{0}`, which is not followed; give the address of the active node")]
    Redirect(UntrustedText),
    /// HTTP 403. An expired token and a missing policy look the same.
    #[error(
        "permission denied for `{path}`: the token is no longer valid, or no policy of its allows that"
    )]
    Denied {
        /// Holds what we wanted to use.
        path: String,
    },
    /// The token, as it was given or found, cannot be one.
    #[error("the token {0}")]
    Token(&'static str),
    /// AppRole does not know the role or the secret id.
    #[error("the AppRole login at `{mount}` was refused ({message})")]
    AppRole {
        /// The mount of the auth method.
        mount: String,
        /// Its own words.
        message: UntrustedText,
    },
    /// There is no secrets engine there.
    #[error("no secrets engine is mounted at `{0}`; name the mount of a KV version 2 engine")]
    NoMount(String),
    /// Another secrets engine, or KV version 1.
    #[error(
        "`{mount}` is {found}, but check-and-set needs KV version 2 (for KV: `vault kv enable-versioning {mount}`)"
    )]
    NotKv2 {
        /// The mount.
        mount: String,
        /// Holds what is there.
        found: UntrustedText,
    },
    /// Another refusal.
    #[error("it refused (HTTP {status}: {message})")]
    Refused {
        /// Holds what it answered.
        status: u16,
        /// Its own words.
        message: UntrustedText,
    },
    /// Not the answer of a Vault.
    #[error("its answer cannot be used: {0}")]
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
