//! How a command ends: its exit code, and for a failure the message and what to do next.

use std::{fmt::Write as _, path::Path};

use mcp_client_oauth::{
    Error, Remedy,
    error::{AuthorizationError, DiscoveryError, TokenStorageError, Tried},
};

use crate::hints::{Subject, forced_login, hint_of, login_with, unknown_name_hint};

/// The exit code. `--help` lists them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// What was asked for has happened.
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

/// Why a command has not done what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Asked for in a way that cannot be meant.
    Usage {
        /// What is wrong.
        message: String,
        /// What would be right.
        hint: Option<String>,
    },
    /// A login lacks an option.
    Lacks {
        /// What is wrong.
        message: String,
        /// What to do about it, before the command.
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
        /// What is wrong.
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
        /// What happened.
        message: String,
        /// What to do about it.
        hint: Option<String>,
        /// How the command ends.
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

    /// Puts it in words, for a command about `subject`.
    pub(crate) fn told(self, subject: Option<&Subject>) -> Told {
        let unnamed = Subject::default();
        let subject = subject.unwrap_or(&unnamed);
        let usage = |message, hint| Told {
            exit: Exit::Usage,
            code: "usage",
            message,
            hint: Some(hint),
        };
        match self {
            Self::Lacks {
                message,
                lead,
                option,
            } => usage(
                message,
                format!("{lead}: {}", login_with(subject, &[option])),
            ),
            Self::UnknownName {
                name,
                near,
                message,
            } => usage(message, unknown_name_hint(&name, near.as_deref(), subject)),
            Self::TokenRefused(message) => Told {
                exit: Exit::LogIn,
                code: "refused",
                message,
                hint: Some(forced_login(subject)),
            },
            Self::Usage { message, hint } => Told {
                exit: Exit::Usage,
                code: "usage",
                message,
                hint,
            },
            Self::Other {
                code,
                message,
                hint,
                exit,
            } => Told {
                exit,
                code,
                message,
                hint,
            },
            Self::Library(error) => Told {
                exit: exit_of(&error),
                code: code_of(&error),
                message: message_of(&error),
                hint: Some(hint_of(&error, subject)),
            },
        }
    }
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Library(Box::new(error.into()))
    }
}

fn exit_of(error: &Error) -> Exit {
    match error.remedy() {
        Remedy::LogIn => Exit::LogIn,
        Remedy::Retry => Exit::Later,
        _ => Exit::Failed,
    }
}

/// The stage, or the cause where scripts may want to tell it.
fn code_of(error: &Error) -> &'static str {
    match error {
        Error::Discovery(DiscoveryError::NotProtected { .. }) => "not_protected",
        Error::Discovery(DiscoveryError::LegacyMetadata { .. }) => "legacy_metadata",
        Error::Discovery(DiscoveryError::NotMcp { .. }) => "not_mcp",
        Error::Discovery(_) => "discovery",
        Error::Registration(_) => "registration",
        Error::Authorization(AuthorizationError::LoginRequired(_)) => "login_required",
        Error::Authorization(AuthorizationError::Denied(_)) => "denied",
        Error::Authorization(AuthorizationError::CodeExpired) => "code_expired",
        Error::Authorization(AuthorizationError::TimedOut(_)) => "timed_out",
        Error::Authorization(AuthorizationError::ScopeNotGranted { .. }) => "insufficient_scope",
        Error::Authorization(_) => "authorization",
        Error::TokenExchange { .. } => "token_exchange",
        Error::TokenRefresh(_) => "token_refresh",
        Error::TokenStorage(TokenStorageError::WrongPassword(_)) => "wrong_password",
        Error::TokenStorage(TokenStorageError::PasswordNeeded(_)) => "password_needed",
        Error::TokenStorage(_) => "token_storage",
        Error::MachineGrant(_) => "machine_grant",
        Error::Revocation { .. } => "revocation",
        Error::Http(_) => "http",
        _ => "failed",
    }
}

/// The error's own words; what was tried in vain gets a line for each URL.
fn message_of(error: &Error) -> String {
    let Error::Discovery(cause) = error else {
        return error.to_string();
    };
    let (message, tried) = match cause {
        DiscoveryError::NotProtected {
            server,
            status,
            tried,
        } => (
            format!(
                "this server asks for no authorization: {server} answered HTTP {status} without a \
                 token"
            ),
            tried,
        ),
        DiscoveryError::NoResourceMetadata {
            server,
            status,
            tried,
        } => (
            format!("{server} answered HTTP {status} and says nowhere who issues its tokens"),
            tried,
        ),
        DiscoveryError::LegacyMetadata {
            server,
            status,
            url,
            issuer,
            tried,
        } => (
            format!(
                "{server} responded with HTTP {status} and no protected resource metadata was found, \
                 but its own origin has metadata of the authorization server {issuer}, as MCP \
                 2025-03-26 has it: {url}"
            ),
            tried,
        ),
        DiscoveryError::NotMcp {
            server,
            status,
            html,
            tried,
        } => {
            let page = if *html { ", a web page" } else { "" };
            let message = format!("no MCP server responds at {server} (HTTP {status}{page})");
            (message, tried)
        }
        DiscoveryError::NoServerMetadata { issuer, tried } => (
            format!("the authorization server {issuer} publishes no metadata"),
            tried,
        ),
        _ => return error.to_string(),
    };
    with_tried(message, tried)
}

fn with_tried(mut message: String, tried: &[Tried]) -> String {
    for place in tried {
        // Writing to a string does not fail.
        let _infallible = write!(message, "\n  tried {place}");
    }
    message
}

/// One word for a POSIX shell.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use mcp_client_oauth::ServerUrl;

    use super::*;

    fn server() -> ServerUrl {
        "https://mcp.example/mcp".parse().unwrap()
    }

    #[test]
    fn a_missing_login_says_how_to_log_in() {
        let failure = Failure::from(AuthorizationError::LoginRequired(server()));
        let told = failure.told(Some(&Subject::named("notes")));
        assert_eq!((told.exit, told.code), (Exit::LogIn, "login_required"));
        assert_eq!(told.hint.as_deref(), Some("mcp-oauth login notes"));
    }

    #[test]
    fn what_was_tried_has_a_line_for_each_url() {
        let error = DiscoveryError::NotProtected {
            server: server(),
            status: 200,
            tried: vec![],
        };
        let told = Failure::from(error).told(None);
        assert!(
            told.message
                .starts_with("this server asks for no authorization")
        );
        assert_eq!(told.exit, Exit::Failed);
    }

    #[test]
    fn a_hint_can_be_pasted_into_a_shell() {
        assert_eq!(quoted("notes"), "notes");
        assert_eq!(quoted("https://x.example/mcp"), "https://x.example/mcp");
        assert_eq!(quoted("https://x.example/?a&b"), "'https://x.example/?a&b'");
        assert_eq!(quoted("it's; rm -rf /"), r"'it'\''s; rm -rf /'");
    }
}
