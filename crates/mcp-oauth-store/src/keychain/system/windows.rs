//! Windows: the Credential Manager of the user, which is open as long as the user is logged in.

use std::sync::Arc;

use keyring_core::{Error, api::CredentialStore};
use mcp_oauth_support::UntrustedText;
use windows_native_keyring_store::Store;

use crate::{error::KeychainErrorKind, store::key::KEYCHAIN_SERVICE};

/// The files of the store stay on this computer, and so does their key.
pub(super) const MODIFIERS: &[(&str, &str)] = &[("persistence", "Local")];

/// An account that no store has: the accounts of stores begin with a number.
const PROBE_ACCOUNT: &str = "probe";

pub(super) fn connect() -> Result<Arc<CredentialStore>, KeychainErrorKind> {
    let store: Arc<Store> = Store::new().map_err(|error| cause(&error))?;
    Ok(store)
}

/// Looks up an entry that does not exist.
pub(super) fn probe() -> Result<(), KeychainErrorKind> {
    let keychain = connect()?;
    let entry = keychain.build(KEYCHAIN_SERVICE, PROBE_ACCOUNT, None);
    match entry.and_then(|entry| entry.get_credential().map(drop)) {
        Ok(()) | Err(Error::NoEntry) => Ok(()),
        Err(error) => Err(cause(&error)),
    }
}

pub(super) fn cause(error: &Error) -> KeychainErrorKind {
    let why = UntrustedText::new(&error.to_string());
    match error {
        // ERROR_NO_SUCH_LOGON_SESSION: a login over the network has no Credential Manager.
        Error::NoStorageAccess(_) => KeychainErrorKind::Absent(why),
        _ => KeychainErrorKind::Failed(why),
    }
}
