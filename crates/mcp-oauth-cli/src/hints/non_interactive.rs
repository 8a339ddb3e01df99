//! The hints for a non-interactive login: the options that it lacks, or a login in a browser.

use mcp_client_oauth::{
    Remedy,
    error::{NonInteractiveGrantError, TokenError, TokenExchangeError},
};

use super::{
    general::{general_hint, network_hint},
    proposal::Proposal,
    subject::Subject,
};
use crate::servers::GrantKind;

pub(super) fn hint(cause: &NonInteractiveGrantError, remedy: Remedy, subject: &Subject) -> String {
    match cause {
        NonInteractiveGrantError::SourceRequired(grant) => format!(
            "it is stored only on the machine that it was given on; give it here: {}",
            source_login(subject, *grant == "enterprise")
        ),
        NonInteractiveGrantError::Http(error) => network_hint(error, remedy, subject),
        _ if remedy == Remedy::Retry || remedy == Remedy::ContactServerOperator => {
            general_hint(remedy, subject)
        }
        NonInteractiveGrantError::Assertion(_) => format!(
            "check that it exists, or give another: {}",
            with_assertion(subject)
        ),
        NonInteractiveGrantError::PublicClient { .. } => secret_hint(subject),
        NonInteractiveGrantError::IdJagNotSupported(_) => {
            format!("log in with a browser: {}", subject.browser_login())
        }
        NonInteractiveGrantError::IdentityProvider { cause, .. } => {
            identity_provider_hint(cause, subject)
        }
        NonInteractiveGrantError::Response { cause, .. } => response_hint(cause, subject),
        _ => general_hint(remedy, subject),
    }
}

/// Returns the hint for a login without a registered client.
pub(super) fn client_hint(subject: &Subject) -> String {
    let login = subject.login().with_value("--client-id", "ID");
    let login = match subject.grant() {
        Some(GrantKind::Workload) => login,
        _ => login.with("--client-secret-stdin"),
    };
    format!("register a client with that server, then: {login}")
}

fn secret_hint(subject: &Subject) -> String {
    format!(
        "give the secret of the client, or its key by --private-key FILE: {}",
        subject.login().with("--client-secret-stdin")
    )
}

fn response_hint(cause: &TokenError, subject: &Subject) -> String {
    let is_client = ["invalid_client", "unauthorized_client"];
    if is_client.iter().any(|code| cause.has_code(code)) {
        return match subject.grant() {
            Some(GrantKind::ClientCredentials) => secret_hint(subject),
            _ => client_hint(subject),
        };
    }
    if cause.has_code("invalid_scope") {
        let login = subject.login().with_value("--scope", "SCOPE");
        return format!("request another scope: {login}");
    }
    match subject.grant() {
        Some(GrantKind::Workload | GrantKind::Enterprise) => format!(
            "give an assertion that the server accepts: {}",
            with_assertion(subject)
        ),
        _ => format!("log in with a browser: {}", subject.browser_login()),
    }
}

fn identity_provider_hint(cause: &TokenExchangeError, subject: &Subject) -> String {
    let is_client =
        matches!(cause, TokenExchangeError::Response(cause) if cause.has_code("invalid_client"));
    let what = if is_client {
        "check --idp-client-id, and MCP_OAUTH_IDP_CLIENT_SECRET or --idp-private-key FILE"
    } else {
        "check the ID token"
    };
    format!("{what}, then: {}", with_assertion(subject))
}

/// Returns the login with another source of its assertion.
fn with_assertion(subject: &Subject) -> Proposal {
    source_login(subject, subject.grant() == Some(GrantKind::Enterprise))
}

fn source_login(subject: &Subject, is_enterprise: bool) -> Proposal {
    let login = subject.login();
    if !is_enterprise {
        return login.with_value("--workload-token", "FILE");
    }
    // The options of an identity provider are given together.
    login
        .with_default("--idp", "ISSUER")
        .with_default("--idp-token-endpoint", "URL")
        .with_default("--idp-client-id", "ID")
        .with_value("--id-token", "FILE")
}
