//! Assertions that another program renews: a file that the cluster writes, a variable, or the output of a
//! command. They are read again for each token request.

use std::{
    fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::Duration,
};

use mcp_oauth_support::Secret;
use tokio::{io::AsyncReadExt as _, process::Command, sync::oneshot};
use zeroize::Zeroizing;

use super::clock::Clock;

/// The environment variables of this client's own secrets. No program that it starts inherits them.
pub const SECRET_VARIABLES: [&str; 6] = [
    "MCP_OAUTH_PASSWORD",
    "MCP_OAUTH_CLIENT_SECRET",
    "MCP_OAUTH_IDP_CLIENT_SECRET",
    "MCP_OAUTH_PROXY_TOKEN",
    "VAULT_TOKEN",
    "VAULT_SECRET_ID",
];

/// The size limit of an assertion.
const LIMIT: usize = 64 * 1024;

/// The source of an assertion. It cannot be serialized: if a record could name one, write access to the
/// store would be enough to read files or run programs on this host.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub enum AssertionSource {
    /// A file, such as the projected token of a Kubernetes service account.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// The standard output of a program: its name and its arguments. It is started without a shell and
    /// without [`SECRET_VARIABLES`].
    Command(Vec<String>),
    /// A fixed assertion. It cannot be renewed when it has expired.
    Provided(Secret<String>),
}

/// An assertion could not be read. The error never quotes the text that was read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot read the assertion from {origin}: {cause}")]
#[non_exhaustive]
pub struct AssertionError {
    /// The source that failed.
    pub origin: AssertionSource,
    /// The reason.
    #[source]
    pub cause: AssertionErrorKind,
}

/// Says why a source has no assertion.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AssertionErrorKind {
    /// The file cannot be read.
    #[error("{0}")]
    Unreadable(io::ErrorKind),
    /// It is a directory, a pipe or a device.
    #[error("it is not a file")]
    NotAFile,
    /// The variable is not set.
    #[error("it is not set")]
    NotSet,
    /// The command has no name, or the program cannot be run.
    #[error("cannot run it ({0})")]
    NotRun(io::ErrorKind),
    /// The program exited with an error. Its output is not shown, because it may hold the assertion.
    #[error("it failed{}", .0.map(|code| format!(" with exit code {code}")).unwrap_or_default())]
    Failed(Option<i32>),
    /// The time limit was exceeded. A program was killed.
    #[error("timed out after {} seconds", .0.as_secs())]
    TimedOut(Duration),
    /// The text is longer than 64 KiB.
    #[error("its text is too long")]
    TooLong,
    /// Not a JWT.
    #[error("its text is not a JWT")]
    NotAJwt,
    /// Empty, or not printable ASCII.
    #[error("its text is not a token")]
    NotAToken,
}

impl AssertionSource {
    /// Returns the current text of the source, within `deadline`.
    ///
    /// # Errors
    /// [`AssertionError`].
    pub(crate) async fn read(
        &self,
        clock: &dyn Clock,
        deadline: Duration,
    ) -> Result<Secret<String>, AssertionError> {
        let text = match self {
            Self::File(path) => within(file(path.clone()), clock, deadline).await,
            Self::Variable(name) => variable(name),
            Self::Command(line) => within(command(line), clock, deadline).await,
            Self::Provided(text) => Ok(text.clone()),
        };
        text.map_err(|cause| self.error(cause))
    }

    /// Returns an error about this source.
    pub(crate) fn error(&self, cause: AssertionErrorKind) -> AssertionError {
        let origin = self.clone();
        AssertionError { origin, cause }
    }
}

/// Reads a file in a thread of its own: a read that hangs must not keep the runtime from shutting down.
async fn file(path: PathBuf) -> Result<Secret<String>, AssertionErrorKind> {
    let (sender, text) = oneshot::channel();
    let reader = thread::Builder::new().spawn(move || {
        // The receiver is gone if the read has timed out.
        let _ = sender.send(file_now(&path));
    });
    reader.map_err(|error| AssertionErrorKind::Unreadable(error.kind()))?;
    let ended = |_| AssertionErrorKind::Unreadable(io::ErrorKind::Other);
    text.await.map_err(ended)?
}

/// Checks the file type first, because opening a pipe may block for ever.
fn file_now(path: &Path) -> Result<Secret<String>, AssertionErrorKind> {
    let unreadable = |error: io::Error| AssertionErrorKind::Unreadable(error.kind());
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(AssertionErrorKind::NotAFile);
    }
    let file = fs::File::open(path).map_err(unreadable)?;
    let mut bytes = buffer();
    file.take(LIMIT as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    text(&bytes)
}

fn variable(name: &str) -> Result<Secret<String>, AssertionErrorKind> {
    // `var_os` panics for such a name on some systems.
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(AssertionErrorKind::NotSet);
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "the user named this variable, and it is read again for each request"
    )]
    let value = std::env::var_os(name).ok_or(AssertionErrorKind::NotSet)?;
    text(Zeroizing::new(value.into_encoded_bytes()).as_slice())
}

/// Limits the time: a file may be on a network drive that is down, and a program may never end.
async fn within(
    text: impl Future<Output = Result<Secret<String>, AssertionErrorKind>>,
    clock: &dyn Clock,
    deadline: Duration,
) -> Result<Secret<String>, AssertionErrorKind> {
    tokio::select! {
        biased;
        text = text => text,
        () = clock.sleep(deadline) => Err(AssertionErrorKind::TimedOut(deadline)),
    }
}

/// Runs the program. Dropping the future kills it. Its standard error is discarded, because it may hold
/// secrets.
async fn command(line: &[String]) -> Result<Secret<String>, AssertionErrorKind> {
    let not_run = |error: io::Error| AssertionErrorKind::NotRun(error.kind());
    let (program, arguments) = line
        .split_first()
        .ok_or(AssertionErrorKind::NotRun(io::ErrorKind::InvalidInput))?;
    let mut command = Command::new(program);
    for variable in SECRET_VARIABLES {
        command.env_remove(variable);
    }
    let mut child = command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(not_run)?;
    let mut bytes = buffer();
    if let Some(output) = child.stdout.take() {
        let mut output = output.take(LIMIT as u64 + 1);
        output.read_to_end(&mut bytes).await.map_err(not_run)?;
    }
    let text = text(&bytes)?;
    let status = child.wait().await.map_err(not_run)?;
    if status.success() {
        Ok(text)
    } else {
        Err(AssertionErrorKind::Failed(status.code()))
    }
}

/// Returns a buffer with the capacity of the limit, so that no copy is left behind when it grows.
fn buffer() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(LIMIT + 2))
}

fn text(bytes: &[u8]) -> Result<Secret<String>, AssertionErrorKind> {
    if bytes.len() > LIMIT {
        return Err(AssertionErrorKind::TooLong);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| AssertionErrorKind::NotAJwt)?;
    Ok(Secret::new(text.to_owned()))
}

/// Shows the source without the arguments of a command, which may be secret.
impl fmt::Display for AssertionSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Variable(name) => write!(f, "the variable {name}"),
            Self::Command(line) => {
                let program = line.first().map_or("", String::as_str);
                write!(f, "the command `{program}`")
            }
            Self::Provided(_) => f.write_str("the given text"),
        }
    }
}

impl fmt::Debug for AssertionSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssertionSource({self})")
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::{
        future::pending,
        pin::pin,
        time::{Duration, SystemTime},
    };

    use async_trait::async_trait;
    use tokio::sync::Notify;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    /// A clock on which [`LIMIT`] passes when the test says so.
    #[derive(Debug, Default)]
    struct LimitClock(Notify);

    #[async_trait]
    impl Clock for LimitClock {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH
        }

        async fn sleep(&self, duration: Duration) {
            assert_eq!(duration, LIMIT);
            self.0.notified().await;
        }
    }

    /// A read of a file on a network drive that is down never returns.
    #[tokio::test]
    async fn a_source_that_never_responds_times_out() {
        let clock = LimitClock::default();
        let mut text = pin!(within(pending(), &clock, LIMIT));
        let is_waiting = tokio::select! {
            biased;
            _ = &mut text => false,
            () = tokio::task::yield_now() => true,
        };
        assert!(is_waiting);
        clock.0.notify_one();
        let ended = tokio::time::timeout(Duration::from_secs(20), text).await;
        let cause = ended.unwrap().unwrap_err();
        assert_eq!(cause, AssertionErrorKind::TimedOut(LIMIT));
    }

    #[tokio::test]
    async fn a_pipe_is_refused_as_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let source = AssertionSource::File(path);
        let refused = source.read(&LimitClock::default(), LIMIT).await;
        assert_eq!(refused.unwrap_err().cause, AssertionErrorKind::NotAFile);
    }
}
