//! Opening the token store that the configuration names, with the key that it needs.

use std::{
    fs::File,
    io::IsTerminal as _,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mcp_client_oauth::{Secret, TokenStore, error::TokenStorageError};
use mcp_oauth_store::{AutoOptions, EncryptedFileStore, KeyKind, KeySource, StoreSelection};
use mcp_oauth_vault::{VaultError, VaultStore};

use crate::{
    config::{Config, Password, Variables, read_secret},
    error::Failure,
    shell::quoted,
    store_spec::{Key, StoreLocation},
    ui::WARN,
};

/// The stores that a command has opened. Cloning shares them.
#[derive(Clone, Default)]
pub(crate) struct Opened(Arc<Mutex<Vec<TokenStore>>>);

impl Opened {
    /// Remembers a store, to flush it at the end.
    pub(crate) fn keep(&self, store: TokenStore) -> TokenStore {
        self.stores().push(store.clone());
        store
    }

    /// Waits until the stores have released their locks: other processes would have to wait until a
    /// lease in a Vault expires. Then their connections are closed.
    pub(crate) async fn flush(self) {
        let stores = std::mem::take(&mut *self.stores());
        for store in &stores {
            store.flush().await;
        }
    }

    fn stores(&self) -> MutexGuard<'_, Vec<TokenStore>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the store for reading. The user is prompted for a password only if the store needs one, and the
/// keychain is not accessed before there is something to read.
pub(crate) async fn open(config: &Config) -> Result<TokenStore, Failure> {
    let StoreLocation::Files { directory, .. } = &config.store else {
        return open_other(&config.store, &config.vault);
    };
    let directory = required_directory(directory.as_deref())?;
    if EncryptedFileStore::key_kind(directory)?.is_some() {
        return Ok(open_for_writing(config).await?.0);
    }
    let empty = EncryptedFileStore::open(directory, KeySource::KeyFile)?;
    Ok(TokenStore::new(Arc::new(empty)))
}

/// Opens the existing store, or the one that the first write will create; returns why it is that one, if
/// it was selected automatically.
pub(crate) async fn open_for_writing(
    config: &Config,
) -> Result<(TokenStore, Option<StoreSelection>), Failure> {
    let StoreLocation::Files { key, directory } = &config.store else {
        return Ok((open_other(&config.store, &config.vault)?, None));
    };
    let directory = required_directory(directory.as_deref())?;
    let kind = EncryptedFileStore::key_kind(directory)?;
    let source = match key {
        Key::Auto => {
            let mut options = AutoOptions::default();
            options.directory = Some(directory.to_owned());
            options.password = password(directory, kind, &config.password)?;
            let (files, choice) = mcp_oauth_store::auto(&options).await?;
            return Ok((TokenStore::new(Arc::new(files)), Some(choice)));
        }
        Key::Keychain => in_keychain(directory, kind, &config.password)?,
        Key::File => password(directory, kind, &config.password)?
            .map_or(KeySource::KeyFile, KeySource::Password),
    };
    let files = EncryptedFileStore::open(directory, source)?;
    Ok((TokenStore::new(Arc::new(files)), None))
}

/// Opens a store other than encrypted files.
pub(crate) fn open_other(
    location: &StoreLocation,
    vault: &Variables,
) -> Result<TokenStore, Failure> {
    match location {
        StoreLocation::Vault(rest) => {
            let vault = VaultStore::open(&vault.options(rest)?)?;
            Ok(TokenStore::new(Arc::new(vault)))
        }
        StoreLocation::Other(spec) => Ok(TokenStore::open(spec)?),
        StoreLocation::Files { .. } => Err(TokenStorageError::NoDirectory.into()),
    }
}

pub(crate) fn required_directory(directory: Option<&Path>) -> Result<&Path, Failure> {
    directory.ok_or_else(|| TokenStorageError::NoDirectory.into())
}

/// Returns the warning that a new store has its key in a file, because no keychain is available: a weaker
/// key is never used silently.
pub(crate) fn weaker_key_warning(choice: &StoreSelection) -> String {
    let directory = quoted(&choice.directory.display().to_string());
    format!(
        "{WARN}warning:{WARN:#} {choice}; anyone with read access to {directory} can read the tokens. To \
         use a password: mcp-oauth migrate --to file --password-file FILE; to use a keychain, once \
         one is available: mcp-oauth migrate --to keychain"
    )
}

/// Returns whether no record of the store can be read: then nothing must be changed.
pub(crate) fn is_unreadable(error: &TokenStorageError) -> bool {
    VaultError::of(error).is_some()
        || matches!(
            error,
            TokenStorageError::WrongPassword(_)
                | TokenStorageError::PasswordNeeded(_)
                | TokenStorageError::OtherKey(_)
                | TokenStorageError::Keychain { .. }
        )
}

/// Returns the password, if one is given or the existing store needs one. A password that is given is never
/// ignored: a store without one must not be used instead.
pub(crate) fn password(
    directory: &Path,
    kind: Option<KeyKind>,
    password: &Password,
) -> Result<Option<Secret<String>>, Failure> {
    match password {
        Password::Given(password) => Ok(Some(password.clone())),
        Password::File(file) => password_in(file).map(Some),
        Password::Ask if kind == Some(KeyKind::Password) => prompt_password(directory),
        Password::Ask => Ok(None),
    }
}

fn in_keychain(
    directory: &Path,
    kind: Option<KeyKind>,
    password: &Password,
) -> Result<KeySource, Failure> {
    if !matches!(password, Password::Ask) {
        return Err(Failure::usage(
            "a password is given, but the store keeps its key in the keychain",
            "leave out --password-file, MCP_OAUTH_PASSWORD and MCP_OAUTH_PASSWORD_FILE, or use \
             --store file",
        ));
    }
    match kind {
        // The keychain was requested: no prompt for a password.
        Some(KeyKind::Password) => Err(TokenStorageError::OtherKey(directory.to_owned()).into()),
        _ => Ok(KeySource::keychain()),
    }
}

pub(crate) fn password_in(file: &Path) -> Result<Secret<String>, Failure> {
    let opened = File::open(file).map_err(|error| Failure::file("open", file, &error))?;
    read_secret(opened, file)
}

/// Prompts for the password of a store; without a terminal the store reports that it needs one.
fn prompt_password(directory: &Path) -> Result<Option<Secret<String>>, Failure> {
    if !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    let question = format!("Password of the token store {}: ", directory.display());
    let password = rpassword::prompt_password(question).map_err(|error| {
        Failure::file("read a password from", Path::new("the terminal"), &error)
    })?;
    Ok(Some(Secret::new(password)))
}
