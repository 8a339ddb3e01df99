//! Changing the key of an existing store: its master key is wrapped again, and no record changes.
//!
//! ```text
//! new key stored -> read back -> store.json replaced -> old key removed
//! ```
//! The third step is the change. If the process dies before it, the store opens with the old key; after
//! it, with the new one. The new key never overwrites the old one.

use std::sync::Arc;

use super::{
    directory::STORE_FILE,
    files::{Files, WriteGuard, existing},
    header::{Parameters, StoreHeader},
    master_key::{self, Opened},
};
use crate::{error::TokenStorageError, key::KeySource};

/// Changes the key of the store to one from `to`. Creates the store if it does not exist.
pub(super) fn rekey(
    files: &Files,
    guard: &WriteGuard,
    to: &KeySource,
) -> Result<Arc<Opened>, TokenStorageError> {
    let directory = &files.directory;
    let Some(old) = existing(directory)? else {
        return files.created(guard, to).map(Arc::new);
    };
    // The key in memory is not used: if another process has changed the key since, this one must not
    // undo that with the old key.
    let opened = Arc::new(master_key::open(directory, &old, &files.source)?);
    files.remember(&opened);
    let parameters = old.parameters.changed(to)?;
    let text = rewrapped(files, parameters, to, &opened)?;
    // If this fails, the file may have been replaced all the same: neither key can be removed.
    directory.replace(STORE_FILE, &text)?;
    master_key::remove_key(directory, &old.parameters);
    Ok(opened)
}

/// Returns the new `store.json`, which the new source opens.
fn rewrapped(
    files: &Files,
    parameters: Parameters,
    to: &KeySource,
    opened: &Opened,
) -> Result<Vec<u8>, TokenStorageError> {
    let directory = &files.directory;
    let key = master_key::new_key(directory, &parameters, to)?;
    let new = parameters.wrap(&opened.master, &key)?;
    let text = new.text()?;
    // Opens it as the next process will.
    let read_back = StoreHeader::parse(&text, &directory.file(STORE_FILE))
        .and_then(|header| master_key::open(directory, &header, to));
    if let Err(failure) = read_back {
        master_key::remove_key(directory, &new.parameters);
        return Err(failure);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Backend as _, EncryptedFileStore};

    /// Readers take no lock: the key that they were about to read may be removed.
    #[tokio::test]
    async fn a_reader_during_a_key_change_fetches_the_new_key() {
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
