//! Opening the token store that the configuration names, with the key that it needs.

use std::{
    fs::File,
    io::IsTerminal as _,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mcp_client_oauth::{
    Secret, TokenStore,
    error::TokenStorageError,
    platform::SystemClock,
    store::{AutoOptions, EncryptedFileStore, KeyKind, KeySource, StoreSelection, Vault},
};

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
    /// Remembers a store for the end.
    pub(crate) fn keep(&self, store: TokenStore) -> TokenStore {
        self.stores().push(store.clone());
        store
    }

    /// Waits until everything that was held in them is let go: others would wait for a lease in a
    /// Vault that is not given back. Their connections are closed then.
    pub(crate) async fn settle(self) {
        let stores = std::mem::take(&mut *self.stores());
        for store in &stores {
            store.flush().await;
        }
    }

    fn stores(&self) -> MutexGuard<'_, Vec<TokenStore>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the store for what is there. A person is asked for a password only if the store needs one,
/// and no keychain before there is something to read.
pub(crate) async fn open(config: &Config) -> Result<TokenStore, Failure> {
    let StoreLocation::Files { directory, .. } = &config.place else {
        return elsewhere(&config.place, &config.vault);
    };
    let directory = known(directory.as_deref())?;
    if EncryptedFileStore::key_kind(directory)?.is_some() {
        return Ok(choose(config).await?.0);
    }
    let nothing = EncryptedFileStore::open(directory, KeySource::KeyFile)?;
    Ok(TokenStore::new(Arc::new(nothing)))
}

/// Opens the store that is there, or the one that will be made by the first thing that is kept;
/// and says why it is that one, if nobody but this machine has chosen.
pub(crate) async fn choose(
    config: &Config,
) -> Result<(TokenStore, Option<StoreSelection>), Failure> {
    let StoreLocation::Files { key, directory } = &config.place else {
        return Ok((elsewhere(&config.place, &config.vault)?, None));
    };
    let directory = known(directory.as_deref())?;
    let kind = EncryptedFileStore::key_kind(directory)?;
    let source = match key {
        Key::Auto => {
            let mut options = AutoOptions::default();
            options.directory = Some(directory.to_owned());
            options.password = password(directory, kind, &config.password)?;
            let (store, choice) = TokenStore::auto(&options).await?;
            return Ok((store, Some(choice)));
        }
        Key::Keychain => in_keychain(directory, kind, &config.password)?,
        Key::File => password(directory, kind, &config.password)?
            .map_or(KeySource::KeyFile, KeySource::Password),
    };
    let files = EncryptedFileStore::open(directory, source)?;
    Ok((TokenStore::new(Arc::new(files)), None))
}

/// Returns a store that is not made of files of ours.
pub(crate) fn elsewhere(place: &StoreLocation, vault: &Variables) -> Result<TokenStore, Failure> {
    match place {
        StoreLocation::Vault(rest) => {
            let clock = Arc::new(SystemClock::default());
            let vault = Vault::open(&vault.options(rest)?, clock)?;
            Ok(TokenStore::new(Arc::new(vault)))
        }
        StoreLocation::Other(spec) => Ok(TokenStore::open(spec)?),
        StoreLocation::Files { .. } => Err(TokenStorageError::NoDirectory.into()),
    }
}

pub(crate) fn known(directory: Option<&Path>) -> Result<&Path, Failure> {
    directory.ok_or_else(|| TokenStorageError::NoDirectory.into())
}

/// Returns what is said when no keychain was there for a new store: a weaker key is never taken in silence.
pub(crate) fn weaker(choice: &StoreSelection) -> String {
    let directory = quoted(&choice.directory.display().to_string());
    format!(
        "{WARN}warning:{WARN:#} {choice}; whoever can read {directory} can read the tokens. To \
         choose otherwise: mcp-oauth migrate --to file --password-file FILE, or, once a keychain \
         answers: mcp-oauth migrate --to keychain"
    )
}

/// Returns whether no record of the store can be read: nothing must be changed then.
pub(crate) fn is_closed(error: &TokenStorageError) -> bool {
    matches!(
        error,
        TokenStorageError::WrongPassword(_)
            | TokenStorageError::PasswordNeeded(_)
            | TokenStorageError::OtherKey(_)
            | TokenStorageError::Keychain { .. }
            | TokenStorageError::Vault { .. }
    )
}

/// Returns the password, if one was given, or the store that is there needs one. It is never left aside:
/// who gives a password must not be served by a store without one.
pub(crate) fn password(
    directory: &Path,
    kind: Option<KeyKind>,
    password: &Password,
) -> Result<Option<Secret<String>>, Failure> {
    match password {
        Password::Given(password) => Ok(Some(password.clone())),
        Password::File(file) => password_in(file).map(Some),
        Password::Ask if kind == Some(KeyKind::Password) => ask(directory),
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
            "a password is given, and the key is to be in the keychain",
            "leave out --password-file, MCP_OAUTH_PASSWORD and MCP_OAUTH_PASSWORD_FILE, or choose \
             --store file",
        ));
    }
    match kind {
        // Nobody need type a password that is not what was asked for.
        Some(KeyKind::Password) => Err(TokenStorageError::OtherKey(directory.to_owned()).into()),
        _ => Ok(KeySource::keychain()),
    }
}

pub(crate) fn password_in(file: &Path) -> Result<Secret<String>, Failure> {
    let opened = File::open(file).map_err(|error| Failure::file("open", file, &error))?;
    read_secret(opened, file)
}

/// Nobody to ask: the store says that it needs a password.
fn ask(directory: &Path) -> Result<Option<Secret<String>>, Failure> {
    if !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    let question = format!("Password of the token store {}: ", directory.display());
    let password = rpassword::prompt_password(question).map_err(|error| {
        Failure::file("read a password from", Path::new("the terminal"), &error)
    })?;
    Ok(Some(Secret::new(password)))
}
