//! What is done with the files of a store. Everything here blocks.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use aws_lc_rs::digest;
use tokio::sync::OwnedMutexGuard;

use super::{
    directory::{self, Directory, SEALED},
    header::StoreHeader,
    master::{self, Opened},
    record::{self, Damage, MOST_FILE, RecordHeader},
};
use crate::{
    error::TokenStorageError,
    proto::untrusted_text::UntrustedText,
    secret::Secret,
    store::{
        Revision, StoredEntry,
        file_lock::FileLock,
        hex::Hex,
        key::{KeySource, random},
    },
};

/// A store, and what is known of it.
pub(super) struct Files {
    pub(super) directory: Directory,
    pub(super) source: KeySource,
    /// The key, from the first use on. Fetched under this lock, so once.
    key: Mutex<Key>,
    /// Says how many times the key could not be had.
    failures: AtomicU64,
    /// TargetArgs turn it is to write, among the tasks that share this store: they need not poll.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
    /// Says whether unfinished files of dead processes were removed: once is enough, because what this
    /// process does not finish it removes itself.
    swept: AtomicBool,
}

/// The key of a store, or why it could not be had: who waited for that try is told the same, so
/// that a keychain asks its person once, and not once for each caller.
#[derive(Default)]
struct Key {
    opened: Option<Arc<Opened>>,
    failure: Option<TokenStorageError>,
}

/// The right to change files.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) _here: OwnedMutexGuard<()>,
    pub(super) _everywhere: FileLock,
}

impl Files {
    pub(super) fn new(directory: Directory, source: KeySource) -> Self {
        Self {
            directory,
            source,
            key: Mutex::default(),
            failures: AtomicU64::new(0),
            turn: Arc::default(),
            swept: AtomicBool::new(false),
        }
    }

    /// A store whose key is known already.
    pub(super) fn known(directory: Directory, source: KeySource, opened: &Arc<Opened>) -> Self {
        let files = Self::new(directory, source);
        files.remember(opened);
        files
    }

    /// The key of this store from now on, whatever becomes of the place that it came from.
    pub(super) fn remember(&self, opened: &Arc<Opened>) {
        self.key().opened = Some(Arc::clone(opened));
    }

    /// Returns the store and its key, if there is a store. The file that says how it is sealed is read each
    /// time: it is small, and the directory may have been removed and made again.
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

    /// Fetches the key; once more, if the store was given another one in the middle of that.
    pub(super) fn fetched(&self, mut header: StoreHeader) -> Result<Opened, TokenStorageError> {
        loop {
            let failure = match master::open(&self.directory, &header, &self.source) {
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

    pub(super) fn opened_or_created(&self, turn: &Turn) -> Result<Arc<Opened>, TokenStorageError> {
        if let Some(opened) = self.opened()? {
            return Ok(opened);
        }
        let created = Arc::new(self.created(turn, &self.source)?);
        self.remember(&created);
        Ok(created)
    }

    /// Returns a new store in this place, where there is none.
    pub(super) fn created(
        &self,
        _turn: &Turn,
        source: &KeySource,
    ) -> Result<Opened, TokenStorageError> {
        let has_records = !self.record_files()?.is_empty();
        master::create(&self.directory, source, has_records)
    }

    pub(super) fn get(&self, name: &str) -> Result<Option<StoredEntry>, TokenStorageError> {
        let Some(opened) = self.opened()? else {
            return match self.header(name)? {
                None => Ok(None),
                Some(_) => Err(master::no_parameters(&self.directory)),
            };
        };
        let most = u64::try_from(MOST_FILE).unwrap_or(u64::MAX);
        let Some(file) = self.directory.read(&file_name(name), most)? else {
            return Ok(None);
        };
        let (revision, bytes) = record::unseal(file.expose(), &opened, name)
            .map_err(|damage| damage.at(self.path(name)))?;
        Ok(Some(StoredEntry::new(revision, bytes)))
    }

    pub(super) fn put(
        &self,
        turn: &Turn,
        name: &str,
        expected: Option<Revision>,
        bytes: &Secret<Vec<u8>>,
    ) -> Result<Revision, TokenStorageError> {
        let opened = self.opened_or_created(turn)?;
        self.sweep_once(turn)?;
        self.compare(turn, name, expected)?;
        let revision = next(expected)?;
        let header = RecordHeader::fresh(opened.id, name, revision)?;
        let file = record::seal(&header, &opened.master, bytes)?.ok_or_else(|| {
            TokenStorageError::TooLarge {
                place: place(name),
                most: MOST_FILE,
            }
        })?;
        self.directory.replace(&file_name(name), &file)?;
        Ok(revision)
    }

    /// Needs no key: whoever forgot the password can still log out.
    pub(super) fn delete(
        &self,
        turn: &Turn,
        name: &str,
        expected: Option<Revision>,
    ) -> Result<bool, TokenStorageError> {
        if expected.is_some() {
            self.compare(turn, name, expected)?;
        }
        self.directory.remove(&file_name(name))
    }

    fn compare(
        &self,
        _turn: &Turn,
        name: &str,
        expected: Option<Revision>,
    ) -> Result<(), TokenStorageError> {
        let found = self.header(name)?.map(|header| header.revision());
        if found == expected {
            Ok(())
        } else {
            Err(conflict(name))
        }
    }

    fn sweep_once(&self, _turn: &Turn) -> Result<(), TokenStorageError> {
        if !self.swept.load(Ordering::Relaxed) {
            self.directory.sweep()?;
            self.swept.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Returns the name of each record, from the first line of its file. A file that has none is passed over
    /// with a warning, so that it hides no other.
    pub(super) fn names(&self) -> Result<Vec<String>, TokenStorageError> {
        if !self.directory.exists()? {
            return Ok(Vec::new());
        }
        let name = |file: String| {
            self.name_in(&file).unwrap_or_else(|error| {
                tracing::warn!("a record is passed over: {error}");
                None
            })
        };
        Ok(self.record_files()?.into_iter().filter_map(name).collect())
    }

    /// Returns the name in the first line of a file, which must be the file's own.
    fn name_in(&self, file: &str) -> Result<Option<String>, TokenStorageError> {
        let Some(header) = self.header_in(file)? else {
            return Ok(None);
        };
        if file_name(&header.name) == file {
            return Ok(Some(header.name));
        }
        Err(directory::corrupt(
            &self.directory.file(file),
            "it is the file of another record",
        ))
    }

    fn record_files(&self) -> Result<Vec<String>, TokenStorageError> {
        let files = self.directory.files()?;
        files
            .filter(|name| name.as_ref().map_or(true, |name| name.ends_with(SEALED)))
            .collect()
    }

    /// Returns the first line of a record's file, as it says itself.
    fn header(&self, name: &str) -> Result<Option<RecordHeader>, TokenStorageError> {
        let header = self.header_in(&file_name(name))?;
        if header.as_ref().is_none_or(|header| header.name == name) {
            return Ok(header);
        }
        Err(Damage::Corrupt("it is the file of another record").at(self.path(name)))
    }

    fn header_in(&self, file: &str) -> Result<Option<RecordHeader>, TokenStorageError> {
        let Some(open) = self.directory.open(file)? else {
            return Ok(None);
        };
        let path = self.directory.file(file);
        let header = RecordHeader::read(open).map_err(directory::io_error("read", &path))?;
        header
            .map(Some)
            .map_err(|damage| damage.at(path.display().to_string()))
    }

    fn path(&self, name: &str) -> String {
        self.directory.file(&file_name(name)).display().to_string()
    }
}

/// Returns the file that says how a store is sealed, if there is a store.
pub(super) fn existing(directory: &Directory) -> Result<Option<StoreHeader>, TokenStorageError> {
    if directory.exists()? {
        StoreHeader::read(directory)
    } else {
        Ok(None)
    }
}

/// Returns the next revision. The first is a random number of 52 bits, so that a record that was deleted
/// and made again is never taken for the one before (a late `invalid_grant` deletes only what it
/// tried), and every reader of JSON gets the number right.
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

fn file_name(name: &str) -> String {
    format!("{}{SEALED}", hash(name))
}

pub(super) fn conflict(name: &str) -> TokenStorageError {
    TokenStorageError::Conflict { place: place(name) }
}

/// Returns a name may have any length, and any characters.
pub(super) fn place(name: &str) -> String {
    format!("the record `{}`", UntrustedText::new(name))
}
