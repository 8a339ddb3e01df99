//! Another key for a store that exists: its master key is wrapped anew, and no record is touched.
//!
//! ```text
//! new key kept -> read back -> store.json replaced -> old key removed
//! ```
//! The third step is the one moment of the change. Whenever this ends before it, the store opens
//! with the old key, and with the new one after it: the two are never in the same place.

use std::sync::Arc;

use super::{
    directory::STORE_FILE,
    files::{Files, Turn, existing},
    header::{Parameters, StoreHeader},
    master::{self, Opened},
};
use crate::{error::TokenStorageError, store::key::KeySource};

/// Gives the store the key that comes from `to`; makes it, if there is none.
pub(super) fn rekey(
    files: &Files,
    turn: &Turn,
    to: &KeySource,
) -> Result<Arc<Opened>, TokenStorageError> {
    let directory = &files.directory;
    let Some(old) = existing(directory)? else {
        return files.created(turn, to).map(Arc::new);
    };
    // Not what this process may know by heart: whoever was given another key since, by somebody
    // else, must not have that undone by who has the old one.
    let opened = Arc::new(master::open(directory, &old, &files.source)?);
    files.remember(&opened);
    let parameters = old.parameters.changed(to)?;
    let text = wrapped_anew(files, parameters, to, &opened)?;
    // If this fails, it may have happened in spite of that: neither key can be removed.
    directory.replace(STORE_FILE, &text)?;
    master::remove_key(directory, &old.parameters);
    Ok(opened)
}

/// Returns the new `store.json`, which the new source opens.
fn wrapped_anew(
    files: &Files,
    parameters: Parameters,
    to: &KeySource,
    opened: &Opened,
) -> Result<Vec<u8>, TokenStorageError> {
    let directory = &files.directory;
    let key = master::new_key(directory, &parameters, to)?;
    let new = parameters.seal(&opened.master, &key)?;
    let text = new.text()?;
    // As whoever opens the store next will do it.
    let read_back = StoreHeader::parse(&text, &directory.file(STORE_FILE))
        .and_then(|header| master::open(directory, &header, to));
    if let Err(failure) = read_back {
        master::remove_key(directory, &new.parameters);
        return Err(failure);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Backend as _, EncryptedFileStore};

    /// Readers take no lock: the key that they were about to read may be gone.
    #[tokio::test]
    async fn who_is_overtaken_by_a_change_fetches_the_new_key() {
        let home = tempfile::tempdir().unwrap();
        let open = || EncryptedFileStore::open(home.path(), KeySource::KeyFile).unwrap();
        let (files, reader) = (open(), open());
        files.check_writable().await.unwrap();
        let read = existing(&reader.0.directory).unwrap().unwrap();
        files.rekey(KeySource::KeyFile).await.unwrap();
        let fetched = reader.0.fetched(read.clone()).unwrap();
        assert!(fetched.id == read.parameters.id);
    }
}
