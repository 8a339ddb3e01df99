//! A failure in words: the message, a code for programs, the exit code, and what to do next.

use std::fmt::Write as _;

use mcp_client_oauth::{
    Error, Remedy,
    error::{Attempt, AuthorizationError, DiscoveryError, TokenStorageError},
};

use crate::{
    error::{Exit, Failure, Told},
    hints::{Subject, forced_login, hint_of, login_with, unknown_name_hint},
};

impl Failure {
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

fn exit_of(error: &Error) -> Exit {
    match error.remedy() {
        Remedy::LogIn => Exit::LogIn,
        Remedy::Retry => Exit::Later,
        _ => Exit::Failed,
    }
}

/// Returns the stage, or the cause where scripts may want to tell it.
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

/// Returns the error's own words; what was tried in vain gets a line for each URL.
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

fn with_tried(mut message: String, tried: &[Attempt]) -> String {
    for place in tried {
        // Writing to a string does not fail.
        let _infallible = write!(message, "\n  tried {place}");
    }
    message
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
}
