//! Moving everything from one store to another, so that an interruption at any point loses nothing
//! and a second try finishes it.
//!
//! What back ends keep is bytes by name, and bytes are what is moved: logins and registrations
//! alike, and no version of them is understood here. Each is copied under its locks in both stores
//! and read back; only when all of them are there are the originals deleted, each if it is still
//! what was copied.

use super::{Backend, LockGuard, Revision, StoredEntry, TokenStore, client_name};
use crate::{
    error::TokenStorageError,
    proto::{server_metadata::Issuer, untrusted_text::UntrustedText},
    store::LoginKey,
};

/// Holds what becomes of a login that the other store has too, with other tokens.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum ConflictPolicy {
    /// It stays, and nothing is moved.
    #[default]
    Refuse,
    /// It is replaced.
    Replace,
}

/// Says why not everything was moved. What was not read back from the other store is still in this one.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// The other store has these logins too, with other tokens, and one of each has to go.
    #[error("the other store has other tokens for {}", .0.join(", "))]
    Different(Vec<String>),
    /// One of the stores failed.
    #[error(transparent)]
    Storage(#[from] TokenStorageError),
}

/// Something that cannot be moved, and stays where it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Skipped {
    /// TargetArgs login or registration it is, in words.
    pub what: String,
    /// Says why it cannot be moved.
    pub error: TokenStorageError,
}

/// Proof that everything in one store that can be read was read back from another: only this
/// deletes the originals.
#[derive(Debug)]
#[must_use = "the originals are still there"]
pub struct MigrationCopy {
    from: TokenStore,
    to: TokenStore,
    existing: ConflictPolicy,
    copies: Vec<CopiedEntry>,
    left: Vec<Skipped>,
}

/// One content, in both stores.
#[derive(Debug)]
struct CopiedEntry {
    name: String,
    original: Revision,
    copy: Revision,
}

/// Holds what became of one name.
enum Outcome {
    Copied(CopiedEntry),
    /// It was deleted in between.
    Gone,
    Different,
    Left(TokenStorageError),
}

impl TokenStore {
    /// Copies everything to `other`, which must be another store. What `other` has already, from an
    /// earlier try, is fine; a registration that it has keeps its place, because each login has its
    /// client in it.
    ///
    /// # Errors
    /// [`MigrationError`]; nothing is deleted then.
    pub async fn copy_to(
        &self,
        other: &Self,
        existing: ConflictPolicy,
    ) -> Result<MigrationCopy, MigrationError> {
        let mut copied = MigrationCopy {
            from: self.clone(),
            to: other.clone(),
            existing,
            copies: Vec::new(),
            left: Vec::new(),
        };
        let mut names = self.backend.names().await?;
        names.sort_unstable();
        let mut different = Vec::new();
        for name in names {
            match copied.copy(&name, None).await? {
                Outcome::Copied(twin) => copied.copies.push(twin),
                Outcome::Gone => {}
                Outcome::Different => different.push(shown(&name)),
                Outcome::Left(error) => copied.leave(&name, error),
            }
        }
        if different.is_empty() {
            Ok(copied)
        } else {
            Err(MigrationError::Different(different))
        }
    }
}

impl MigrationCopy {
    /// Returns how many logins are in both stores now.
    pub fn logins(&self) -> usize {
        self.copies.len() - self.registrations()
    }

    /// Returns how many client registrations are.
    pub fn registrations(&self) -> usize {
        let names = self.copies.iter().map(|twin| &twin.name);
        names.filter(|name| is_registration(name)).count()
    }

    /// Returns what cannot be moved.
    pub fn left(&self) -> &[Skipped] {
        &self.left
    }

    /// Deletes the originals. One that was changed since is copied again first. Gives back what
    /// cannot be moved.
    ///
    /// # Errors
    /// [`MigrationError`]: the originals that are not deleted yet are still there, and a second try
    /// finishes it.
    pub async fn delete_originals(mut self) -> Result<Vec<Skipped>, MigrationError> {
        for twin in std::mem::take(&mut self.copies) {
            let mut current = Some(twin);
            while let Some(twin) = current {
                current = self.delete(twin).await?;
            }
        }
        Ok(self.left)
    }

    /// Deletes the original of `twin`, or copies it again.
    async fn delete(&mut self, twin: CopiedEntry) -> Result<Option<CopiedEntry>, MigrationError> {
        let CopiedEntry {
            name,
            original,
            copy,
        } = twin;
        let deleted = {
            let _held = self.from.backend.lock(&name).await?;
            self.from.backend.delete(&name, Some(original)).await
        };
        match deleted {
            Ok(_) => return Ok(None),
            Err(TokenStorageError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        match self.copy(&name, Some(copy)).await? {
            Outcome::Copied(again) => Ok(Some(again)),
            Outcome::Gone => Ok(None),
            Outcome::Different => Err(MigrationError::Different(vec![shown(&name)])),
            Outcome::Left(error) => {
                self.leave(&name, error);
                Ok(None)
            }
        }
    }

    fn leave(&mut self, name: &str, error: TokenStorageError) {
        let what = shown(name);
        self.left.push(Skipped { what, error });
    }

    /// Copies what is kept under `name`, over a copy of ours if there is one. Whoever changes it
    /// holds its lock, so nobody is in the middle of a refresh here or there.
    async fn copy(&self, name: &str, ours: Option<Revision>) -> Result<Outcome, TokenStorageError> {
        let (from, to) = (&*self.from.backend, &*self.to.backend);
        let held = from.lock(name).await?;
        let original = match from.get(name).await {
            Ok(Some(original)) => original,
            Ok(None) => return Ok(Outcome::Gone),
            Err(error) if is_damage(&error) => return Ok(Outcome::Left(error)),
            Err(error) => return Err(error),
        };
        let held_there = to.lock(name).await?;
        let there = match to.get(name).await {
            Ok(there) => there,
            Err(error) if is_damage(&error) => {
                if self.existing == ConflictPolicy::Refuse {
                    return Ok(Outcome::Different);
                }
                to.delete(name, None).await?;
                None
            }
            Err(error) => return Err(error),
        };
        let copy = match there {
            Some(there) if there.bytes == original.bytes => there.revision,
            Some(there) if !self.may_replace(&there, ours) => {
                if !is_registration(name) {
                    return Ok(Outcome::Different);
                }
                there.revision
            }
            there => match write(to, name, there, &original).await {
                Err(error @ TokenStorageError::TooLarge { .. }) => return Ok(Outcome::Left(error)),
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

    fn may_replace(&self, there: &StoredEntry, ours: Option<Revision>) -> bool {
        self.existing == ConflictPolicy::Replace || ours == Some(there.revision)
    }
}

/// Writes `original` in the place of what is there, and reads it back.
async fn write(
    to: &dyn Backend,
    name: &str,
    there: Option<StoredEntry>,
    original: &StoredEntry,
) -> Result<Revision, TokenStorageError> {
    let there = there.map(|there| there.revision);
    let revision = to.put(name, there, &original.bytes).await?;
    match to.get(name).await? {
        Some(kept) if kept.revision == revision && kept.bytes == original.bytes => Ok(revision),
        _ => Err(TokenStorageError::Corrupt {
            place: shown(name),
            why: "it did not come back from the other store as it was written",
        }),
    }
}

/// A refresh token that may be spent may be spent in the other store too (H104, H105).
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

/// Returns whether an error is about one record, which may hide no other.
fn is_damage(error: &TokenStorageError) -> bool {
    matches!(
        error,
        TokenStorageError::Corrupt { .. } | TokenStorageError::UnsupportedVersion { .. }
    )
}

/// Returns what is before the issuer in the name of each registration.
fn registration_prefix() -> String {
    client_name(&Issuer::new(""))
}

fn is_registration(name: &str) -> bool {
    name.starts_with(&registration_prefix())
}

/// TargetArgs login or registration a name is.
fn shown(name: &str) -> String {
    match (
        LoginKey::from_name(name),
        name.strip_prefix(&registration_prefix()),
    ) {
        (Some(key), _) => UntrustedText::new(&key.to_string()).to_string(),
        (None, Some(issuer)) => format!("the client at {}", UntrustedText::new(issuer)),
        (None, None) => UntrustedText::new(name).to_string(),
    }
}
