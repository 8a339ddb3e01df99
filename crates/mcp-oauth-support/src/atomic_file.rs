//! Atomic, durable writes: every file of the store and of the command is written by this module.
//!
//! The content is written to a temporary file, synced, and renamed to the name of the file; the rename
//! is synced too. A reader finds the old content or the new one, and so does the next process after a
//! crash or a power cut.
//!
//! Windows refuses to replace, open or remove a file that another process, often a virus scanner, has
//! open in certain ways. That lasts for milliseconds, so it is retried for some seconds: all functions
//! here block, and belong on a thread that may block.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write as _},
    iter,
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempPath;

/// The end of the name of each temporary file.
pub const TEMPORARY_END: &str = ".tmp";

/// The errors of Windows that go away when another process closes the file: `ERROR_ACCESS_DENIED`,
/// which Windows also returns where access is denied permanently, `ERROR_SHARING_VIOLATION` and
/// `ERROR_LOCK_VIOLATION`. Other systems have no such errors.
const IN_USE: &[i32] = if cfg!(windows) { &[5, 32, 33] } else { &[] };

/// The first pause before another attempt; each is twice the one before, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// The number of pauses: 2.63 seconds in all.
const PAUSES: usize = 10;

/// The options of a write. By default it replaces an existing file, the file is readable by its owner
/// only, and its temporary file is in the same directory.
///
/// ```
/// # let home = tempfile::tempdir()?;
/// use mcp_oauth_support::atomic_file::WriteOptions;
///
/// let file = home.path().join("settings.json");
/// WriteOptions::default().write(&file, b"{}")?;
/// let refused = WriteOptions::default().create_new().write(&file, b"[]");
/// assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
/// assert_eq!(std::fs::read(&file)?, b"{}");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    create_new: bool,
    permissions: Option<Permissions>,
    temporary_directory: Option<PathBuf>,
    without_retry: bool,
}

impl WriteOptions {
    /// Refuses to replace an existing file.
    #[must_use]
    pub fn create_new(mut self) -> Self {
        self.create_new = true;
        self
    }

    /// Gives the file these permissions instead of 0600.
    #[must_use]
    pub fn permissions(mut self, permissions: Permissions) -> Self {
        self.permissions = Some(permissions);
        self
    }

    /// Puts the temporary file into `directory`, which is on the same file system.
    #[must_use]
    pub fn temporary_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.temporary_directory = Some(directory.into());
        self
    }

    /// Fails at once if another process has the file open: for a thread that must not wait, and a file
    /// that can be written next time.
    #[must_use]
    pub fn without_retry(mut self) -> Self {
        self.without_retry = true;
        self
    }

    /// Writes `bytes` to the file `path`. A link at `path` is replaced and not followed.
    ///
    /// # Errors
    /// Any error of the system, and [`io::ErrorKind::AlreadyExists`] with [`Self::create_new`]. The
    /// file is unchanged then, unless only the last sync failed.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let directory = path.parent().unwrap_or(Path::new(""));
        let temporary = self.temporary(directory, bytes)?;
        if self.create_new {
            self.rename_to_new(temporary, path)?;
        } else {
            self.rename_over(temporary, path)?;
        }
        sync_directory(directory)
    }

    /// Returns a synced file with a random name that no other process can know beforehand, readable
    /// by its owner only from its first moment.
    fn temporary(&self, directory: &Path, bytes: &[u8]) -> io::Result<TempPath> {
        let directory = self.temporary_directory.as_deref().unwrap_or(directory);
        let mut file = tempfile::Builder::new()
            .prefix(".")
            .suffix(TEMPORARY_END)
            .rand_bytes(16)
            .tempfile_in(or_current(directory))?;
        file.write_all(bytes)?;
        if let Some(permissions) = &self.permissions {
            file.as_file().set_permissions(permissions.clone())?;
        }
        file.as_file().sync_all()?;
        Ok(file.into_temp_path())
    }

    fn rename_to_new(&self, temporary: TempPath, path: &Path) -> io::Result<()> {
        let mut unnamed = Some(temporary);
        self.retry(|| match unnamed.take() {
            Some(temporary) => temporary.persist_noclobber(path).map_err(|failed| {
                unnamed = Some(failed.path);
                failed.error
            }),
            None => Ok(()),
        })
    }

    /// Renames by the standard library: where Windows denies the usual rename, it tries the one with
    /// POSIX semantics, which replaces even most files that are open.
    fn rename_over(&self, temporary: TempPath, path: &Path) -> io::Result<()> {
        let temporary = temporary.keep().map_err(|failed| failed.error)?;
        let renamed = self.retry(|| fs::rename(&temporary, path));
        if renamed.is_err() {
            drop(fs::remove_file(&temporary));
        }
        renamed
    }

    fn retry<T>(&self, mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        if self.without_retry {
            attempt()
        } else {
            retry_while_in_use(attempt)
        }
    }
}

/// Retries to open, replace or remove a file until no other process has it open, for some seconds.
///
/// # Errors
/// The first error of another kind; or that the file is still in use, with the error of the last
/// attempt.
#[expect(
    clippy::disallowed_methods,
    reason = "this is waiting for another process, not time of the protocol"
)]
pub fn retry_while_in_use<T>(attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    retry(IN_USE, std::thread::sleep, attempt)
}

fn retry<T>(
    in_use: &[i32],
    mut pause: impl FnMut(Duration),
    mut attempt: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    let is_in_use = |error: &io::Error| {
        let code = error.raw_os_error();
        code.is_some_and(|code| in_use.contains(&code))
    };
    let longer = |pause: &Duration| Some(LONGEST_PAUSE.min(*pause * 2));
    let pauses = iter::successors(Some(FIRST_PAUSE), longer).take(PAUSES);
    let mut waited = Duration::ZERO;
    for length in pauses {
        match attempt() {
            Err(error) if is_in_use(&error) => {}
            result => return result,
        }
        pause(length);
        waited += length;
    }
    attempt().map_err(|error| {
        if is_in_use(&error) {
            let text =
                format!("{error}; another process may have had the file open for {waited:?}");
            io::Error::new(error.kind(), text)
        } else {
            error
        }
    })
}

/// Syncs the entries of a directory to the disk, if the file system supports it.
///
/// # Errors
/// Any error of the system.
#[cfg(unix)]
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    match File::open(or_current(directory)).and_then(|file| file.sync_all()) {
        // Some network file systems sync files only.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        result => result,
    }
}

#[cfg(not(unix))]
pub fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}

/// Returns `.` for an empty path, which the parent of a relative path with one component is.
fn or_current(directory: &Path) -> &Path {
    if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const SHARING_VIOLATION: i32 = 32;
    const LOCK_VIOLATION: i32 = 33;
    const DISK_FULL: i32 = 112;

    /// Attempts that fail with these codes in turn and succeed then: the result, and the pauses.
    fn attempts(codes: &[i32]) -> (io::Result<usize>, Vec<Duration>) {
        let (pauses, mut attempt) = (RefCell::new(Vec::new()), 0);
        let result = retry(
            &[SHARING_VIOLATION, LOCK_VIOLATION],
            |length| pauses.borrow_mut().push(length),
            || {
                attempt += 1;
                let code = codes.get(attempt - 1).copied();
                code.map_or(Ok(attempt), |code| Err(io::Error::from_raw_os_error(code)))
            },
        );
        (result, pauses.into_inner())
    }

    #[test]
    fn a_file_in_use_is_retried_after_short_growing_pauses() {
        let (result, pauses) = attempts(&[SHARING_VIOLATION, LOCK_VIOLATION, SHARING_VIOLATION]);
        assert_eq!(result.unwrap(), 4);
        assert_eq!(pauses, [10, 20, 40].map(Duration::from_millis));
        let (result, pauses) = attempts(&[]);
        assert_eq!((result.unwrap(), pauses), (1, vec![]));
    }

    #[test]
    fn another_error_is_not_retried() {
        let (result, pauses) = attempts(&[DISK_FULL]);
        assert_eq!(result.unwrap_err().raw_os_error(), Some(DISK_FULL));
        assert!(pauses.is_empty());
        let (result, pauses) = attempts(&[SHARING_VIOLATION, DISK_FULL]);
        assert_eq!(result.unwrap_err().raw_os_error(), Some(DISK_FULL));
        assert_eq!(pauses.len(), 1);
    }

    #[test]
    fn a_file_that_stays_in_use_fails_after_some_seconds_with_the_reason() {
        let (result, pauses) = attempts(&[SHARING_VIOLATION; 100]);
        let error = result.unwrap_err().to_string();
        assert!(error.contains("os error 32"), "{error}");
        let reason = "another process may have had the file open for 2.63s";
        assert!(error.ends_with(reason), "{error}");
        assert_eq!(pauses.iter().sum::<Duration>(), Duration::from_millis(2630));
        assert!(pauses.iter().all(|pause| *pause <= LONGEST_PAUSE));
        // The error of the last attempt is returned, whatever it is.
        let mut codes = [SHARING_VIOLATION; PAUSES + 1];
        codes[PAUSES] = DISK_FULL;
        let (result, _) = attempts(&codes);
        assert_eq!(result.unwrap_err().raw_os_error(), Some(DISK_FULL));
    }

    #[test]
    fn a_file_is_replaced_or_refused_and_no_temporary_file_remains() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("a");
        let options = WriteOptions::default();
        options.clone().create_new().write(&file, b"first").unwrap();
        let refused = options.clone().create_new().write(&file, b"second");
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&file).unwrap(), b"first");
        options.write(&file, b"second").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"second");
        // A failed replacement leaves no temporary file either.
        fs::create_dir_all(home.path().join("directory/full")).unwrap();
        options
            .write(&home.path().join("directory"), b"x")
            .unwrap_err();
        let left = fs::read_dir(home.path()).unwrap().count();
        assert_eq!(left, 2, "a temporary file was left");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_is_readable_by_its_owner_only_unless_other_permissions_are_given() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("a");
        let mode = || fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        let options = WriteOptions::default();
        options.write(&file, b"x").unwrap();
        assert_eq!(mode(), 0o600);
        let open = options.permissions(Permissions::from_mode(0o644));
        open.write(&file, b"x").unwrap();
        assert_eq!(mode(), 0o644);
    }
}
