//! Waiting for a lock that other processes see.
//!
//! The lock is the kernel's: it belongs to the open file, so it excludes two handles in one process
//! as well as two processes, and it dies with its holder, however that ends (H106, H107). The file
//! is never deleted: whoever opened it before a deletion and whoever created it after would each
//! hold a lock, on two different files.
//!
//! What is in the file is the note from one holder to the next: nothing, or the number of the
//! revision that somebody began to use up.

use std::{
    fs::{File, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;

use super::backend::{LockGuard, Revision};
use crate::error::TokenStorageError;

/// The first pause between two tries; each is twice the one before, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(25);
/// Longer than a refresh can take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The digits of the greatest revision.
const MOST_NOTE: usize = 20;

/// A file to be locked, which errors can name.
#[derive(Debug)]
pub(super) struct LockFile {
    pub(super) file: File,
    pub(super) path: PathBuf,
}

/// A locked file. Closing it, which is what dropping does, lets go.
#[derive(Debug)]
pub(super) struct FileLock {
    /// Shared with the writing of a note that nobody waits for any more.
    file: Arc<File>,
    path: PathBuf,
    unfinished: Option<Revision>,
}

impl FileLock {
    /// Puts `text` in the place of the note, through the file that is locked. It is not forced to
    /// the disk: the note explains a process that was killed, and a power cut may take it along.
    async fn note(&self, text: String) -> Result<(), TokenStorageError> {
        let (file, path) = (Arc::clone(&self.file), self.path.clone());
        off_runtime(move || write_note(&file, &text).map_err(io_error("write a note to", &path)))
            .await
    }
}

#[async_trait]
impl LockGuard for FileLock {
    fn pending_revision(&self) -> Option<Revision> {
        self.unfinished
    }

    /// The kernel does not take a lock back, so there is only the note to write.
    async fn mark_refresh_started(&self, revision: Revision) -> Result<(), TokenStorageError> {
        self.note(revision.number().to_string()).await
    }

    /// A note that stays is about a content that has been replaced, or makes the next holder
    /// careful for nothing: it is no reason to fail now.
    async fn mark_refresh_finished(&self) {
        if let Err(error) = self.note(String::new()).await {
            tracing::warn!("the note of a refresh that ended is still there: {error}");
        }
    }
}

/// Returns what is written over the same note changes nothing, wherever it stops: the note of somebody who
/// died is not lost to a full disk.
fn write_note(mut file: &File, text: &str) -> io::Result<()> {
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(u64::try_from(text.len()).unwrap_or(u64::MAX))
}

/// Returns what is no number is no note of ours.
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

/// Waits until nobody else holds the lock of `file`, and reads the note in it. The kernel can tell
/// us no better way that also ends: its own queue has no deadline, and a stopped holder would stop
/// us for ever.
///
/// A caller that gives up leaves nothing behind: the file is closed with the try that is under way.
pub(super) async fn hold(to_lock: LockFile, place: &str) -> Result<FileLock, TokenStorageError> {
    let LockFile { mut file, path } = to_lock;
    let (mut pause, mut waited) = (FIRST_PAUSE, Duration::ZERO);
    loop {
        let (back, tried) = off_runtime(move || {
            let tried = try_lock(&file);
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
            // A file system without locks is not used as if it had them (H108).
            Err(TryLockError::Error(source)) => return Err(io_error("lock", &path)(source)),
            Err(TryLockError::WouldBlock) if waited >= TIMEOUT => {
                return Err(TokenStorageError::Locked {
                    place: place.to_owned(),
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

/// Returns the note of an earlier holder, once the lock is ours.
fn try_lock(file: &File) -> Result<Option<Revision>, TryLockError> {
    file.try_lock()?;
    read_note(file).map_err(TryLockError::Error)
}

/// Runs file work where it may block: an fsync takes milliseconds.
pub(super) async fn off_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TokenStorageError> + Send + 'static,
) -> Result<T, TokenStorageError> {
    let stopped = |source| TokenStorageError::Backend {
        name: "file",
        source: Arc::new(source),
    };
    tokio::task::spawn_blocking(work).await.map_err(stopped)?
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
    async fn who_waits_for_a_minute_is_told_that_it_is_locked() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let _held = hold(opened(&file), "first").await.unwrap();
        let error = hold(opened(&file), "second").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "second is locked by another process for too long"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_that_gave_up_holds_nothing() {
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
    async fn a_note_that_cannot_be_written_fails_the_beginning() {
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
        // Nobody is kept from ending.
        held.mark_refresh_finished().await;
    }
}
