//! Stores of [mcp-client-oauth](https://docs.rs/mcp-client-oauth): encrypted files with a key from the
//! keychain, memory, and the trait of a store of your own.
//!
//! A [`Backend`] keeps secret bytes by name and does not interpret them; `TokenStore` of `mcp-client-oauth`
//! makes logins of them. An application needs this crate only to select a store in more detail than
//! `TokenStore::open("auto:")` does, or to write one.
//!
//! | item | what it does |
//! |---|---|
//! | [`Backend`] | the trait of a store that several processes or hosts share |
//! | [`SimpleStore`], [`OneProcess`] | makes a store of four functions, for one process |
//! | [`EncryptedFileStore`], [`KeySource`] | encrypted files, and where their key comes from |
//! | [`auto`] | selects the best local store of this machine |
//! | [`copy`] | moves all entries to another store |
//! | [`MemoryBackend`] | a store that ends with the process |
//! | [`read_keychain_entry`] | reads an entry of another application, to move its logins |

use std::sync::Arc;

#[cfg(feature = "encrypted-file")]
mod auto_select;
mod backend;
#[cfg(feature = "encrypted-file")]
mod encrypted;
mod error;
mod expiry;
#[cfg(feature = "encrypted-file")]
mod file_lock;
#[cfg(feature = "encrypted-file")]
mod hex;
#[cfg(feature = "encrypted-file")]
mod key;
#[cfg(feature = "encrypted-file")]
mod keychain;
mod listing;
mod memory;
mod migration;
mod names;
mod one_process;
mod process_locks;

#[cfg(feature = "encrypted-file")]
pub use auto_select::{AutoOptions, SelectionReason, StoreSelection, auto, key_kinds};
pub use backend::{Backend, Entry, LockGuard, Revision, StoredEntry};
#[cfg(feature = "encrypted-file")]
pub use encrypted::EncryptedFileStore;
pub use error::{KeychainErrorKind, TokenStorageError};
#[cfg(feature = "encrypted-file")]
pub use key::{KeyKind, KeySource};
#[cfg(feature = "encrypted-file")]
pub use keychain::read_keychain_entry;
pub use listing::all_names;
pub use mcp_oauth_support::Secret;
pub use memory::MemoryBackend;
pub use migration::{ConflictPolicy, MigrationCopy, MigrationError, Skipped, copy};
pub use names::{NamePage, NameQuery, account_of};
pub use one_process::{OneProcess, SimpleStore};

/// Opens a back end from the text after the colon of a store spec.
type OpenBackend = fn(&str) -> Result<Arc<dyn Backend>, TokenStorageError>;

/// All back ends of this crate: the name in `name:rest`, and the function that opens it.
const BACKENDS: &[(&str, OpenBackend)] = &[
    #[cfg(feature = "encrypted-file")]
    ("auto", auto_select::backend::open),
    #[cfg(feature = "encrypted-file")]
    ("file", encrypted::open),
    #[cfg(feature = "keychain")]
    ("keychain", encrypted::open_with_keychain),
    ("memory", memory::open),
];

/// Opens the store `name:rest`, such as `memory:`, `auto:` or `file:/home/me/tokens`.
///
/// `auto:` (or `auto:/a/directory`) is the best local store of this machine, selected as [`auto`] does: a
/// store that exists opens with its kind of key; for a new one the key is selected on the first write, in
/// the keychain if one is available, else in a file, which is logged as a warning.
///
/// # Errors
/// [`TokenStorageError::UnknownBackend`], or the error of the back end.
pub fn open(spec: &str) -> Result<Arc<dyn Backend>, TokenStorageError> {
    let (name, rest) = spec.split_once(':').unwrap_or((spec, ""));
    let found = BACKENDS.iter().find(|(known, _)| *known == name);
    let (_, open) = found.ok_or_else(|| TokenStorageError::UnknownBackend(name.to_owned()))?;
    open(rest)
}
