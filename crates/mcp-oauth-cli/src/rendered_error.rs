//! A failure as it is printed: the message, a code for programs, the exit code, and a hint.

use std::fmt::Write as _;

use mcp_client_oauth::{
    Error, Remedy,
    error::{Attempt, AuthorizationError, DiscoveryError, TokenStorageError},
};

use crate::{
    error::{Exit, Failure, RenderedError},
    hints::{Subject, forced_login, hint_of, login_with, unknown_name_hint},
};

impl Failure {
    /// Returns the message, the codes and the hint, for a command about `subject`.
    pub(crate) fn render(self, subject: Option<&Subject>) -> RenderedError {
        let unnamed = Subject::default();
        let subject = subject.unwrap_or(&unnamed);
        let usage = |message, hint| RenderedError {
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
            Self::TokenRefused(message) => RenderedError {
                exit: Exit::LogIn,
                code: "refused",
                message,
                hint: Some(forced_login(subject)),
            },
            Self::Usage { message, hint } => RenderedError {
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
            } => RenderedError {
                exit,
                code,
                message,
                hint,
            },
            Self::Library(error) => RenderedError {
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

/// Returns the code of the stage, or of the cause where scripts may need to distinguish it.
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
        Error::Authorization(AuthorizationError::NotPending) => "not_pending",
        Error::Authorization(AuthorizationError::OtherBrowser) => "other_login",
        Error::Authorization(AuthorizationError::ScopeNotGranted { .. }) => "insufficient_scope",
        Error::Authorization(_) => "authorization",
        Error::TokenExchange { .. } => "token_exchange",
        Error::TokenRefresh(_) => "token_refresh",
        Error::TokenStorage(TokenStorageError::WrongPassword(_)) => "wrong_password",
        Error::TokenStorage(TokenStorageError::PasswordNeeded(_)) => "password_needed",
        Error::TokenStorage(_) => "token_storage",
        Error::NonInteractiveGrant(_) => "non_interactive_grant",
        Error::Revocation { .. } => "revocation",
        Error::Http(_) => "http",
        _ => "failed",
    }
}

/// Returns the message of the error, with a line for each URL that was tried.
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
                "{server} requires no authorization (it responded with HTTP {status} without a token)"
            ),
            tried,
        ),
        DiscoveryError::NoResourceMetadata {
            server,
            status,
            tried,
        } => (
            format!(
                "{server} responded with HTTP {status}, and no protected resource metadata was found"
            ),
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
                 but its own origin has metadata of the authorization server {issuer}, as in MCP \
                 2025-03-26: {url}"
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
    for attempt in tried {
        // Writing to a string does not fail.
        let _infallible = write!(message, "\n  tried {attempt}");
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
    fn the_hint_of_a_missing_login_is_the_login_command() {
        let failure = Failure::from(AuthorizationError::LoginRequired(server()));
        let rendered = failure.render(Some(&Subject::named("notes")));
        assert_eq!(
            (rendered.exit, rendered.code),
            (Exit::LogIn, "login_required")
        );
        assert_eq!(rendered.hint.as_deref(), Some("mcp-oauth login notes"));
    }

    #[test]
    fn a_server_without_authorization_is_reported_as_such() {
        let error = DiscoveryError::NotProtected {
            server: server(),
            status: 200,
            tried: vec![],
        };
        let rendered = Failure::from(error).render(None);
        assert!(
            rendered
                .message
                .starts_with("https://mcp.example/mcp requires no authorization")
        );
        assert_eq!(rendered.exit, Exit::Failed);
    }
}
