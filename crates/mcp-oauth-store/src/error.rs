//! Errors of a store, and of the keychain that it uses.

use std::{path::PathBuf, sync::Arc};

use mcp_oauth_support::UntrustedText;

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
    /// The keychain of the system, which holds the key of the store, failed or refused access.
    #[error("no key for the token store {store} from the keychain: {cause}")]
    Keychain {
        /// The directory of the store.
        store: PathBuf,
        /// The cause.
        #[source]
        cause: KeychainErrorKind,
    },
    /// Another store failed, such as one of another crate.
    #[error("{location}: {source}")]
    Backend {
        /// The store or the record.
        location: String,
        /// Its error.
        source: Arc<dyn std::error::Error + Send + Sync>,
        /// Is true if the same call may succeed later; false if a user has to change something.
        is_temporary: bool,
    },
}

impl TokenStorageError {
    /// Returns the error for an unexpected failure of encrypted files.
    #[cfg(feature = "encrypted-file")]
    pub(crate) fn of_files(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Backend {
            location: "the file token store failed".to_owned(),
            source: Arc::new(source),
            is_temporary: false,
        }
    }

    /// Returns whether the same call may succeed later, without a change of the configuration.
    pub fn is_temporary(&self) -> bool {
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
            | Self::Keychain { .. } => false,
            Self::Locked { .. } | Self::Conflict { .. } => true,
            Self::Backend { is_temporary, .. } => *is_temporary,
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

/// The operating system returned no random bytes.
#[cfg(feature = "encrypted-file")]
#[derive(Debug, thiserror::Error)]
#[error("the operating system returned no random bytes")]
pub(crate) struct RandomError;
