//! macOS: the login keychain. The program that created an entry can read it without a prompt.

use std::sync::Arc;

use apple_native_keyring_store::keychain::Store;
use keyring_core::{Error, api::CredentialStore};
use mcp_oauth_support::UntrustedText;

use crate::{error::KeychainErrorKind, store::key::KEYCHAIN_SERVICE};

/// This keychain needs no modifiers.
pub(super) const MODIFIERS: &[(&str, &str)] = &[];

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

/// Returns the kind of an error, by the codes of `SecBase.h`.
pub(super) fn cause(error: &Error) -> KeychainErrorKind {
    let (Error::PlatformFailure(source) | Error::NoStorageAccess(source)) = error else {
        return KeychainErrorKind::Failed(UntrustedText::new(&error.to_string()));
    };
    let code = source.downcast_ref::<security_framework::base::Error>();
    let why = UntrustedText::new(&source.to_string());
    match code.map(|error| error.code()) {
        // errSecNotAvailable, errSecNoSuchKeychain, errSecInvalidKeychain
        Some(-25291 | -25294 | -25295) => KeychainErrorKind::Absent(why),
        // errSecInteractionNotAllowed, errSecInteractionRequired: locked, and no prompt can be shown
        Some(-25308 | -25315) => KeychainErrorKind::Locked(why),
        // errSecUserCanceled, errSecAuthFailed, errSecInvalidOwnerEdit, errSecReadOnly, wrPermErr
        Some(-128 | -25293 | -25244 | -25292 | -61) => KeychainErrorKind::Denied(why),
        _ => KeychainErrorKind::Failed(why),
    }
}
