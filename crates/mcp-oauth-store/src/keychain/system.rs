//! Entries in the keychain of this system, through its store of `keyring-core`.
//!
//! This module has its own store object: the default of the process belongs to the application.

use std::sync::Arc;

use keyring_core::{Error, api::CredentialStore};
use mcp_oauth_support::Secret;

use super::entry::Entry;
use crate::error::KeychainErrorKind;

#[cfg_attr(target_os = "linux", path = "system/linux.rs")]
#[cfg_attr(target_os = "macos", path = "system/macos.rs")]
#[cfg_attr(windows, path = "system/windows.rs")]
mod platform;

/// A keychain that has responded.
pub(super) type Keychain = Arc<CredentialStore>;

pub(super) fn connect() -> Result<Keychain, KeychainErrorKind> {
    platform::connect()
}

pub(super) fn probe() -> Result<(), KeychainErrorKind> {
    platform::probe()
}

pub(super) fn read(
    keychain: &Keychain,
    entry: &Entry,
) -> Result<Option<Secret<String>>, KeychainErrorKind> {
    match find(keychain, entry)?.get_password() {
        Ok(text) => Ok(Some(Secret::new(text))),
        Err(Error::NoEntry) => Ok(None),
        Err(Error::BadEncoding(bytes) | Error::BadDataFormat(bytes, _)) => {
            drop(Secret::new(bytes));
            Err(entry.other_key())
        }
        Err(error) => Err(platform::cause(&error)),
    }
}

pub(super) fn write(
    keychain: &Keychain,
    entry: &Entry,
    text: &Secret<String>,
) -> Result<(), KeychainErrorKind> {
    find(keychain, entry)?
        .set_password(text.expose())
        .map_err(|error| platform::cause(&error))
}

pub(super) fn delete(keychain: &Keychain, entry: &Entry) -> Result<(), KeychainErrorKind> {
    match find(keychain, entry)?.delete_credential() {
        Ok(()) | Err(Error::NoEntry) => Ok(()),
        Err(error) => Err(platform::cause(&error)),
    }
}

fn find(keychain: &Keychain, entry: &Entry) -> Result<keyring_core::Entry, KeychainErrorKind> {
    let modifiers = platform::MODIFIERS.iter().copied().collect();
    keychain
        .build(&entry.service, &entry.account, Some(&modifiers))
        .map_err(|error| platform::cause(&error))
}
