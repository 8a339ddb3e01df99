//! macOS: the login keychain. The program that made an entry reads it without a question.

use std::sync::Arc;

use apple_native_keyring_store::keychain::Store;
use keyring_core::{Error, api::CredentialStore};

use crate::{error::KeychainCause, proto::foreign::Foreign, store::key::KEYCHAIN_SERVICE};

/// This keychain takes none that we would give.
pub(super) const MODIFIERS: &[(&str, &str)] = &[];

/// An account that no store has: its id is a number.
const NOBODY: &str = "nobody";

pub(super) fn connect() -> Result<Arc<CredentialStore>, KeychainCause> {
    let store: Arc<Store> = Store::new().map_err(|error| cause(&error))?;
    Ok(store)
}

/// Looks for an entry that there is not.
pub(super) fn probe() -> Result<(), KeychainCause> {
    let keychain = connect()?;
    let entry = keychain.build(KEYCHAIN_SERVICE, NOBODY, None);
    match entry.and_then(|entry| entry.get_credential().map(drop)) {
        Ok(()) | Err(Error::NoEntry) => Ok(()),
        Err(error) => Err(cause(&error)),
    }
}

/// By the codes of `SecBase.h`.
pub(super) fn cause(error: &Error) -> KeychainCause {
    let (Error::PlatformFailure(source) | Error::NoStorageAccess(source)) = error else {
        return KeychainCause::Failed(Foreign::new(&error.to_string()));
    };
    let code = source.downcast_ref::<security_framework::base::Error>();
    let why = Foreign::new(&source.to_string());
    match code.map(|error| error.code()) {
        // errSecNotAvailable, errSecNoSuchKeychain, errSecInvalidKeychain
        Some(-25291 | -25294 | -25295) => KeychainCause::Absent(why),
        // errSecInteractionNotAllowed, errSecInteractionRequired: locked, with nobody at the screen
        Some(-25308 | -25315) => KeychainCause::Locked(why),
        // errSecUserCanceled, errSecAuthFailed, errSecInvalidOwnerEdit, errSecReadOnly, wrPermErr
        Some(-128 | -25293 | -25244 | -25292 | -61) => KeychainCause::Denied(why),
        _ => KeychainCause::Failed(why),
    }
}
