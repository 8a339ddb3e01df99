//! The keychain entry of one store.

use crate::error::KeychainErrorKind;

/// The entry with the key of one store. Its account begins with the random ID of the store, so that no two
/// stores of a user share a key, or overwrite each other's.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) service: String,
    pub(crate) account: String,
}

impl Entry {
    pub(crate) fn gone(&self) -> KeychainErrorKind {
        let Self { service, account } = self.clone();
        KeychainErrorKind::EntryGone { service, account }
    }

    pub(crate) fn other_key(&self) -> KeychainErrorKind {
        let Self { service, account } = self.clone();
        KeychainErrorKind::OtherKey { service, account }
    }
}
