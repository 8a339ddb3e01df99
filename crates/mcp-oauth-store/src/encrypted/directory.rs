//! The directory of a store: its permissions, and how a file in it is read, replaced and removed.
//!
//! Everything here blocks. Windows has neither modes nor `O_NOFOLLOW`: a directory in the profile
//! of its user is private there by inheritance.

use std::{
    fs::{self, DirBuilder, DirEntry, File, OpenOptions},
    io::{self, ErrorKind, Read as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use mcp_oauth_support::Secret;
use mcp_oauth_support::atomic_file::{
    TEMPORARY_END, WriteOptions, retry_while_in_use, sync_directory,
};

use super::permissions;
use crate::{error::TokenStorageError, file_lock::LockFile};

/// The file that says how the store is encrypted.
pub(super) const STORE_FILE: &str = "store.json";
/// The first key file of a store, and the start of the name of each later one.
pub(super) const KEY_FILE: &str = "key";
/// The end of the name of a record's file, after the hash.
pub(super) const RECORD_END: &str = ".enc";
/// The end that earlier versions used. Such a file is read if the record has no file with the new end.
pub(super) const OLD_RECORD_END: &str = ".sealed";
/// The list of names that earlier versions kept.
const OLD_INDEX: &str = "names";

/// The directory of the files that are being written. It is separate, so that a sweep of the files that
/// dead processes left need not list all records.
const UNFINISHED: &str = "tmp";
/// The directory that earlier versions used.
const OLD_UNFINISHED: &str = "new";
/// The directory of the files that are only locked.
const LOCKS: &str = "locks";

/// The directory of a store, which may not exist yet.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Says whether a warning was logged that other users may read it.
    reported: Arc<AtomicBool>,
}

impl Directory {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            reported: Arc::default(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Returns whether it exists, or an error if other users may change it (docs/hostile.md H136).
    pub(super) fn exists(&self) -> Result<bool, TokenStorageError> {
        let link = match fs::symlink_metadata(&self.path) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(io_error("look at", &self.path)(error)),
        };
        let found = fs::metadata(&self.path).map_err(io_error("look at", &self.path))?;
        if permissions::is_open(&found) && !self.reported.swap(true, Ordering::Relaxed) {
            let path = self.path.display();
            tracing::warn!("other users may read {path}; the next write makes it private");
        }
        match permissions::fault(&link, &found) {
            None => Ok(true),
            Some(why) => Err(TokenStorageError::Insecure {
                path: self.path.clone(),
                why,
            }),
        }
    }

    /// Creates it if it does not exist, and makes it private.
    pub(super) fn make_ready(&self) -> Result<(), TokenStorageError> {
        let existed = self.exists()?;
        for path in [
            &self.path,
            &self.path.join(LOCKS),
            &self.path.join(UNFINISHED),
        ] {
            let mut builder = DirBuilder::new();
            permissions::private_directory(&mut builder);
            builder
                .recursive(true)
                .create(path)
                .map_err(io_error("create", path))?;
        }
        if !existed {
            // Another process may have created it in between.
            self.exists()?;
            // Its own entry should survive a power cut too, if its parent can be opened.
            if let Some(parent) = self.path.parent() {
                drop(sync_directory(parent));
            }
        }
        permissions::restrict(&self.path, is_store_file).map_err(io_error("protect", &self.path))
    }

    /// Opens a file that is locked, and never deleted.
    pub(super) fn lock_file(&self, name: &str) -> Result<LockFile, TokenStorageError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let path = self.path.join(LOCKS).join(name);
        let file = open(&path, &mut options)?;
        Ok(LockFile { file, path })
    }

    /// Opens a file for reading, if it exists. It must be a regular file (docs/hostile.md H137).
    pub(super) fn open(&self, name: &str) -> Result<Option<File>, TokenStorageError> {
        found(open(&self.file(name), OpenOptions::new().read(true)))
    }

    /// Reads a whole file, if it exists and has no more than `most` bytes.
    pub(super) fn read(
        &self,
        name: &str,
        most: u64,
    ) -> Result<Option<Secret<Vec<u8>>>, TokenStorageError> {
        let Some(file) = self.open(name)? else {
            return Ok(None);
        };
        let path = self.file(name);
        let size = file.metadata().map_err(io_error("look at", &path))?.len();
        // The buffer never grows, which would leave a copy of a key in memory.
        let capacity = usize::try_from(size.min(most)).unwrap_or(0) + 1;
        let mut bytes = Secret::new(Vec::with_capacity(capacity));
        // One byte more than allowed shows that a file is too large, even if it is growing.
        let read = file.take(most + 1).read_to_end(bytes.expose_mut());
        let read = read.map_err(io_error("read", &path))?;
        if u64::try_from(read).is_ok_and(|read| read <= most) {
            return Ok(Some(bytes));
        }
        Err(corrupt(&path, "it is larger than the limit"))
    }

    /// Writes a file, and replaces it if it exists: wholly or not at all (docs/hostile.md H140).
    pub(super) fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), TokenStorageError> {
        self.write(&WriteOptions::default(), name, bytes)
    }

    /// Writes a file that must not exist yet.
    pub(super) fn create(&self, name: &str, bytes: &[u8]) -> Result<(), TokenStorageError> {
        self.write(&WriteOptions::default().create_new(), name, bytes)
    }

    fn write(
        &self,
        options: &WriteOptions,
        name: &str,
        bytes: &[u8],
    ) -> Result<(), TokenStorageError> {
        let path = self.file(name);
        let options = options
            .clone()
            .temporary_directory(self.path.join(UNFINISHED));
        options
            .write(&path, bytes)
            .map_err(io_error("write", &path))
    }

    /// Removes the files that processes left unfinished when they died, and the list of names that
    /// earlier versions kept, which is not read. Only for the holder of the write lock: no other process
    /// writes such files, so their writers are dead.
    pub(super) fn sweep(&self) -> Result<(), TokenStorageError> {
        self.sweep_unfinished(UNFINISHED)?;
        let old = self.file(OLD_UNFINISHED);
        if fs::symlink_metadata(&old).is_ok_and(|found| found.is_dir()) {
            self.sweep_unfinished(OLD_UNFINISHED)?;
            // It fails if a file of another program is in it.
            drop(fs::remove_dir(old));
        }
        drop(fs::remove_file(self.file(OLD_INDEX)));
        Ok(())
    }

    fn sweep_unfinished(&self, directory: &str) -> Result<(), TokenStorageError> {
        let unfinished = Self::new(self.path.join(directory));
        for name in unfinished.files()? {
            let name = name?;
            if name.ends_with(TEMPORARY_END) {
                remove(&unfinished.file(&name))?;
            }
        }
        Ok(())
    }

    /// Removes a file durably, and returns whether it existed.
    pub(super) fn remove(&self, name: &str) -> Result<bool, TokenStorageError> {
        let removed = remove(&self.file(name))?;
        self.sync()?;
        Ok(removed)
    }

    /// Removes a file durably if it exists, and returns whether it existed. Syncs only if it existed.
    pub(super) fn remove_if_present(&self, name: &str) -> Result<bool, TokenStorageError> {
        let removed = remove(&self.file(name))?;
        if removed {
            self.sync()?;
        }
        Ok(removed)
    }

    fn sync(&self) -> Result<(), TokenStorageError> {
        sync_directory(&self.path).map_err(io_error("sync", &self.path))
    }

    /// Returns the names of the regular files in it. A name that is not UTF-8 belongs to no file of
    /// a store.
    pub(super) fn files(
        &self,
    ) -> Result<impl Iterator<Item = Result<String, TokenStorageError>>, TokenStorageError> {
        let name = |entry: io::Result<DirEntry>| {
            let entry = entry?;
            let is_file = entry.file_type()?.is_file();
            Ok(is_file
                .then(|| entry.file_name().into_string().ok())
                .flatten())
        };
        let entries = fs::read_dir(&self.path).map_err(io_error("list", &self.path))?;
        let names = entries.filter_map(move |entry| name(entry).transpose());
        Ok(names.map(|name| name.map_err(|error| io_error("list", &self.path)(error))))
    }
}

/// Returns whether a store uses that name in its directory. Other files are not touched.
fn is_store_file(name: &str) -> bool {
    [LOCKS, UNFINISHED, OLD_UNFINISHED, STORE_FILE].contains(&name)
        || name.starts_with(KEY_FILE)
        || name.ends_with(RECORD_END)
        || name.ends_with(OLD_RECORD_END)
}

/// Opens a regular file: a link is not followed, and a pipe does not block (docs/hostile.md H137).
fn open(path: &Path, options: &mut OpenOptions) -> Result<File, TokenStorageError> {
    let insecure = || TokenStorageError::Insecure {
        path: path.to_owned(),
        why: "it is not a regular file",
    };
    permissions::private_file(options);
    let file = match retry_while_in_use(|| options.open(path)) {
        Ok(file) => file,
        Err(error) if permissions::is_no_file(&error) => return Err(insecure()),
        Err(error) => return Err(io_error("open", path)(error)),
    };
    let found = file.metadata().map_err(io_error("look at", path))?;
    if found.is_file() {
        Ok(file)
    } else {
        Err(insecure())
    }
}

/// Returns `None` if the file does not exist.
fn found(opened: Result<File, TokenStorageError>) -> Result<Option<File>, TokenStorageError> {
    match opened {
        Err(TokenStorageError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
            Ok(None)
        }
        opened => opened.map(Some),
    }
}

fn remove(path: &Path) -> Result<bool, TokenStorageError> {
    match retry_while_in_use(|| fs::remove_file(path)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_error("remove", path)(error)),
    }
}

pub(super) fn corrupt(path: &Path, why: &'static str) -> TokenStorageError {
    TokenStorageError::Corrupt {
        location: path.display().to_string(),
        why,
    }
}

pub(super) fn io_error(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> TokenStorageError + use<> {
    let path = path.to_owned();
    move |source| TokenStorageError::Io {
        action,
        path,
        source: Arc::new(source),
    }
}
