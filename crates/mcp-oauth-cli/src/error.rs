//! How a command ends: its exit code, and why it has failed.

use std::path::Path;

use mcp_client_oauth::Error;

/// The exit code. `--help` lists them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Holds what was asked for has happened.
    Done = 0,
    /// It has not.
    Failed = 1,
    /// It was asked for in a way that cannot be meant.
    Usage = 2,
    /// A person must log in.
    LogIn = 3,
    /// The same may work later.
    Later = 4,
    /// SIGHUP, as shells have it: 128 and the number of the signal.
    HungUp = 129,
    /// Ctrl-C.
    Interrupted = 130,
    /// SIGTERM.
    Terminated = 143,
}

/// Says why a command has not done what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Asked for in a way that cannot be meant.
    Usage {
        /// Holds what is wrong.
        message: String,
        /// Holds what would be right.
        hint: Option<String>,
    },
    /// A login lacks an option.
    Lacks {
        /// Holds what is wrong.
        message: String,
        /// Holds what to do about it, before the command.
        lead: &'static str,
        /// The option, and what stands for its value if it takes one.
        option: (&'static str, Option<&'static str>),
    },
    /// Nothing is known by a name.
    UnknownName {
        /// The name that was typed.
        name: String,
        /// The known name that is most like it.
        near: Option<String>,
        /// Holds what is wrong.
        message: String,
    },
    /// The server refuses every token of this login.
    TokenRefused(String),
    /// The library says why.
    Library(Box<Error>),
    /// Everything else.
    Other {
        /// A word for programs.
        code: &'static str,
        /// Holds what happened.
        message: String,
        /// Holds what to do about it.
        hint: Option<String>,
        /// Says how the command ends.
        exit: Exit,
    },
}

/// A failure in words.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Told {
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

    /// A login lacks an option.
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

    /// A file could not be used.
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
