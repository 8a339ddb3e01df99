//! Waiting for a lock that other processes see.
//!
//! The lock is the kernel's: it belongs to the open file, so it excludes two handles in one process
//! as well as two processes, and it dies with its holder, however that ends (H106, H107). The file
//! itself says nothing and is never deleted: whoever opened it before a deletion and whoever
//! created it after would each hold a lock, on two different files.

use std::{
    fs::{File, TryLockError},
    io,
    sync::Arc,
    time::Duration,
};

use super::Held;
use crate::error::TokenStorageError;

/// The first pause between two tries; each is twice the one before, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(25);
/// Longer than a refresh can take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A locked file. Closing it, which is what dropping does, lets go.
#[derive(Debug)]
pub(super) struct FileLock(#[expect(dead_code, reason = "held for its drop")] File);

impl Held for FileLock {}

/// Waits until nobody else holds the lock of `file`. The kernel can tell us no better way that
/// also ends: its own queue has no deadline, and a stopped holder would stop us for ever.
///
/// A caller that gives up leaves nothing behind: the file is closed with the try that is under way.
pub(super) async fn hold(mut file: File, place: &str) -> Result<FileLock, TokenStorageError> {
    let (mut pause, mut waited) = (FIRST_PAUSE, Duration::ZERO);
    loop {
        let (back, tried) = off_runtime(move || {
            let tried = file.try_lock();
            Ok((file, tried))
        })
        .await?;
        file = back;
        match tried {
            Ok(()) => return Ok(FileLock(file)),
            Err(TryLockError::Error(source)) => return Err(unlockable(place, source)),
            Err(TryLockError::WouldBlock) if waited >= PATIENCE => {
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

/// A file system without locks is not used as if it had them (H108).
fn unlockable(place: &str, source: io::Error) -> TokenStorageError {
    TokenStorageError::Io {
        action: "lock",
        path: place.into(),
        source: Arc::new(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_minute_is_told_that_it_is_locked() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let _held = hold(file.reopen().unwrap(), "first").await.unwrap();
        let error = hold(file.reopen().unwrap(), "second").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "second is locked by another process for too long"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_that_gave_up_holds_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let held = hold(file.reopen().unwrap(), "first").await.unwrap();
        let waiter = hold(file.reopen().unwrap(), "second");
        assert!(
            tokio::time::timeout(Duration::from_secs(1), waiter)
                .await
                .is_err()
        );
        drop(held);
        hold(file.reopen().unwrap(), "third").await.unwrap();
    }
}
