//! The keys of encrypted files: the old one and the new one.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use mcp_client_oauth::{Secret, TokenStore, error::TokenStorageError};
use mcp_oauth_store::{EncryptedFileStore, KeyKind, KeySource};
use serde_json::json;

use crate::{
    config::{Config, Password},
    context::Context,
    error::{Exit, Failure},
    shell::quoted,
    store::{password, password_in},
    store_spec::{Key, StoreLocation},
    ui::{GOOD, HEAD},
};

/// The new key of encrypted files.
pub(super) enum New {
    Keychain,
    /// A password, if one is given, else a key file.
    File(Option<Secret<String>>),
}

impl New {
    /// Returns the key for files that do not exist yet, or that keep their key.
    pub(super) fn of(config: &Config, key: Key) -> Result<Self, Failure> {
        Self::with(
            key,
            config.typed_password.as_ref(),
            &config.configured_password,
        )
    }

    fn with(key: Key, typed: Option<&PathBuf>, kept: &Password) -> Result<Self, Failure> {
        if key == Key::Keychain {
            return Ok(Self::Keychain);
        }
        Ok(Self::File(match (typed, kept) {
            (Some(file), _) | (None, Password::File(file)) => Some(password_in(file)?),
            (None, Password::Given(password)) => Some(password.clone()),
            (None, Password::Ask) => None,
        }))
    }

    /// Opens the store in `directory`, with this key; it prompts for the password of an existing store.
    pub(super) fn store(self, directory: &Path) -> Result<TokenStore, Failure> {
        let kind = EncryptedFileStore::key_kind(directory)?;
        let source = match self {
            Self::File(None) => password(directory, kind, &Password::Ask)?
                .map_or(KeySource::KeyFile, KeySource::Password),
            new => new.source(),
        };
        let files = EncryptedFileStore::open(directory, source)?;
        Ok(TokenStore::new(Arc::new(files)))
    }

    fn source(self) -> KeySource {
        match self {
            Self::Keychain => KeySource::keychain(),
            Self::File(password) => password.map_or(KeySource::KeyFile, KeySource::Password),
        }
    }
}

/// Opens the files with the key that they have, of whatever kind. Files that do not exist have none.
pub(super) fn old_files(directory: &Path, given: &Password) -> Result<EncryptedFileStore, Failure> {
    let kind = EncryptedFileStore::key_kind(directory)?;
    let source = match kind {
        Some(KeyKind::Keychain) => KeySource::keychain(),
        Some(KeyKind::KeyFile) | None => KeySource::KeyFile,
        Some(KeyKind::Password) => password(directory, kind, given)?
            .map(KeySource::Password)
            .ok_or_else(|| TokenStorageError::PasswordNeeded(directory.to_owned()))?,
        _ => return Err(TokenStorageError::OtherKey(directory.to_owned()).into()),
    };
    Ok(EncryptedFileStore::open(directory, source)?)
}

/// Encrypts the files in `directory` with another key. With `--to file`, `--password-file` is the new
/// password, and the old one comes from the environment or a prompt.
pub(super) async fn rekey(context: &Context, directory: &Path, key: Key) -> Result<Exit, Failure> {
    let config = &context.config;
    let kind = EncryptedFileStore::key_kind(directory)?;
    let (old, new) = if key == Key::Keychain {
        (&config.password, New::Keychain)
    } else if kind == Some(KeyKind::Password) {
        let new = New::with(key, config.typed_password.as_ref(), &Password::Ask)?;
        (&config.configured_password, new)
    } else {
        (&config.configured_password, New::of(config, key)?)
    };
    let source = new.source();
    // A new password may replace an old one; another key of the same kind is not changed.
    let done = kind == Some(source.kind()) && source.kind() != KeyKind::Password;
    let kind = source.kind();
    if !done {
        old_files(directory, old)?.rekey(source).await?;
    }
    report(context, directory, kind, done);
    Ok(Exit::Done)
}

fn report(context: &Context, directory: &Path, kind: KeyKind, done: bool) {
    let next = next(&context.config, directory, kind);
    let document = json!({
        "directory": directory.display().to_string(),
        "encryption": kind,
        "changed": !done,
        "next": next,
    });
    context.ui.result(&document, || {
        let directory = directory.display();
        let with = match kind {
            KeyKind::Keychain => "a key in the keychain of the system",
            KeyKind::Password => "a password",
            _ => "a key file",
        };
        if done {
            format!("The tokens in {HEAD}{directory}{HEAD:#} are already encrypted with {with}")
        } else {
            format!("{GOOD}Encrypted{GOOD:#} the tokens in {HEAD}{directory}{HEAD:#} with {with}")
        }
    });
    if let Some(next) = next {
        context
            .ui
            .progress(format_args!("\n{HEAD}from now on:{HEAD:#} {next}"));
    }
}

/// Returns the settings to change for the next commands, if any.
fn next(config: &Config, directory: &Path, kind: KeyKind) -> Option<String> {
    let name = if kind == KeyKind::Keychain {
        "keychain"
    } else {
        "file"
    };
    let store = match &config.configured_store {
        StoreLocation::Files {
            key: Key::Keychain, ..
        } if kind == KeyKind::Keychain => None,
        StoreLocation::Files { key: Key::File, .. } if kind != KeyKind::Keychain => None,
        StoreLocation::Files { key: Key::Auto, .. } => None,
        _ => {
            let spec = quoted(&format!("{name}:{}", directory.display()));
            Some(format!("export MCP_OAUTH_STORE={spec}"))
        }
    };
    both(store, password_from_now_on(config, kind))
}

/// Joins the advice about the store and about the password in one line.
pub(super) fn both(store: Option<String>, password: Option<&str>) -> Option<String> {
    let password = password.map(str::to_owned);
    let parts: Vec<String> = store.into_iter().chain(password).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Returns the kind of key of new files.
pub(super) fn kind(config: &Config, key: Key) -> KeyKind {
    match (key, &config.password) {
        (Key::Keychain, _) => KeyKind::Keychain,
        (_, Password::Ask) => KeyKind::KeyFile,
        _ => KeyKind::Password,
    }
}

/// Returns how to change the password setting for the next commands, if needed.
pub(super) fn password_from_now_on(config: &Config, kind: KeyKind) -> Option<&'static str> {
    match (kind, &config.typed_password, &config.configured_password) {
        (KeyKind::Password, Some(_), _) => Some("export MCP_OAUTH_PASSWORD_FILE=FILE"),
        (KeyKind::Password, None, _) | (_, _, Password::Ask) => None,
        _ => Some("unset MCP_OAUTH_PASSWORD MCP_OAUTH_PASSWORD_FILE"),
    }
}
