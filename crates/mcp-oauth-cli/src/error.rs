//! The end of a command: its exit code, and the reason of a failure.

use std::path::Path;

use mcp_client_oauth::Error;

/// The exit code. `--help` lists them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// The command succeeded.
    Done = 0,
    /// The command failed.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// The user must log in.
    LogIn = 3,
    /// The same command may work later.
    Later = 4,
    /// SIGHUP: 128 and the number of the signal, as in a shell.
    HungUp = 129,
    /// Ctrl-C.
    Interrupted = 130,
    /// SIGTERM.
    Terminated = 143,
}

/// The reason of a failed command.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line or the configuration is wrong.
    Usage {
        /// Says what is wrong.
        message: String,
        /// Says what would be right.
        hint: Option<String>,
    },
    /// A login lacks an option.
    Lacks {
        /// Says what is wrong.
        message: String,
        /// Says what to do about it, before the command.
        lead: &'static str,
        /// The option, and the placeholder of its value if it takes one.
        option: (&'static str, Option<&'static str>),
    },
    /// No server has this name.
    UnknownName {
        /// The name that was typed.
        name: String,
        /// The most similar name that is known.
        near: Option<String>,
        /// Says what is wrong.
        message: String,
    },
    /// The server refuses every token of this login.
    TokenRefused(String),
    /// An error of the library.
    Library(Box<Error>),
    /// Everything else.
    Other {
        /// The error code for programs.
        code: &'static str,
        /// Says what happened.
        message: String,
        /// Says what to do about it.
        hint: Option<String>,
        /// The exit code.
        exit: Exit,
    },
}

/// A failure as it is printed.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct RenderedError {
    pub(crate) exit: Exit,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }

    /// Returns the failure of a login that lacks an option.
    pub(crate) fn lacks(
        message: impl Into<String>,
        lead: &'static str,
        option: (&'static str, Option<&'static str>),
    ) -> Self {
        Self::Lacks {
            message: message.into(),
            lead,
            option,
        }
    }

    pub(crate) fn other(
        code: &'static str,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Self {
        Self::Other {
            code,
            message: message.into(),
            hint,
            exit: Exit::Failed,
        }
    }

    /// Returns the failure of an action on a file.
    pub(crate) fn file(action: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::other(
            "file",
            format!("cannot {action} {}: {error}", path.display()),
            None,
        )
    }
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Library(Box::new(error.into()))
    }
}
