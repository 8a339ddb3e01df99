//! No keychain: the build has none, or the system. The name still exists, and says so.

use super::entry::Entry;
use crate::{error::KeychainCause, proto::foreign::Foreign, secret::Secret};

/// There is none.
pub(super) enum Keychain {}

pub(super) fn connect() -> Result<Keychain, KeychainCause> {
    Err(KeychainCause::Absent(Foreign::new(
        "this build knows no keychain of this system",
    )))
}

pub(super) fn probe() -> Result<(), KeychainCause> {
    connect().map(drop)
}

pub(super) fn read(
    keychain: &Keychain,
    _entry: &Entry,
) -> Result<Option<Secret<String>>, KeychainCause> {
    match *keychain {}
}

pub(super) fn delete(keychain: &Keychain, _entry: &Entry) -> Result<(), KeychainCause> {
    match *keychain {}
}

pub(super) fn write(
    keychain: &Keychain,
    _entry: &Entry,
    _text: &Secret<String>,
) -> Result<(), KeychainCause> {
    match *keychain {}
}
