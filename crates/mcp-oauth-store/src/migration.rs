//! Moves all entries from one store to another. An interruption at any point loses nothing, and a second
//! run finishes the migration.
//!
//! A back end stores bytes by name, and this module moves bytes: logins and registrations alike, of any
//! format version. Each entry is copied while it is locked in both stores, and read back. Only when all
//! entries are copied are the originals deleted, each if it has not changed since.

use std::sync::Arc;

use crate::{
    Backend, LockGuard, NameQuery, Revision, StoredEntry, TokenStorageError, all_names,
    names::{describe, is_login, is_registration},
};

/// The treatment of a login that the other store has too, with other tokens.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum ConflictPolicy {
    /// It is an error, and nothing is moved.
    #[default]
    Refuse,
    /// It is replaced.
    Replace,
}

/// The reason why the migration failed. An entry that was not read back from the other store is still in
/// this one.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// The other store has these logins too, with other tokens.
    #[error("the other store has other tokens for {}", .0.join(", "))]
    Different(Vec<String>),
    /// One of the stores failed.
    #[error(transparent)]
    Storage(#[from] TokenStorageError),
}

/// An entry that cannot be moved, and stays in its store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Skipped {
    /// The login or registration, in words.
    pub what: String,
    /// The reason.
    pub error: TokenStorageError,
}

/// The proof that every readable entry of one store was copied to another and read back. Only this deletes
/// the originals.
#[derive(Debug)]
#[must_use = "the originals are still there"]
pub struct MigrationCopy {
    from: Arc<dyn Backend>,
    to: Arc<dyn Backend>,
    existing: ConflictPolicy,
    copies: Vec<CopiedEntry>,
    /// The number of logins that are in both stores now.
    pub logins: usize,
    /// The number of client registrations that are in both stores now.
    pub registrations: usize,
    /// The entries that cannot be moved.
    pub skipped: Vec<Skipped>,
}

/// The revisions of one entry in both stores.
#[derive(Debug)]
struct CopiedEntry {
    name: String,
    original: Revision,
    copy: Revision,
}

/// The result for one name.
enum Outcome {
    Copied(CopiedEntry),
    /// It was deleted in between.
    Gone,
    Different,
    Skipped(TokenStorageError),
}

/// Copies all entries of `from` to `to`, which must be another store. Entries that an earlier run copied are
/// accepted. A registration that `to` has already is kept, because each login has its own client.
///
/// # Errors
/// [`MigrationError`]; nothing is deleted then.
pub async fn copy(
    from: &Arc<dyn Backend>,
    to: &Arc<dyn Backend>,
    existing: ConflictPolicy,
) -> Result<MigrationCopy, MigrationError> {
    let mut copied = MigrationCopy {
        from: Arc::clone(from),
        to: Arc::clone(to),
        existing,
        copies: Vec::new(),
        logins: 0,
        registrations: 0,
        skipped: Vec::new(),
    };
    let names = all_names(&**from, NameQuery::default()).await?;
    let mut different = Vec::new();
    for name in names {
        match copied.copy(&name, None).await? {
            Outcome::Copied(entry) => copied.copies.push(entry),
            Outcome::Gone => {}
            Outcome::Different => different.push(describe(&name)),
            Outcome::Skipped(error) => copied.skip(&name, error),
        }
    }
    if !different.is_empty() {
        return Err(MigrationError::Different(different));
    }
    // Pending logins, and entries of the application, are moved too and are neither.
    let count = |is_kind: fn(&str) -> bool| {
        let entries = copied.copies.iter();
        entries.filter(|entry| is_kind(&entry.name)).count()
    };
    (copied.logins, copied.registrations) = (count(is_login), count(is_registration));
    Ok(copied)
}

impl MigrationCopy {
    /// Deletes the originals, and returns the entries that cannot be moved. An original that has changed
    /// since is copied again first.
    ///
    /// # Errors
    /// [`MigrationError`]: the remaining originals are still there, and a second run finishes the
    /// migration.
    pub async fn delete_originals(mut self) -> Result<Vec<Skipped>, MigrationError> {
        for entry in std::mem::take(&mut self.copies) {
            let mut current = Some(entry);
            while let Some(entry) = current {
                current = self.delete(entry).await?;
            }
        }
        Ok(self.skipped)
    }

    /// Deletes the original of `entry`, or copies it again.
    async fn delete(&mut self, entry: CopiedEntry) -> Result<Option<CopiedEntry>, MigrationError> {
        let CopiedEntry {
            name,
            original,
            copy,
        } = entry;
        let deleted = {
            let _held = self.from.lock(&name).await?;
            self.from.delete(&name, Some(original)).await
        };
        match deleted {
            Ok(_) => return Ok(None),
            Err(TokenStorageError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        match self.copy(&name, Some(copy)).await? {
            Outcome::Copied(again) => Ok(Some(again)),
            Outcome::Gone => Ok(None),
            Outcome::Different => Err(MigrationError::Different(vec![describe(&name)])),
            Outcome::Skipped(error) => {
                self.skip(&name, error);
                Ok(None)
            }
        }
    }

    fn skip(&mut self, name: &str, error: TokenStorageError) {
        let what = describe(name);
        self.skipped.push(Skipped { what, error });
    }

    /// Copies the content of `name`, and replaces an earlier copy if there is one. Both locks are held: then
    /// no refresh is in progress in either store.
    async fn copy(
        &self,
        name: &str,
        own_copy: Option<Revision>,
    ) -> Result<Outcome, TokenStorageError> {
        let (from, to) = (&*self.from, &*self.to);
        let held = from.lock(name).await?;
        let original = match from.get(name).await {
            Ok(Some(original)) => original,
            Ok(None) => return Ok(Outcome::Gone),
            Err(error) if is_about_record(&error) => return Ok(Outcome::Skipped(error)),
            Err(error) => return Err(error),
        };
        let held_there = to.lock(name).await?;
        let there = match to.get(name).await {
            Ok(there) => there,
            Err(error) if is_about_record(&error) => {
                if self.existing == ConflictPolicy::Refuse {
                    return Ok(Outcome::Different);
                }
                to.delete(name, None).await?;
                None
            }
            Err(error) => return Err(error),
        };
        let copy = match there {
            Some(there) if there.entry.bytes == original.entry.bytes => there.revision,
            Some(there) if !self.may_replace(&there, own_copy) => {
                if !is_registration(name) {
                    return Ok(Outcome::Different);
                }
                there.revision
            }
            there => match write(to, name, there, &original).await {
                Err(error @ TokenStorageError::TooLarge { .. }) => {
                    return Ok(Outcome::Skipped(error));
                }
                written => written?,
            },
        };
        pass_note(&*held, original.revision, &*held_there, copy).await?;
        Ok(Outcome::Copied(CopiedEntry {
            name: name.to_owned(),
            original: original.revision,
            copy,
        }))
    }

    fn may_replace(&self, there: &StoredEntry, own_copy: Option<Revision>) -> bool {
        self.existing == ConflictPolicy::Replace || own_copy == Some(there.revision)
    }
}

/// Replaces the entry by `original`, and reads it back.
async fn write(
    to: &dyn Backend,
    name: &str,
    there: Option<StoredEntry>,
    original: &StoredEntry,
) -> Result<Revision, TokenStorageError> {
    let there = there.map(|there| there.revision);
    let revision = to.put(name, there, &original.entry).await?;
    match to.get(name).await? {
        Some(kept) if kept.revision == revision && kept.entry.bytes == original.entry.bytes => {
            Ok(revision)
        }
        _ => Err(TokenStorageError::Corrupt {
            location: describe(name),
            why: "the other store did not return it as it was written",
        }),
    }
}

/// Copies the note of an interrupted refresh: the copied refresh token may be used up too
/// (docs/hostile.md H104, H105).
async fn pass_note(
    held: &dyn LockGuard,
    original: Revision,
    held_there: &dyn LockGuard,
    copy: Revision,
) -> Result<(), TokenStorageError> {
    if held.pending_revision() == Some(original) {
        held_there.mark_refresh_started(copy).await?;
    }
    Ok(())
}

/// Returns whether an error is about one record only, which must not stop the migration of the others.
fn is_about_record(error: &TokenStorageError) -> bool {
    matches!(
        error,
        TokenStorageError::Corrupt { .. } | TokenStorageError::UnsupportedVersion { .. }
    )
}
