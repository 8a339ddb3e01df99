//! Linux: the Secret Service of the D-Bus session (GNOME Keyring, KDE Wallet).

use std::{error::Error as _, sync::Arc};

use keyring_core::{Error, api::CredentialStore};
use mcp_oauth_support::UntrustedText;
use secret_service::{EncryptionType, blocking::SecretService};
use zbus_secret_service_keyring_store::Store;

use crate::error::KeychainErrorKind;

/// The label that the user sees in the list of the keychain.
pub(super) const MODIFIERS: &[(&str, &str)] = &[("label", "Key of an MCP token store")];

/// The D-Bus error of a refusal by policy.
const ACCESS_DENIED: &str = "org.freedesktop.DBus.Error.AccessDenied";

/// Connects to the keychain. One that does not respond is treated as absent.
pub(super) fn connect() -> Result<Arc<CredentialStore>, KeychainErrorKind> {
    let store: Arc<Store> = Store::new().map_err(|error| absent(cause(&error)))?;
    Ok(store)
}

/// Checks the collection that a new entry would be stored in. Reading a missing entry would prove nothing:
/// a locked collection responds in the same way.
pub(super) fn probe() -> Result<(), KeychainErrorKind> {
    // Nothing secret is sent.
    let service = SecretService::connect(EncryptionType::Plain)
        .map_err(|error| absent(service_cause(&error)))?;
    let collection = service.get_default_collection();
    let locked = collection.and_then(|collection| collection.is_locked());
    if locked.map_err(|error| service_cause(&error))? {
        return Err(service_cause(&secret_service::Error::Locked));
    }
    Ok(())
}

fn absent(cause: KeychainErrorKind) -> KeychainErrorKind {
    match cause {
        KeychainErrorKind::Failed(why) => KeychainErrorKind::Absent(why),
        other => other,
    }
}

pub(super) fn cause(error: &Error) -> KeychainErrorKind {
    match error {
        Error::PlatformFailure(source) | Error::NoStorageAccess(source) => {
            let found = source.downcast_ref().map(service_cause);
            found.unwrap_or_else(|| failed(error))
        }
        _ => failed(error),
    }
}

fn service_cause(error: &secret_service::Error) -> KeychainErrorKind {
    use secret_service::Error;

    let because = |why: &str| UntrustedText::new(why);
    match error {
        Error::Unavailable => KeychainErrorKind::Absent(because(
            "there is no Secret Service on the D-Bus session, or no such session",
        )),
        Error::NoResult => {
            KeychainErrorKind::Absent(because("the Secret Service has no default keyring"))
        }
        Error::Locked => KeychainErrorKind::Locked(because("its default keyring is locked")),
        Error::Prompt | Error::PromptDisconnected => {
            KeychainErrorKind::Locked(because("its prompt was dismissed, or could not be shown"))
        }
        error if is_refusal(error) => {
            KeychainErrorKind::Denied(UntrustedText::new(&error.to_string()))
        }
        error => failed(error),
    }
}

/// Returns whether D-Bus itself denied access, somewhere in the chain of errors.
fn is_refusal(error: &secret_service::Error) -> bool {
    std::iter::successors(error.source(), |error| (*error).source())
        .any(|error| error.to_string().starts_with(ACCESS_DENIED))
}

fn failed(error: &impl std::error::Error) -> KeychainErrorKind {
    KeychainErrorKind::Failed(UntrustedText::new(&error.to_string()))
}
