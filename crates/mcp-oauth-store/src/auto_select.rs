//! Selects the best local store of this machine. The kind of key is selected once, and kept in the store.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use mcp_oauth_support::{Secret, UntrustedText};

use crate::error::{KeychainErrorKind, TokenStorageError};
use crate::{EncryptedFileStore, KeyKind, KeySource, file_lock::off_runtime, keychain};

pub(crate) mod backend;

/// Options of [`auto`]. None is required.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct AutoOptions {
    /// The directory of the files, if not [`EncryptedFileStore::default_dir`].
    pub directory: Option<PathBuf>,
    /// A password to encrypt a new store with, or to open one that has a password.
    pub password: Option<Secret<String>>,
    /// The service name of a new key in the keychain, if not `mcp-client-oauth`.
    pub service: Option<String>,
}

/// The selected store, and the reason. Its `Display` is a sentence for the user.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoreSelection {
    /// The directory of the files.
    pub directory: PathBuf,
    /// The kind of its key.
    pub key: KeyKind,
    /// The reason for that kind of key.
    pub reason: SelectionReason,
}

/// The reason for the kind of key of a store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SelectionReason {
    /// The store exists and has it. Another kind of key needs another directory, or a new store.
    Existing,
    /// A password was given.
    PasswordGiven,
    /// The keychain of the system is available.
    KeychainAvailable,
    /// No keychain is available, with the reason.
    NoKeychain(UntrustedText),
}

/// Selects the best local store of this machine, and returns the reason: encrypted files with a key
///
/// 1. of the kind that the store has, if it exists;
/// 2. from the password, if one is given;
/// 3. in the keychain of the system, if one is available, even if it is locked now;
/// 4. in a key file.
///
/// Before the store is used, nothing is created, and the user is not asked to unlock a keychain.
/// [`open`](crate::open)`("auto:")` selects the same way, on the first write, and logs the choice instead of
/// returning it.
///
/// ```no_run
/// # async fn example() -> Result<(), mcp_oauth_store::TokenStorageError> {
/// use mcp_oauth_store::{AutoOptions, auto};
///
/// let (files, choice) = auto(&AutoOptions::default()).await?;
/// println!("{choice}");
/// # drop(files);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`TokenStorageError::PasswordNeeded`] if the store has a password and none is given.
/// [`TokenStorageError::OtherKey`] if one is given and the store has none: a caller that gives a password
/// must not get a store without one. [`TokenStorageError::Keychain`] if the keychain denies access: no
/// weaker key is selected then.
pub async fn auto(
    options: &AutoOptions,
) -> Result<(EncryptedFileStore, StoreSelection), TokenStorageError> {
    let directory = match &options.directory {
        Some(directory) => directory.clone(),
        None => EncryptedFileStore::default_dir()?,
    };
    let (source, reason) = select_store(&directory, options).await?;
    let key = source.kind();
    let files = EncryptedFileStore::open(&directory, source)?;
    let choice = StoreSelection {
        directory,
        key,
        reason,
    };
    Ok((files, choice))
}

/// Returns each kind of key that a local store can have, the best first, and the error if it is not
/// available here. The user is not asked to unlock the keychain.
pub async fn key_kinds() -> Vec<(KeyKind, Result<(), KeychainErrorKind>)> {
    vec![
        (KeyKind::Keychain, keychain().await),
        (KeyKind::Password, Ok(())),
        (KeyKind::KeyFile, Ok(())),
        (KeyKind::Provided, Ok(())),
    ]
}

async fn select_store(
    directory: &Path,
    options: &AutoOptions,
) -> Result<(KeySource, SelectionReason), TokenStorageError> {
    let path = directory.to_owned();
    let kind = off_runtime(move || EncryptedFileStore::key_kind(path)).await?;
    match (kind, &options.password) {
        (Some(kind), _) => {
            let source = existing_key(directory, kind, options)?;
            Ok((source, SelectionReason::Existing))
        }
        (None, Some(password)) => Ok((
            KeySource::Password(password.clone()),
            SelectionReason::PasswordGiven,
        )),
        (None, None) => new_key(directory, options).await,
    }
}

/// Returns the key source of a store with this kind of key.
fn existing_key(
    directory: &Path,
    kind: KeyKind,
    options: &AutoOptions,
) -> Result<KeySource, TokenStorageError> {
    match (kind, options.password.clone()) {
        (KeyKind::Password, Some(password)) => Ok(KeySource::Password(password)),
        (KeyKind::Password, None) => Err(TokenStorageError::PasswordNeeded(directory.to_owned())),
        (KeyKind::Keychain, None) => Ok(in_keychain(options)),
        (KeyKind::KeyFile, None) => Ok(KeySource::KeyFile),
        (_, Some(_)) | (KeyKind::Provided, None) => {
            Err(TokenStorageError::OtherKey(directory.to_owned()))
        }
    }
}

/// Returns the key source of a new store. A locked keychain is used: it is unlocked when the key is
/// created. If a keychain denies access, this is an error: only the user may select a weaker key.
async fn new_key(
    directory: &Path,
    options: &AutoOptions,
) -> Result<(KeySource, SelectionReason), TokenStorageError> {
    match keychain().await {
        Ok(()) | Err(KeychainErrorKind::Locked(_)) => {
            Ok((in_keychain(options), SelectionReason::KeychainAvailable))
        }
        Err(KeychainErrorKind::Absent(why)) => {
            Ok((KeySource::KeyFile, SelectionReason::NoKeychain(why)))
        }
        Err(cause) => Err(TokenStorageError::Keychain {
            store: directory.to_owned(),
            cause,
        }),
    }
}

fn in_keychain(options: &AutoOptions) -> KeySource {
    match options.service.clone() {
        Some(service) => KeySource::Keychain { service },
        None => KeySource::keychain(),
    }
}

/// Checks that a keychain is available, which may take seconds.
async fn keychain() -> Result<(), KeychainErrorKind> {
    let probed = tokio::task::spawn_blocking(keychain::probe).await;
    probed.unwrap_or_else(|error| {
        Err(KeychainErrorKind::Failed(UntrustedText::new(
            &error.to_string(),
        )))
    })
}

impl fmt::Display for StoreSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (directory, reason) = (self.directory.display(), &self.reason);
        write!(f, "tokens are stored in {directory}, encrypted with ")?;
        match self.key {
            KeyKind::Keychain => f.write_str("a key in the keychain of the system")?,
            KeyKind::Password => f.write_str("a password")?,
            KeyKind::KeyFile => f.write_str("a key file in the same directory")?,
            KeyKind::Provided => f.write_str("a key of the application")?,
        }
        write!(f, ": {reason}")
    }
}

impl fmt::Display for SelectionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Existing => f.write_str("the store was created with it"),
            Self::PasswordGiven => f.write_str("a password was given"),
            Self::KeychainAvailable => f.write_str("the keychain is available"),
            Self::NoKeychain(why) => write!(f, "no keychain is available ({why})"),
        }
    }
}
