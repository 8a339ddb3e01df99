//! The operations on the files of a store. Everything here blocks.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use aws_lc_rs::digest;
use mcp_oauth_support::UntrustedText;
use tokio::sync::OwnedMutexGuard;

use super::{
    directory::{self, Directory, OLD_RECORD_END, RECORD_END},
    header::StoreHeader,
    known_records::KnownRecords,
    master_key::{self, Opened},
    record::{self, MAX_FILE, RecordError, RecordHeader},
};
use crate::{
    Entry, NamePage, NameQuery, Revision, StoredEntry,
    error::TokenStorageError,
    expiry::Expiry,
    file_lock::FileLock,
    hex::Hex,
    key::{KeySource, random},
};

/// A store and its state in this process.
pub(super) struct Files {
    pub(super) directory: Directory,
    pub(super) source: KeySource,
    /// The key, once it is used. It is fetched under this lock, so once only.
    key: Mutex<Key>,
    /// The number of times that fetching the key failed.
    failures: AtomicU64,
    /// Held while a task of this process writes, so that the others need not poll the lock of the
    /// directory.
    pub(super) writer: Arc<tokio::sync::Mutex<()>>,
    /// Says whether unfinished files of dead processes were removed. Once is enough, because this process
    /// removes its own.
    swept: AtomicBool,
    /// The first lines of the records, as this process last read them.
    known: KnownRecords,
}

/// The key of a store, or the error of fetching it: the callers that waited for an attempt get its error,
/// so that a keychain asks the user once, and not once for each caller.
#[derive(Default)]
struct Key {
    opened: Option<Arc<Opened>>,
    failure: Option<TokenStorageError>,
}

/// The permission to change files: held by one task of one process at a time.
#[derive(Debug)]
pub(super) struct WriteGuard {
    pub(super) _in_process: OwnedMutexGuard<()>,
    pub(super) _across_processes: FileLock,
}

impl Files {
    pub(super) fn new(directory: Directory, source: KeySource) -> Self {
        Self {
            directory,
            source,
            key: Mutex::default(),
            failures: AtomicU64::new(0),
            writer: Arc::default(),
            swept: AtomicBool::new(false),
            known: KnownRecords::default(),
        }
    }

    /// Returns a store with a key that is known.
    pub(super) fn known(directory: Directory, source: KeySource, opened: &Arc<Opened>) -> Self {
        let files = Self::new(directory, source);
        files.remember(opened);
        files
    }

    /// Keeps the key of this store, whatever happens to the source that it came from.
    pub(super) fn remember(&self, opened: &Arc<Opened>) {
        self.key().opened = Some(Arc::clone(opened));
    }

    /// Returns the store and its key, if there is a store. `store.json` is read each time: it is small, and
    /// the directory may have been removed and created again.
    pub(super) fn opened(&self) -> Result<Option<Arc<Opened>>, TokenStorageError> {
        let Some(header) = existing(&self.directory)? else {
            return Ok(None);
        };
        let failures = self.failures.load(Ordering::SeqCst);
        let mut key = self.key();
        match (&key.opened, &key.failure) {
            (Some(known), _) if known.id == header.parameters.id => {
                return Ok(Some(Arc::clone(known)));
            }
            (_, Some(failure)) if self.failures.load(Ordering::SeqCst) > failures => {
                return Err(failure.clone());
            }
            _ => {}
        }
        match self.fetched(header) {
            Ok(found) => {
                key.opened = Some(Arc::new(found));
                Ok(key.opened.clone())
            }
            Err(failure) => {
                key.failure = Some(failure.clone());
                self.failures.fetch_add(1, Ordering::SeqCst);
                Err(failure)
            }
        }
    }

    /// Fetches the key, and fetches it again if another process has changed the key in between.
    pub(super) fn fetched(&self, mut header: StoreHeader) -> Result<Opened, TokenStorageError> {
        loop {
            let failure = match master_key::open(&self.directory, &header, &self.source) {
                Ok(found) => return Ok(found),
                Err(failure) => failure,
            };
            match existing(&self.directory)? {
                Some(now) if now != header => header = now,
                _ => return Err(failure),
            }
        }
    }

    fn key(&self) -> MutexGuard<'_, Key> {
        self.key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn opened_or_created(
        &self,
        guard: &WriteGuard,
    ) -> Result<Arc<Opened>, TokenStorageError> {
        if let Some(opened) = self.opened()? {
            return Ok(opened);
        }
        let created = Arc::new(self.created(guard, &self.source)?);
        self.remember(&created);
        Ok(created)
    }

    /// Creates a store in an empty directory.
    pub(super) fn created(
        &self,
        _guard: &WriteGuard,
        source: &KeySource,
    ) -> Result<Opened, TokenStorageError> {
        let has_records = !self.record_hashes()?.is_empty();
        master_key::create(&self.directory, source, has_records)
    }

    pub(super) fn get(&self, name: &str) -> Result<Option<StoredEntry>, TokenStorageError> {
        let Some(opened) = self.opened()? else {
            return match self.header(name)? {
                None => Ok(None),
                Some(_) => Err(master_key::no_parameters(&self.directory)),
            };
        };
        let most = u64::try_from(MAX_FILE).unwrap_or(u64::MAX);
        let found = find(&hash(name), |file| self.directory.read(file, most))?;
        let Some((file, content)) = found else {
            return Ok(None);
        };
        let (header, bytes) = record::decrypt(content.expose(), &opened, name)
            .map_err(|error| error.at(self.path(&file)))?;
        let expiry = header.expiry();
        if expiry.is_over() {
            return Ok(None);
        }
        let entry = Entry::new(bytes).with_lifetime(expiry.remaining());
        Ok(Some(StoredEntry::new(header.revision(), entry)))
    }

    pub(super) fn put(
        &self,
        guard: &WriteGuard,
        name: &str,
        expected: Option<Revision>,
        entry: &Entry,
    ) -> Result<Revision, TokenStorageError> {
        let opened = self.opened_or_created(guard)?;
        self.sweep_once(guard)?;
        if entry.lifetime.is_some() {
            self.remove_expired(guard)?;
        }
        self.compare(guard, name, expected)?;
        let revision = next(expected)?;
        let expiry = Expiry::after(entry.lifetime);
        let header = RecordHeader::fresh(opened.id, name, revision, expiry)?;
        let file = record::encrypt(&header, &opened.master, &entry.bytes)?.ok_or_else(|| {
            TokenStorageError::TooLarge {
                location: location(name),
                most: MAX_FILE,
            }
        })?;
        let hash = hash(name);
        self.directory.replace(&file_name(&hash), &file)?;
        // After the new file: a crash in between leaves both, and the new one is read.
        self.directory.remove_if_present(&old_file_name(&hash))?;
        Ok(revision)
    }

    /// Removes the records that have expired. A writer of records that expire does this, so that there are
    /// only as many of them as are written within one lifetime.
    fn remove_expired(&self, _guard: &WriteGuard) -> Result<(), TokenStorageError> {
        let records = self.record_hashes()?;
        self.known.retain(&records);
        for record in &records {
            if !self.known.may_have_expired(record) {
                continue;
            }
            // A corrupt record stays.
            let header = find(record, |file| self.header_in(file));
            if let Ok(Some((file, header))) = header {
                if header.expiry().is_over() {
                    self.directory.remove(&file)?;
                } else if hash(&header.name) == *record {
                    self.known.note(record, &header);
                }
            }
        }
        Ok(())
    }

    /// Removes a record. It needs no key: a user who has lost the password can still log out.
    pub(super) fn delete(
        &self,
        guard: &WriteGuard,
        name: &str,
        expected: Option<Revision>,
    ) -> Result<bool, TokenStorageError> {
        if expected.is_some() {
            self.compare(guard, name, expected)?;
        }
        let had_expired =
            matches!(self.header(name), Ok(Some(header)) if header.expiry().is_over());
        let hash = hash(name);
        // Before the new file: a crash in between must not bring back an old content.
        let old = self.directory.remove_if_present(&old_file_name(&hash))?;
        let new = self.directory.remove(&file_name(&hash))?;
        Ok((new || old) && !had_expired)
    }

    fn compare(
        &self,
        _guard: &WriteGuard,
        name: &str,
        expected: Option<Revision>,
    ) -> Result<(), TokenStorageError> {
        let found = self
            .header(name)?
            .filter(|header| !header.expiry().is_over())
            .map(|header| header.revision());
        if found == expected {
            Ok(())
        } else {
            Err(conflict(name))
        }
    }

    fn sweep_once(&self, _guard: &WriteGuard) -> Result<(), TokenStorageError> {
        if !self.swept.load(Ordering::Relaxed) {
            self.directory.sweep()?;
            self.swept.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Returns a page of the names, each from the first line of its file. A file without one is skipped with a
    /// warning, so that it does not hide the other records. The cursor is the hash of the last name.
    pub(super) fn names(&self, query: &NameQuery) -> Result<NamePage, TokenStorageError> {
        if !self.directory.exists()? {
            return Ok(NamePage::default());
        }
        let mut hashes = self.record_hashes()?;
        // A record that gets its new file name during the first listing may be missing in it under both
        // names. It has the new name in the second one.
        hashes.append(&mut self.record_hashes()?);
        let mut page = NamePage::default();
        for hash in hashes {
            if query.after.as_ref().is_some_and(|after| hash <= *after) {
                continue;
            }
            if page.names.len() == query.limit() {
                return Ok(page);
            }
            if self.known.is_of_other_account(&hash, query) {
                page.next = Some(hash);
                continue;
            }
            let name = self.name_of(&hash).unwrap_or_else(|error| {
                tracing::warn!("a record is skipped: {error}");
                None
            });
            page.names.extend(name.filter(|name| query.selects(name)));
            page.next = Some(hash);
        }
        page.next = None;
        Ok(page)
    }

    /// Returns the name in the first line of the record's file, which must have the hash `hash`; `None` if the
    /// record has expired.
    fn name_of(&self, expected: &str) -> Result<Option<String>, TokenStorageError> {
        let Some((file, header)) = find(expected, |file| self.header_in(file))? else {
            return Ok(None);
        };
        if hash(&header.name) == expected {
            self.known.note(expected, &header);
            return Ok(Some(header.name.clone()).filter(|_| !header.expiry().is_over()));
        }
        Err(RecordError::Corrupt("it is the file of another record").at(self.path(&file)))
    }

    /// Returns the hashes in the file names of the records.
    fn record_hashes(&self) -> Result<BTreeSet<String>, TokenStorageError> {
        let hash = |file: String| {
            let end = [RECORD_END, OLD_RECORD_END];
            let hash = end.iter().find_map(|end| file.strip_suffix(end));
            hash.map(ToOwned::to_owned)
        };
        let files = self.directory.files()?;
        files
            .filter_map(|file| file.map(hash).transpose())
            .collect()
    }

    /// Returns the first line of a record's file.
    fn header(&self, name: &str) -> Result<Option<RecordHeader>, TokenStorageError> {
        let Some((file, header)) = find(&hash(name), |file| self.header_in(file))? else {
            return Ok(None);
        };
        if header.name == name {
            return Ok(Some(header));
        }
        Err(RecordError::Corrupt("it is the file of another record").at(self.path(&file)))
    }

    fn header_in(&self, file: &str) -> Result<Option<RecordHeader>, TokenStorageError> {
        let Some(open) = self.directory.open(file)? else {
            return Ok(None);
        };
        let path = self.directory.file(file);
        let header = RecordHeader::read(open).map_err(directory::io_error("read", &path))?;
        header
            .map(Some)
            .map_err(|error| error.at(path.display().to_string()))
    }

    fn path(&self, file: &str) -> String {
        self.directory.file(file).display().to_string()
    }
}

/// Returns the content of `store.json`, if there is a store.
pub(super) fn existing(directory: &Directory) -> Result<Option<StoreHeader>, TokenStorageError> {
    if directory.exists()? {
        StoreHeader::read(directory)
    } else {
        Ok(None)
    }
}

/// Returns the next revision. The first is a random number of 52 bits: a record that was deleted and
/// created again has another revision than the one before (a late `invalid_grant` deletes only the
/// revision that was refused), and every JSON parser reads the number exactly.
fn next(previous: Option<Revision>) -> Result<Revision, TokenStorageError> {
    match previous {
        Some(_) => Ok(Revision::after(previous)),
        None => Ok(Revision::new(u64::from_le_bytes(random()?) >> 12)),
    }
}

pub(super) fn hash(name: &str) -> String {
    let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, name.as_bytes()).as_ref());
    Hex(bytes).to_string()
}

fn file_name(hash: &str) -> String {
    format!("{hash}{RECORD_END}")
}

fn old_file_name(hash: &str) -> String {
    format!("{hash}{OLD_RECORD_END}")
}

/// Reads the file of a record, and returns its name too. Readers hold no lock: a write may replace a file
/// of an earlier version by the new one in between, which is why the new name is tried again.
fn find<T>(
    hash: &str,
    read: impl Fn(&str) -> Result<Option<T>, TokenStorageError>,
) -> Result<Option<(String, T)>, TokenStorageError> {
    for file in [file_name(hash), old_file_name(hash), file_name(hash)] {
        if let Some(found) = read(&file)? {
            return Ok(Some((file, found)));
        }
    }
    Ok(None)
}

pub(super) fn conflict(name: &str) -> TokenStorageError {
    TokenStorageError::Conflict {
        location: location(name),
    }
}

/// Describes a record in an error. A name may have any length, and any characters.
pub(super) fn location(name: &str) -> String {
    format!("the record `{}`", UntrustedText::new(name))
}
