//! Opening the token store that the configuration names, with the key that it needs.

use std::{fs::File, io::IsTerminal as _, path::Path, sync::Arc};

use mcp_client_oauth::{
    Secret, TokenStore,
    error::TokenStorageError,
    store::{KeyKind, KeySource, SealedFiles},
};

use crate::{
    config::{Config, Password, Place, read_secret},
    exit::Failure,
};

/// Opens the store. A person is asked for a password only if the store needs one.
pub(crate) fn open(config: &Config) -> Result<TokenStore, Failure> {
    let directory = match &config.place {
        Place::Files(Some(directory)) => directory,
        Place::Files(None) => return Err(TokenStorageError::NoDirectory.into()),
        Place::Other(spec) => return Ok(TokenStore::open(spec)?),
    };
    let source = key_source(directory, &config.password)?;
    Ok(TokenStore::new(Arc::new(SealedFiles::open(
        directory, source,
    )?)))
}

/// Whether no record of the store can be read: nothing must be changed then.
pub(crate) fn is_closed(error: &TokenStorageError) -> bool {
    matches!(
        error,
        TokenStorageError::WrongPassword(_)
            | TokenStorageError::PasswordNeeded(_)
            | TokenStorageError::OtherKey(_)
    )
}

/// A new store is sealed with a password if one is given, else with a key file. An existing one
/// is never opened with another kind of key than the one that was asked for: who gives a password
/// must not be served by a store without one.
fn key_source(directory: &Path, password: &Password) -> Result<KeySource, Failure> {
    let password = match password {
        Password::Given(password) => Some(password.clone()),
        Password::File(file) => Some(password_in(file)?),
        Password::Ask if SealedFiles::key_kind(directory)? == Some(KeyKind::Password) => {
            ask(directory)?
        }
        Password::Ask => None,
    };
    Ok(password.map_or(KeySource::KeyFile, KeySource::Password))
}

fn password_in(file: &Path) -> Result<Secret<String>, Failure> {
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
