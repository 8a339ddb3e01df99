//! The keys of sealed files: the one that they have, and the one that they get.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use mcp_client_oauth::{
    Secret, TokenStore,
    error::TokenStorageError,
    store::{EncryptedFileStore, KeyKind, KeySource},
};
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

/// The key that files are to have.
pub(super) enum New {
    Keychain,
    /// A password, if one is given; else a key file.
    File(Option<Secret<String>>),
}

impl New {
    /// For files that are not sealed yet, or that keep the key that they have.
    pub(super) fn of(config: &Config, key: Key) -> Result<Self, Failure> {
        Self::with(key, config.typed_password.as_ref(), &config.kept_password)
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

    /// Returns the store in `directory`, with this key; a person is asked for the password that it has.
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

/// Returns the files with the key that they have, whichever that is. What is not there yet has none.
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

/// Gives the files in `directory` another key. With `--to file`, what is typed is the new password,
/// and the old one comes from elsewhere.
pub(super) async fn rekey(context: &Context, directory: &Path, key: Key) -> Result<Exit, Failure> {
    let config = &context.config;
    let kind = EncryptedFileStore::key_kind(directory)?;
    let (old, new) = if key == Key::Keychain {
        (&config.password, New::Keychain)
    } else if kind == Some(KeyKind::Password) {
        let new = New::with(key, config.typed_password.as_ref(), &Password::Ask)?;
        (&config.kept_password, new)
    } else {
        (&config.kept_password, New::of(config, key)?)
    };
    let source = new.source();
    // A new password may take the place of an old one; what else is the same is left as it is.
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
        "sealed": kind,
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
            format!("The tokens in {HEAD}{directory}{HEAD:#} are sealed with {with} already")
        } else {
            format!("{GOOD}Sealed{GOOD:#} the tokens in {HEAD}{directory}{HEAD:#} with {with}")
        }
    });
    if let Some(next) = next {
        context
            .ui
            .progress(format_args!("\n{HEAD}from now on:{HEAD:#} {next}"));
    }
}

/// Returns what must be said otherwise from now on, if anything must.
fn next(config: &Config, directory: &Path, kind: KeyKind) -> Option<String> {
    let name = if kind == KeyKind::Keychain {
        "keychain"
    } else {
        "file"
    };
    let store = match &config.otherwise {
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

/// Both parts of an advice, in one line.
pub(super) fn both(store: Option<String>, password: Option<&str>) -> Option<String> {
    let password = password.map(str::to_owned);
    let parts: Vec<String> = store.into_iter().chain(password).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Returns the kind of key that new files get.
pub(super) fn kind(config: &Config, key: Key) -> KeyKind {
    match (key, &config.password) {
        (Key::Keychain, _) => KeyKind::Keychain,
        (_, Password::Ask) => KeyKind::KeyFile,
        _ => KeyKind::Password,
    }
}

/// Returns what becomes of the password that is given to each command.
pub(super) fn password_from_now_on(config: &Config, kind: KeyKind) -> Option<&'static str> {
    match (kind, &config.typed_password, &config.kept_password) {
        (KeyKind::Password, Some(_), _) => Some("export MCP_OAUTH_PASSWORD_FILE=FILE"),
        (KeyKind::Password, None, _) | (_, _, Password::Ask) => None,
        _ => Some("unset MCP_OAUTH_PASSWORD MCP_OAUTH_PASSWORD_FILE"),
    }
}
