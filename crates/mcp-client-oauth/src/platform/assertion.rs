//! Assertions that something beside us renews: a file that the cluster writes, a variable, what a
//! command prints. They are read anew for each request.

use std::{
    fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::Duration,
};

use tokio::{io::AsyncReadExt as _, process::Command, sync::oneshot};
use zeroize::Zeroizing;

use super::clock::Clock;
use crate::secret::Secret;

/// The variables by which our own secrets reach us: no program that we start gets them (H152).
pub const SECRET_VARIABLES: [&str; 6] = [
    "MCP_OAUTH_PASSWORD",
    "MCP_OAUTH_CLIENT_SECRET",
    "MCP_OAUTH_IDP_CLIENT_SECRET",
    "MCP_OAUTH_PROXY_TOKEN",
    "VAULT_TOKEN",
    "VAULT_SECRET_ID",
];

/// Says how much is read: more than any assertion has.
const LIMIT: usize = 64 * 1024;

/// Says where an assertion comes from. It cannot be serialized: a source that a record, or anything else
/// that others may write, names would let them have a file read or a program run here.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub enum AssertionSource {
    /// A file, such as the projected token of a Kubernetes service account.
    File(PathBuf),
    /// A variable of our environment.
    Variable(String),
    /// Holds what a program prints: its name and its arguments. No shell is asked, and it is not given
    /// [`SECRET_VARIABLES`].
    Command(Vec<String>),
    /// This one, and no other when it has expired.
    Given(Secret<String>),
}

/// Says why there is no assertion. It never quotes what was read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no assertion from {place}: {cause}")]
#[non_exhaustive]
pub struct AssertionError {
    /// Says where it was looked for.
    pub place: AssertionSource,
    /// Says why there is none.
    #[source]
    pub cause: AssertionErrorKind,
}

/// Says why a place has no assertion.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AssertionErrorKind {
    /// The file cannot be read.
    #[error("it cannot be read ({0})")]
    Unreadable(io::ErrorKind),
    /// A directory, a pipe, a device.
    #[error("it is not a file")]
    NotAFile,
    /// The variable is not set.
    #[error("it is not set")]
    NotSet,
    /// The command has no name, or the program cannot be run.
    #[error("it cannot be run ({0})")]
    NotRun(io::ErrorKind),
    /// The program says that it failed. What it wrote is not shown, for it may be the assertion.
    #[error("it failed{}", .0.map(|code| format!(" with exit code {code}")).unwrap_or_default())]
    Failed(Option<i32>),
    /// It was not waited for any longer; a program was ended.
    #[error("it gave none within {} seconds", .0.as_secs())]
    TimedOut(Duration),
    /// More than any assertion has.
    #[error("what it gives is too long")]
    TooLong,
    /// Not a JWT.
    #[error("what it gives is no JWT")]
    NotAJwt,
    /// Empty, or not printable ASCII.
    #[error("what it gives is no token")]
    NotAToken,
}

impl AssertionSource {
    /// Returns the text that is there now, within `deadline`.
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
            Self::Given(text) => Ok(text.clone()),
        };
        text.map_err(|cause| self.without(cause))
    }

    /// That it has none.
    pub(crate) fn without(&self, cause: AssertionErrorKind) -> AssertionError {
        let place = self.clone();
        AssertionError { place, cause }
    }
}

/// In a thread of its own: one that hangs must not keep a runtime from ending.
async fn file(path: PathBuf) -> Result<Secret<String>, AssertionErrorKind> {
    let (told, text) = oneshot::channel();
    let reader = thread::Builder::new().spawn(move || {
        // Who has given up waiting needs no answer.
        let _ = told.send(file_now(&path));
    });
    reader.map_err(|error| AssertionErrorKind::Unreadable(error.kind()))?;
    let ended = |_| AssertionErrorKind::Unreadable(io::ErrorKind::Other);
    text.await.map_err(ended)?
}

/// Returns the kind is asked first, because opening a pipe may wait for ever.
fn file_now(path: &Path) -> Result<Secret<String>, AssertionErrorKind> {
    let unreadable = |error: io::Error| AssertionErrorKind::Unreadable(error.kind());
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(AssertionErrorKind::NotAFile);
    }
    let file = fs::File::open(path).map_err(unreadable)?;
    let mut bytes = room();
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
        reason = "the person named this variable, and it is read anew each time"
    )]
    let value = std::env::var_os(name).ok_or(AssertionErrorKind::NotSet)?;
    text(Zeroizing::new(value.into_encoded_bytes()).as_slice())
}

/// Returns a file may lie on a network that is gone, and a program may wait for ever.
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

/// Dropping the future ends the program. What it says on standard error is nobody's business here.
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
    let mut bytes = room();
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

/// With room for all that may come, so that no copy is left behind when it grows.
fn room() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(LIMIT + 2))
}

fn text(bytes: &[u8]) -> Result<Secret<String>, AssertionErrorKind> {
    if bytes.len() > LIMIT {
        return Err(AssertionErrorKind::TooLong);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| AssertionErrorKind::NotAJwt)?;
    Ok(Secret::new(text.to_owned()))
}

/// Holds what may be shown of it: the arguments of a command may be secret.
impl fmt::Display for AssertionSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Variable(name) => write!(f, "the variable {name}"),
            Self::Command(line) => {
                let program = line.first().map_or("", String::as_str);
                write!(f, "the command `{program}`")
            }
            Self::Given(_) => f.write_str("what was given"),
        }
    }
}

impl fmt::Debug for AssertionSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssertionSource({self})")
    }
}

#[cfg(all(test, unix, feature = "testing"))]
mod tests {
    use std::{
        future::pending,
        pin::pin,
        time::{Duration, SystemTime},
    };

    use super::*;
    use crate::testing::ManualClock;

    /// A file on a network that is gone, or a pipe that has taken its place.
    #[tokio::test]
    async fn what_never_comes_is_given_up_in_time() {
        let (clock, limit) = (
            ManualClock::new(SystemTime::UNIX_EPOCH),
            Duration::from_secs(30),
        );
        let mut text = pin!(within(pending(), &clock, limit));
        let is_waiting = tokio::select! {
            biased;
            _ = &mut text => false,
            () = tokio::task::yield_now() => true,
        };
        assert!(is_waiting);
        clock.advance(limit);
        let ended = tokio::time::timeout(Duration::from_secs(20), text).await;
        let cause = ended.unwrap().unwrap_err();
        assert_eq!(cause, AssertionErrorKind::TimedOut(limit));
    }

    #[tokio::test]
    async fn a_pipe_is_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let clock = ManualClock::new(SystemTime::UNIX_EPOCH);
        let source = AssertionSource::File(path);
        let refused = source.read(&clock, Duration::from_secs(30)).await;
        assert_eq!(refused.unwrap_err().cause, AssertionErrorKind::NotAFile);
    }
}
