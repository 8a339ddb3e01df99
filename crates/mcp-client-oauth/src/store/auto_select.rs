//! The best local store of this machine. The choice is made once: the store itself remembers it.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{EncryptedFileStore, KeyKind, KeySource, file_lock::off_runtime, keychain};
use crate::{
    error::{KeychainErrorKind, TokenStorageError},
    proto::untrusted_text::UntrustedText,
    secret::Secret,
};

pub(super) mod backend;

/// Holds what may be said about the store that [`TokenStore::auto`](super::TokenStore::auto) is to choose; nothing need be.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct AutoOptions {
    /// Says where the files are, if not in [`EncryptedFileStore::default_dir`].
    pub directory: Option<PathBuf>,
    /// A password to seal a new store with, or to open one that has a password.
    pub password: Option<Secret<String>>,
    /// Holds what a new key in the keychain is filed under, if not under
    /// [`KEYCHAIN_SERVICE`](super::KEYCHAIN_SERVICE).
    pub service: Option<String>,
}

/// Says which store was chosen, and why. Its `Display` is a sentence for the person.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoreSelection {
    /// Says where the files are, or will be.
    pub directory: PathBuf,
    /// Says where its key comes from.
    pub key: KeyKind,
    /// Says why it is that key.
    pub reason: SelectionReason,
}

/// Says why a store has that kind of key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SelectionReason {
    /// It was made with it. Another kind of key takes another directory, or a new store.
    Existing,
    /// A password was given.
    PasswordGiven,
    /// The keychain of the system answers.
    KeychainAnswers,
    /// No keychain answers: why not.
    NoKeychain(UntrustedText),
}

pub(super) async fn select(
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

/// Returns each kind of key that a local store can have, the best first, and why it cannot be had here.
/// Nobody is asked to unlock anything.
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

/// Returns the key of a store that was made with this kind of key.
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

/// For a new store. A keychain that is locked is one: it is unlocked when the key is made. One that
/// refuses is too, and a weaker place must then be somebody's decision, not ours.
async fn new_key(
    directory: &Path,
    options: &AutoOptions,
) -> Result<(KeySource, SelectionReason), TokenStorageError> {
    match keychain().await {
        Ok(()) | Err(KeychainErrorKind::Locked(_)) => {
            Ok((in_keychain(options), SelectionReason::KeychainAnswers))
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

/// Returns whether a keychain answers. It may take seconds to say nothing.
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
        write!(f, "tokens are kept in {directory}, sealed with ")?;
        match self.key {
            KeyKind::Keychain => f.write_str("a key in the keychain of the system")?,
            KeyKind::Password => f.write_str("a password")?,
            KeyKind::KeyFile => f.write_str("a key in a file beside them")?,
            KeyKind::Provided => f.write_str("a key of the application")?,
        }
        write!(f, ": {reason}")
    }
}

impl fmt::Display for SelectionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Existing => f.write_str("the store was made with it"),
            Self::PasswordGiven => f.write_str("a password was given"),
            Self::KeychainAnswers => f.write_str("the keychain answers"),
            Self::NoKeychain(why) => write!(f, "no keychain answers ({why})"),
        }
    }
}
