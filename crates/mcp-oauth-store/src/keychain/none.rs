//! No keychain: this build or this system has none. `keychain:` still exists, and returns an error.

use mcp_oauth_support::{Secret, UntrustedText};

use super::entry::Entry;
use crate::error::KeychainErrorKind;

/// A keychain, which does not exist here.
pub(super) enum Keychain {}

pub(super) fn connect() -> Result<Keychain, KeychainErrorKind> {
    Err(KeychainErrorKind::Absent(UntrustedText::new(
        "this build supports no keychain on this system",
    )))
}

pub(super) fn probe() -> Result<(), KeychainErrorKind> {
    connect().map(drop)
}

pub(super) fn read(
    keychain: &Keychain,
    _entry: &Entry,
) -> Result<Option<Secret<String>>, KeychainErrorKind> {
    match *keychain {}
}

pub(super) fn delete(keychain: &Keychain, _entry: &Entry) -> Result<(), KeychainErrorKind> {
    match *keychain {}
}

pub(super) fn write(
    keychain: &Keychain,
    _entry: &Entry,
    _text: &Secret<String>,
) -> Result<(), KeychainErrorKind> {
    match *keychain {}
}
