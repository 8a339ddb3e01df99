//! What the index is good for: lists that open no record, and writers that keep it true.

use std::{collections::HashMap, sync::atomic::Ordering};

use super::{
    files::{Files, Turn, file_name},
    names::{self, Change, Found},
};
use crate::error::TokenStorageError;

/// In a store with no more records than this, a list also looks which files there are: one that a
/// person copied back is found, and one that a person removed is not named. With more, reading the
/// directory would take too long.
const FEW: usize = 1000;

impl Files {
    /// The name of each record, also of one that cannot be read: whoever wants it will be told why.
    pub(super) fn names(&self) -> Result<Vec<String>, TokenStorageError> {
        if !self.directory.exists()? {
            return Ok(Vec::new());
        }
        match self.indexed()? {
            Some(names) if names.len() > FEW => Ok(names),
            few_or_none => self.in_directory(few_or_none.unwrap_or_default()),
        }
    }

    /// The names in the index; none if it is missing or damaged.
    fn indexed(&self) -> Result<Option<Vec<String>>, TokenStorageError> {
        let names = match names::read(&self.directory)? {
            Found::Missing => return Ok(None),
            Found::Damaged => None,
            Found::Listing(listing) => listing.names(|name| self.is_there(name))?,
        };
        if names.is_none() && !self.index_is_damaged.swap(true, Ordering::Relaxed) {
            let path = self.directory.file(names::FILE);
            tracing::warn!(
                "{} is damaged; the next change makes it anew",
                path.display()
            );
        }
        Ok(names)
    }

    /// The names of the records whose files are there. Files of `known` names are not opened; one
    /// that is damaged and has no known name hides no other.
    fn in_directory(&self, known: Vec<String>) -> Result<Vec<String>, TokenStorageError> {
        let by_file = |name: String| (file_name(&name), name);
        let mut known: HashMap<String, String> = known.into_iter().map(by_file).collect();
        let name = |file: String| match known.remove(&file) {
            Some(name) => Some(name),
            None => self.name_in(&file).unwrap_or_else(|error| {
                tracing::warn!("a record is passed over: {error}");
                None
            }),
        };
        Ok(self.record_files()?.into_iter().filter_map(name).collect())
    }

    /// Puts into the index what is about to happen to a record, durably.
    pub(super) fn announce(
        &self,
        _turn: &Turn,
        change: Change,
        name: &str,
    ) -> Result<(), TokenStorageError> {
        let anew = match self.to_write_anew(change)? {
            Some(names) => names,
            None if self.append(change, name)? => return Ok(()),
            // It is missing, or damaged: never is an empty one begun beside records (H144).
            None => self.in_directory(Vec::new())?,
        };
        names::write(&self.directory, &anew, change, name)?;
        self.index_is_damaged.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn append(&self, change: Change, name: &str) -> Result<bool, TokenStorageError> {
        names::append(&self.directory, change, name, |name| self.is_there(name))
    }

    /// All names, if the index is to be written anew. Only removals make it longer than it need be,
    /// so only they take the time to look.
    fn to_write_anew(&self, change: Change) -> Result<Option<Vec<String>>, TokenStorageError> {
        if self.index_is_damaged.load(Ordering::Relaxed) {
            return self.in_directory(Vec::new()).map(Some);
        }
        if change == Change::Added {
            return Ok(None);
        }
        match names::read(&self.directory)? {
            Found::Listing(listing) if listing.is_wasteful() => self.indexed(),
            _ => Ok(None),
        }
    }

    fn is_there(&self, name: &str) -> Result<bool, TokenStorageError> {
        self.directory.has(&file_name(name))
    }
}
