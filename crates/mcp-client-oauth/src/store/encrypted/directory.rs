//! The directory of a store: who may use it, and how a file in it is read, replaced and removed.
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

use super::access;
use crate::{
    error::TokenStorageError,
    secret::Secret,
    store::{
        atomic_file::{TEMPORARY_END, WriteOptions, retry_while_in_use, sync_directory},
        file_lock::LockFile,
    },
};

/// The file that says how the store is sealed.
pub(super) const STORE_FILE: &str = "store.json";
/// The first key file of a store, and the start of the name of each later one.
pub(super) const KEY_FILE: &str = "key";
/// After the hash, in the name of a record's file.
pub(super) const SEALED: &str = ".sealed";
/// The list of names that earlier versions kept.
const OLD_INDEX: &str = "names";

/// Says where the files lie that are being written. Who looks for what dead processes left there need
/// not list all records.
const UNFINISHED: &str = "new";
/// Says where the files lie that are only locked.
const LOCKS: &str = "locks";

/// The directory of a store, which may not exist yet.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Says whether it was said that others may look into it.
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

    /// Returns whether it exists. It must be ours alone to change (H136).
    pub(super) fn exists(&self) -> Result<bool, TokenStorageError> {
        let link = match fs::symlink_metadata(&self.path) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(io_error("look at", &self.path)(error)),
        };
        let found = fs::metadata(&self.path).map_err(io_error("look at", &self.path))?;
        if access::is_open(&found) && !self.reported.swap(true, Ordering::Relaxed) {
            let path = self.path.display();
            tracing::warn!("others may look into {path}; the next change of a record closes it");
        }
        match access::fault(&link, &found) {
            None => Ok(true),
            Some(why) => Err(TokenStorageError::Insecure {
                path: self.path.clone(),
                why,
            }),
        }
    }

    /// Makes it if need be, and takes the eyes of others from it.
    pub(super) fn make_ready(&self) -> Result<(), TokenStorageError> {
        let existed = self.exists()?;
        for path in [
            &self.path,
            &self.path.join(LOCKS),
            &self.path.join(UNFINISHED),
        ] {
            let mut builder = DirBuilder::new();
            access::private_directory(&mut builder);
            builder
                .recursive(true)
                .create(path)
                .map_err(io_error("create", path))?;
        }
        if !existed {
            // Somebody else may have made it in between.
            self.exists()?;
            // Its own entry should survive a power cut too, if we may open where that is.
            if let Some(parent) = self.path.parent() {
                drop(sync_directory(parent));
            }
        }
        access::mend(&self.path, is_ours).map_err(io_error("protect", &self.path))
    }

    /// Opens a file that is locked, and never deleted.
    pub(super) fn lock_file(&self, name: &str) -> Result<LockFile, TokenStorageError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let path = self.path.join(LOCKS).join(name);
        let file = open(&path, &mut options)?;
        Ok(LockFile { file, path })
    }

    /// Opens a file for reading, if it is there. It must be a regular file (H137).
    pub(super) fn open(&self, name: &str) -> Result<Option<File>, TokenStorageError> {
        found(open(&self.file(name), OpenOptions::new().read(true)))
    }

    /// Reads a whole file, if it is there and has no more than `most` bytes.
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
        // Room for all of it, so that no copy of a key is left behind when the buffer grows.
        let room = usize::try_from(size.min(most)).unwrap_or(0) + 1;
        let mut bytes = Secret::new(Vec::with_capacity(room));
        // One byte more than allowed tells too large, even of a file that is growing.
        let read = file.take(most + 1).read_to_end(bytes.expose_mut());
        let read = read.map_err(io_error("read", &path))?;
        if u64::try_from(read).is_ok_and(|read| read <= most) {
            return Ok(Some(bytes));
        }
        Err(corrupt(&path, "it is larger than any that we write"))
    }

    /// Puts `bytes` in the place of what is there, if anything: wholly or not at all (H140).
    pub(super) fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), TokenStorageError> {
        self.write(&WriteOptions::default(), name, bytes)
    }

    /// Writes a file that must not be there yet.
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

    /// Removes what processes left that died while they wrote. Only for the holder of the write
    /// lock: nobody else makes such files, so their makers are gone. The list of names that earlier
    /// versions kept goes too: it is not read, and if it stays it does no harm.
    pub(super) fn sweep(&self) -> Result<(), TokenStorageError> {
        let unfinished = Self::new(self.path.join(UNFINISHED));
        for name in unfinished.files()? {
            let name = name?;
            if name.ends_with(TEMPORARY_END) {
                remove(&unfinished.file(&name))?;
            }
        }
        drop(fs::remove_file(self.file(OLD_INDEX)));
        Ok(())
    }

    /// Removes a file for good. Whether it was there.
    pub(super) fn remove(&self, name: &str) -> Result<bool, TokenStorageError> {
        let removed = remove(&self.file(name))?;
        sync_directory(&self.path).map_err(io_error("sync", &self.path))?;
        Ok(removed)
    }

    /// Returns the names of the regular files in it; what is not text is not ours.
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

/// Returns whether that is the name of something that a store has in its directory: what else there is
/// belongs to whoever put it there.
fn is_ours(name: &str) -> bool {
    [LOCKS, UNFINISHED, STORE_FILE].contains(&name)
        || name.starts_with(KEY_FILE)
        || name.ends_with(SEALED)
}

/// Opens a regular file: a link is not followed, and a pipe does not make us wait (H137).
fn open(path: &Path, options: &mut OpenOptions) -> Result<File, TokenStorageError> {
    let insecure = || TokenStorageError::Insecure {
        path: path.to_owned(),
        why: "it is not a regular file",
    };
    access::private_file(options);
    let file = match retry_while_in_use(|| options.open(path)) {
        Ok(file) => file,
        Err(error) if access::is_no_file(&error) => return Err(insecure()),
        Err(error) => return Err(io_error("open", path)(error)),
    };
    let found = file.metadata().map_err(io_error("look at", path))?;
    if found.is_file() {
        Ok(file)
    } else {
        Err(insecure())
    }
}

/// Returns none, if it was not there.
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
        place: path.display().to_string(),
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
