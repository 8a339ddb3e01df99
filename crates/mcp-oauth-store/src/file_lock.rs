//! A file lock across processes.
//!
//! It is a lock of the kernel: it belongs to the open file, so it excludes two handles in one process as
//! well as two processes, and it is released when its holder dies (docs/hostile.md H106, H107). The file
//! is never deleted: a process that opened it before a deletion and one that created it afterwards would
//! each hold a lock, on two different files.
//!
//! The content of the file is the note from one holder to the next: nothing, or the revision with the
//! refresh token that was about to be sent.

use std::{
    fs::{File, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;

use crate::backend::{LockGuard, Revision};
use crate::error::TokenStorageError;

/// The first pause between two attempts; each is twice the one before, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(25);
/// The longest wait: longer than a refresh can take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The number of digits of the greatest revision.
const MOST_NOTE: usize = 20;

/// A file to lock, with its path for errors.
#[derive(Debug)]
pub(crate) struct LockFile {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
}

/// A file that is unlocked when it is dropped. Closing it is not enough: if this process was forked while it
/// held the lock, the child has the same open file, and its lock with it (flock(2)).
#[derive(Debug)]
struct Unlocking(File);

impl Drop for Unlocking {
    fn drop(&mut self) {
        // It fails if the file is not locked, and then there is nothing to release.
        let _ = self.0.unlock();
    }
}

/// A locked file. Dropping it releases the lock.
#[derive(Debug)]
pub(crate) struct FileLock {
    /// Shared with the task that writes a note, which may outlive this value.
    file: Arc<Unlocking>,
    path: PathBuf,
    unfinished: Option<Revision>,
}

impl FileLock {
    /// Replaces the note by `text`, in the locked file. It is not synced: the note explains a process that
    /// was killed, and may be lost in a power cut.
    async fn note(&self, text: String) -> Result<(), TokenStorageError> {
        let (file, path) = (Arc::clone(&self.file), self.path.clone());
        off_runtime(move || write_note(&file.0, &text).map_err(io_error("write a note to", &path)))
            .await
    }
}

#[async_trait]
impl LockGuard for FileLock {
    fn pending_revision(&self) -> Option<Revision> {
        self.unfinished
    }

    /// Writes the note. The kernel never revokes a lock, so nothing is checked.
    async fn mark_refresh_started(&self, revision: Revision) -> Result<(), TokenStorageError> {
        self.note(revision.number().to_string()).await
    }

    /// Removes the note. A failure is no error: a note that stays is about a content that has been replaced,
    /// or only changes the error of the next holder.
    async fn mark_refresh_finished(&self) {
        if let Err(error) = self.note(String::new()).await {
            tracing::warn!("cannot remove the note of a finished refresh: {error}");
        }
    }
}

/// Writes a note. Writing the same note again changes nothing, even if it fails halfway: the note of a dead
/// holder is not lost on a full disk.
fn write_note(mut file: &File, text: &str) -> io::Result<()> {
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(u64::try_from(text.len()).unwrap_or(u64::MAX))
}

/// Reads a note. Anything but a number is ignored.
fn read_note(mut file: &File) -> io::Result<Option<Revision>> {
    let mut text = Vec::with_capacity(MOST_NOTE + 1);
    let most = u64::try_from(MOST_NOTE).unwrap_or(u64::MAX) + 1;
    file.rewind()?;
    file.take(most).read_to_end(&mut text)?;
    let digits = std::str::from_utf8(&text).unwrap_or_default();
    let number: Option<u64> = digits.parse().ok();
    let number = number.filter(|number| number.to_string() == digits);
    Ok(number.map(Revision::new))
}

/// Waits for the lock of the file, and reads the note in it. This polls, because a blocking lock of the
/// kernel has no timeout, and a paused holder would block the caller for ever.
///
/// A caller may be cancelled: the file is closed with the attempt in progress.
pub(crate) async fn hold(to_lock: LockFile, location: &str) -> Result<FileLock, TokenStorageError> {
    let LockFile { file, path } = to_lock;
    let mut file = Unlocking(file);
    let (mut pause, mut waited) = (FIRST_PAUSE, Duration::ZERO);
    loop {
        let (back, tried) = off_runtime(move || {
            let tried = try_lock(&file.0);
            Ok((file, tried))
        })
        .await?;
        file = back;
        match tried {
            Ok(unfinished) => {
                return Ok(FileLock {
                    file: Arc::new(file),
                    path,
                    unfinished,
                });
            }
            // A file system without locks must not be used as if it had them (docs/hostile.md H108).
            Err(TryLockError::Error(source)) => return Err(io_error("lock", &path)(source)),
            Err(TryLockError::WouldBlock) if waited >= TIMEOUT => {
                return Err(TokenStorageError::Locked {
                    location: location.to_owned(),
                });
            }
            Err(TryLockError::WouldBlock) => {}
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "this is waiting for another process, not time of the protocol"
        )]
        tokio::time::sleep(pause).await;
        waited += pause;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// Takes the lock, and returns the note of an earlier holder.
fn try_lock(file: &File) -> Result<Option<Revision>, TryLockError> {
    file.try_lock()?;
    read_note(file).map_err(TryLockError::Error)
}

/// Runs work on files on a thread that may block: an fsync takes milliseconds.
pub(crate) async fn off_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TokenStorageError> + Send + 'static,
) -> Result<T, TokenStorageError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(TokenStorageError::of_files)?
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TokenStorageError {
    move |source| TokenStorageError::Io {
        action,
        path: path.to_owned(),
        source: Arc::new(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(file: &tempfile::NamedTempFile) -> LockFile {
        LockFile {
            file: file.reopen().unwrap(),
            path: file.path().to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_a_minute_fails_with_locked() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let _held = hold(opened(&file), "first").await.unwrap();
        let error = hold(opened(&file), "second").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "second is locked by another process for too long"
        );
    }

    /// A duplicate is what a forked process has: another handle of the same open file.
    #[tokio::test(start_paused = true)]
    async fn a_lock_is_released_although_a_forked_process_has_the_file_too() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let held = hold(opened(&file), "first").await.unwrap();
        let inherited = held.file.0.try_clone().unwrap();
        drop(held);
        hold(opened(&file), "second").await.unwrap();
        drop(inherited);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_waiter_holds_no_lock() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let held = hold(opened(&file), "first").await.unwrap();
        let waiter = hold(opened(&file), "second");
        assert!(
            tokio::time::timeout(Duration::from_secs(1), waiter)
                .await
                .is_err()
        );
        drop(held);
        hold(opened(&file), "third").await.unwrap();
    }

    async fn note_in(text: &[u8]) -> Option<u64> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        let held = hold(opened(&file), "it").await.unwrap();
        held.pending_revision().map(Revision::number)
    }

    #[tokio::test]
    async fn only_the_number_of_a_revision_is_a_note() {
        assert_eq!(note_in(b"0").await, Some(0));
        assert_eq!(note_in(b"18446744073709551615").await, Some(u64::MAX));
        for garbage in [
            &b""[..],
            b"x",
            b"+1",
            b"-1",
            b"01",
            b" 1",
            b"1\n",
            b"1\0",
            b"\xff",
            b"18446744073709551616",
            &[b'1'; 21],
            &[b'1'; 1000],
        ] {
            assert_eq!(note_in(garbage).await, None, "{:?}", garbage.get(..21));
        }
    }

    #[tokio::test]
    async fn a_note_that_cannot_be_written_is_an_error_before_a_refresh_only() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read_only = LockFile {
            file: File::open(file.path()).unwrap(),
            ..opened(&file)
        };
        let held = hold(read_only, "it").await.unwrap();
        let refused = held
            .mark_refresh_started(Revision::new(7))
            .await
            .unwrap_err();
        assert!(
            matches!(
                &refused,
                TokenStorageError::Io {
                    action: "write a note to",
                    ..
                }
            ),
            "{refused}"
        );
        held.mark_refresh_finished().await;
    }
}
