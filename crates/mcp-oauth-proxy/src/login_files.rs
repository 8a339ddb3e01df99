//! The files of one login that the processes on this machine share: a lock, and what they remember.

use std::{
    fs::{DirBuilder, File, TryLockError},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use mcp_client_oauth::store::LoginKey;

/// The files of one login, in a directory that is readable by its owner only.
///
/// A [`Proxy`](crate::Proxy) uses them by [`ProxyBuilder::directory`](crate::ProxyBuilder::directory). An
/// application that logs in beside its proxies takes their lock, so that one process at a time asks the user.
#[derive(Clone, Debug)]
pub struct LoginFiles {
    directory: PathBuf,
    name: String,
}

/// The outcome of [`LoginFiles::try_lock`].
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "the lock is released when it is dropped"]
pub enum LoginLock {
    /// This process has the lock, until this value is dropped.
    Acquired(File),
    /// Another process has the lock.
    Held,
    /// No file can be locked there.
    Unavailable,
}

impl LoginFiles {
    /// Returns the files of this login, and creates the directory. Returns none if that fails: then nothing
    /// is shared.
    pub fn create(directory: &Path, key: &LoginKey) -> Option<Self> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(directory).ok()?;
        Some(Self {
            directory: directory.to_owned(),
            name: name(key),
        })
    }

    /// Returns the path of the file with this extension.
    pub fn path(&self, extension: &str) -> PathBuf {
        self.directory.join(format!("{}.{extension}", self.name))
    }

    /// Takes the lock of the login, unless another process has it. The kernel releases it with its process.
    pub fn try_lock(&self) -> LoginLock {
        let mut options = File::options();
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let opened = options.create(true).append(true).open(self.path("lock"));
        let locked = opened.map(|file| file.try_lock().map(|()| file));
        match locked {
            Ok(Ok(file)) => LoginLock::Acquired(file),
            Ok(Err(TryLockError::WouldBlock)) => LoginLock::Held,
            Ok(Err(TryLockError::Error(error))) if error.kind() == ErrorKind::WouldBlock => {
                LoginLock::Held
            }
            Ok(Err(_)) | Err(_) => LoginLock::Unavailable,
        }
    }
}

/// Returns a file name for a login: its host, for users, and a hash of its URL and account (FNV-1a).
fn name(key: &LoginKey) -> String {
    let host = key.server().as_url().host_str().unwrap_or_default();
    let host = host.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "_");
    let whole = format!(
        "{} {}",
        key.server().as_str(),
        key.account().unwrap_or_default()
    );
    let number = whole
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |number, byte| {
            (number ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{host}-{number:016x}")
}
