//! The hints for errors of a login and of a request.

use std::time::Duration;

use mcp_client_oauth::{
    Error, Remedy, ServerUrl,
    error::{
        AuthorizationError, CallbackError, DeviceResponseError, DiscoveryError,
        NonInteractiveGrantError, RegistrationError, RegistrationResponseError,
        ServerMetadataError, TokenError, TokenRefreshError, UntrustedText,
    },
    flow::Issuer,
};
use url::Url;

use super::{
    general::{general_hint, network_hint},
    non_interactive,
    proposal::Proposal,
    storage,
    subject::Subject,
};
use crate::{servers::is_loopback, shell::quoted};

/// The shortest timeout to propose after a login that timed out.
const LONGER: Duration = Duration::from_secs(600);

/// Returns the next step after `error`, in a command about `subject`.
pub(crate) fn hint_of(error: &Error, subject: &Subject) -> String {
    match error {
        _ if is_invalid_scope(error) => format!(
            "request a scope that the server allows: {}",
            subject.login().with_value("--scope", "SCOPE")
        ),
        Error::Discovery(cause) => discovery_hint(cause, subject),
        Error::Registration(cause) => registration_hint(cause, subject),
        Error::Authorization(cause) => authorization_hint(cause, subject),
        Error::TokenExchange { cause, .. } => exchange_hint(cause, error.remedy(), subject),
        Error::NonInteractiveGrant(cause)
        | Error::TokenRefresh(TokenRefreshError::NonInteractiveGrant(cause)) => {
            non_interactive::hint(cause, error.remedy(), subject)
        }
        Error::TokenRefresh(TokenRefreshError::Discovery(cause)) => hint_of(cause, subject),
        // A valid login is reused: only `--force` logs in again.
        Error::TokenRefresh(
            TokenRefreshError::NotRefreshable { .. } | TokenRefreshError::Rejected(_),
        ) => {
            format!("to get new tokens now: {}", subject.login().with("--force"))
        }
        Error::TokenRefresh(TokenRefreshError::Response { cause, .. })
            if error.remedy() == Remedy::LogIn && !cause.has_code("invalid_grant") =>
        {
            refresh_hint(error, subject)
        }
        Error::TokenStorage(cause) => storage::hint(cause, subject),
        Error::Http(cause) | Error::TokenRefresh(TokenRefreshError::Http(cause)) => {
            network_hint(cause, error.remedy(), subject)
        }
        _ => general_hint(error.remedy(), subject),
    }
}

/// Returns the login with the options that it lacks.
pub(crate) fn login_with(subject: &Subject, more: &[(&'static str, Option<&str>)]) -> String {
    let login = more
        .iter()
        .fold(subject.login(), |login, (name, value)| match value {
            Some(value) => login.with_value(name, *value),
            None => login.with(name),
        });
    login.to_string()
}

/// Returns the login that ignores the stored tokens.
pub(crate) fn forced_login(subject: &Subject) -> String {
    subject.login().with("--force").to_string()
}

/// Returns the hint for an unknown name: the same command with the name that is `near`, else a login.
pub(crate) fn unknown_name_hint(name: &str, near: Option<&str>, subject: &Subject) -> String {
    let new = format!("mcp-oauth login {} URL", quoted(name));
    match near {
        None => new,
        Some(near) => match subject.renamed(near) {
            Some(same) if subject.is_login() => format!("{same}; for a new server: {new}"),
            Some(same) => same.to_string(),
            None => format!("the same command with `{near}`"),
        },
    }
}

/// Returns whether an authorization server refused the scope (RFC 6749 §4.1.2.1 and §5.2).
fn is_invalid_scope(error: &Error) -> bool {
    let code = "invalid_scope";
    match error {
        Error::Authorization(
            AuthorizationError::Refused(error)
            | AuthorizationError::Device {
                cause:
                    DeviceResponseError::Refused {
                        error: Some(error), ..
                    },
                ..
            },
        ) => error.has_code(code),
        Error::TokenExchange { cause, .. }
        | Error::TokenRefresh(
            TokenRefreshError::Response { cause, .. }
            | TokenRefreshError::NonInteractiveGrant(NonInteractiveGrantError::Response {
                cause,
                ..
            }),
        )
        | Error::NonInteractiveGrant(NonInteractiveGrantError::Response { cause, .. }) => {
            cause.has_code(code)
        }
        _ => false,
    }
}

fn discovery_hint(cause: &DiscoveryError, subject: &Subject) -> String {
    let server = subject.server_url();
    if let Some(url) = server.and_then(|server| cause.other_spelling(&server)) {
        return format!(
            "the server gives another URL as its own: {}",
            subject.login_at(&url)
        );
    }
    match cause {
        DiscoveryError::NotProtected { .. } => {
            "use the server without a token, or check the path of its URL".to_owned()
        }
        DiscoveryError::NotMcp { .. } => not_mcp_hint(subject),
        DiscoveryError::NoResourceMetadata { .. } => format!(
            "if the server implements MCP 2025-03-26: {}",
            subject.login().with("--legacy")
        ),
        DiscoveryError::LegacyMetadata { issuer, .. } => legacy_hint(issuer, subject),
        DiscoveryError::ServerMetadata {
            cause: ServerMetadataError::IssuerMismatch { found, .. },
            ..
        } => other_issuer_hint(found, subject),
        DiscoveryError::PkceUnlisted(_) => format!(
            "many servers check PKCE without listing it in their metadata. If the operator or the \
             documentation of this one confirms it: {}",
            subject.login().with("--assume-pkce")
        ),
        other => general_hint(Error::from(other.clone()).remedy(), subject),
    }
}

/// Returns the hint for a URL that is no MCP server. The usual path is proposed only if none was typed.
fn not_mcp_hint(subject: &Subject) -> String {
    let server = subject.server_url();
    let bare = server.filter(|url| url.as_url().path() == "/" && url.as_url().query().is_none());
    let usual = bare.and_then(|bare| {
        let text = format!("{}mcp", bare.as_str());
        ServerUrl::parse_allow_http(&text).ok()
    });
    match usual {
        Some(url) => format!(
            "many MCP servers are at the path /mcp: {}",
            subject.login_at(&url)
        ),
        None => "check the URL, especially its path".to_owned(),
    }
}

/// Returns the hint for a server of MCP 2025-03-26. An issuer other than its origin has to be accepted too.
fn legacy_hint(issuer: &Issuer, subject: &Subject) -> String {
    let login = subject.login().with("--legacy");
    let is_origin = subject.server_url().is_some_and(|server| {
        let origin = server.as_url().origin().ascii_serialization();
        issuer.as_str().trim_end_matches('/') == origin
    });
    if is_origin {
        return format!("to use that authorization server: {login}");
    }
    format!(
        "to use that authorization server, only if the operator of the server confirms this issuer: {}",
        accepting(login, issuer, subject)
    )
}

/// Returns the hint for another issuer. Both issuers are in the message. The one that the server gave is
/// repeated in a command only if it has the origin of the server, or both are on loopback: a pasted command
/// must not lead to an untrusted host.
fn other_issuer_hint(found: &Issuer, subject: &Subject) -> String {
    // `--force` binds the accepted issuer to this authorization server, even if it was accepted for another.
    let login = subject.login().with("--force");
    let lead = "nothing was stored. Only if the operator of the server confirms this issuer:";
    format!("{lead} {}", accepting(login, found, subject))
}

fn accepting(login: Proposal, found: &Issuer, subject: &Subject) -> String {
    let server = subject.server_url();
    if server.is_some_and(|server| is_near(&server, found.as_str())) {
        let login = login.with_more("--accept-issuer", found.as_str());
        return login.to_string();
    }
    let login = login.with_more("--accept-issuer", "ISSUER");
    format!("{login}  (ISSUER is the issuer in the message)")
}

/// Returns whether the issuer `named` has the origin of `server`, or both are on loopback.
fn is_near(server: &ServerUrl, named: &str) -> bool {
    let is_of_origin = |named: Url| named.origin() == server.as_url().origin();
    let on_loopback = || {
        is_loopback(server.as_url())
            && named
                .parse::<ServerUrl>()
                .is_ok_and(|url| is_loopback(url.as_url()))
    };
    named.parse().is_ok_and(is_of_origin) || on_loopback()
}

fn registration_hint(cause: &RegistrationError, subject: &Subject) -> String {
    let with_id = || subject.login().with_value("--client-id", "ID");
    match cause {
        RegistrationError::RegistrationNotSupported(_) => {
            format!("register a client with that server, then: {}", with_id())
        }
        RegistrationError::IssuerMismatch { .. } => {
            format!("get a client ID of the new issuer, then: {}", with_id())
        }
        RegistrationError::Response { cause, .. } if may_be_allow_list(cause) => format!(
            "the server may accept only clients on an allow list: request access from its operator, or \
             log in with a client ID of the operator: {}",
            with_id()
        ),
        RegistrationError::Response { .. } => {
            format!(
                "if it fails again, register a client there, then: {}",
                with_id()
            )
        }
        RegistrationError::NoClient(_) => non_interactive::client_hint(subject),
        RegistrationError::Document(_) => {
            let url = "https://HOST/client.json";
            let login = subject.login().with_value("--client-metadata-url", url);
            format!("host the document at such a URL: {login}")
        }
        RegistrationError::SigningAlgorithm { .. } => format!(
            "use a key of another kind: {}",
            subject.login().with_value("--private-key", "FILE")
        ),
        other => general_hint(Error::from(other.clone()).remedy(), subject),
    }
}

/// Returns whether the server may register only the clients of an allow list, as Figma and `ClickUp` do: it
/// refuses the client, and its error names nothing in the request that could be changed.
fn may_be_allow_list(cause: &RegistrationResponseError) -> bool {
    let RegistrationResponseError::Refused { status, error, .. } = cause else {
        return false;
    };
    // RFC 7591 §3.2.2: these codes are about members of the request.
    let of_request = [
        "invalid_redirect_uri",
        "invalid_client_metadata",
        "invalid_software_statement",
        "unapproved_software_statement",
    ];
    let names_request = |code: &&str| error.as_ref().is_some_and(|error| error.has_code(code));
    matches!(status, 400 | 401 | 403) && !of_request.iter().any(names_request)
}

fn authorization_hint(cause: &AuthorizationError, subject: &Subject) -> String {
    match cause {
        AuthorizationError::LoginRequired(server) => login_hint(server, subject),
        AuthorizationError::TimedOut(after) => timeout_hint(*after, subject),
        AuthorizationError::CodeExpired => subject.login().with("--device").to_string(),
        AuthorizationError::NoGrant {
            must_be_named: Some(_),
            ..
        } => format!("log in with a code: {}", subject.login().with("--device")),
        AuthorizationError::NoDeviceEndpoint(_) => {
            format!("log in with a browser: {}", subject.browser_login())
        }
        AuthorizationError::NoGrant { requested, .. }
            if requested.is_some() || subject.grant().is_some() =>
        {
            format!("log in with a browser: {}", subject.browser_login())
        }
        AuthorizationError::NoGrant { .. } => format!(
            "if you have a client ID of the server: {}",
            subject
                .login()
                .with("--client-credentials")
                .with_value("--client-id", "ID")
                .with("--client-secret-stdin")
        ),
        AuthorizationError::ScopeNotGranted { scope, .. } => {
            let scope = scope.to_string();
            subject.login().with_value("--scope", scope).to_string()
        }
        AuthorizationError::PortBusy(_) => format!(
            "choose another port, or let the system choose one: {}",
            any_port(subject)
        ),
        AuthorizationError::Listener(_) | AuthorizationError::RedirectUri(_) => {
            format!(
                "let the system choose a port of this machine: {}",
                any_port(subject)
            )
        }
        AuthorizationError::DpopUnsupported(_) => {
            format!("log in with bearer tokens: {}", bearer_login(subject))
        }
        AuthorizationError::OutsideResource { resource, .. } => format!(
            "the token is only for {}; log in to the other server with its own URL",
            UntrustedText::new(resource)
        ),
        AuthorizationError::Callback(CallbackError::Issuer { found, .. }) => {
            other_issuer_hint(found, subject)
        }
        AuthorizationError::Callback(_) => format!(
            "nothing was stored; if it fails again, contact the operator of the server. To try again: {}",
            subject.login()
        ),
        other => general_hint(Error::from(other.clone()).remedy(), subject),
    }
}

/// Returns the login. Plain http beyond this machine has to be allowed, unless the URL has a name already.
fn login_hint(server: &ServerUrl, subject: &Subject) -> String {
    if server.is_plaintext() && !subject.is_known() {
        let login = subject.login().with("--allow-http");
        return format!("for a private network that you trust: {login}");
    }
    subject.login().to_string()
}

/// Returns the hint for a login that timed out. `--force` is of no use with a pre-registered client, because
/// that cannot be registered again.
fn timeout_hint(after: Duration, subject: &Subject) -> String {
    let longer = LONGER.max(after.saturating_mul(2));
    let longer = humantime::format_duration(longer)
        .to_string()
        .replace(' ', "");
    let login = subject.login().with_value("--timeout", longer);
    if subject.has_own_client() {
        return login.to_string();
    }
    format!("{login}  (and --force, if the browser showed an error about the client)")
}

fn any_port(subject: &Subject) -> Proposal {
    subject.login().with_value("--port", "0")
}

/// Returns a login without `--dpop`: `--force` with a URL resets the stored options of a name.
fn bearer_login(subject: &Subject) -> Proposal {
    let login = match subject.server_url().filter(|_| subject.is_known()) {
        Some(url) => subject.login_at(&url).with("--force"),
        None => subject.login(),
    };
    login.without(&["--dpop"])
}

/// Returns the hint for a refused refresh that leaves the login stored. Its access token may still be valid,
/// and then only `--force` gets another one.
fn refresh_hint(error: &Error, subject: &Subject) -> String {
    let login = subject.login().with("--force");
    if error.is_unknown_client() && subject.has_own_client() {
        return format!(
            "check the client ID and its secret: {}",
            login.with("--client-secret-stdin")
        );
    }
    login.to_string()
}

fn exchange_hint(cause: &TokenError, remedy: Remedy, subject: &Subject) -> String {
    if cause.has_code("invalid_client") && subject.has_own_client() {
        return format!(
            "check the client ID and its secret: {}",
            subject.login().with("--client-secret-stdin")
        );
    }
    general_hint(remedy, subject)
}

#[cfg(test)]
mod tests {
    use crate::error::Failure;

    use super::*;

    fn hint(error: impl Into<Error>) -> String {
        let failure = Failure::from(error.into());
        failure.render(Some(&Subject::named("notes"))).hint.unwrap()
    }

    #[test]
    fn the_hint_of_a_busy_port_proposes_any_port() {
        let hint = hint(AuthorizationError::PortBusy(7));
        assert!(hint.ends_with("mcp-oauth login notes --port 0"));
    }

    #[test]
    fn the_proposed_timeout_is_longer_than_the_last() {
        for (after, longer) in [(1, "10m"), (300, "10m"), (600, "20m"), (5400, "3h")] {
            let hint = hint(AuthorizationError::TimedOut(Duration::from_secs(after)));
            let expected = format!("mcp-oauth login notes --timeout {longer}  (and --force");
            assert!(hint.starts_with(&expected), "{hint}");
        }
    }

    #[test]
    fn only_an_issuer_of_the_same_origin_is_repeated_in_a_command() {
        let near = |server: &str, named| is_near(&server.parse().unwrap(), named);
        assert!(near("https://a.example/mcp", "https://a.example/tenant"));
        assert!(near("http://127.0.0.1:1/mcp", "http://localhost:2"));
        for named in [
            "https://evil.example",
            "http://a.example/mcp",
            "https://a.example:8443/",
            "http://127.0.0.1:1/",
            "",
        ] {
            assert!(!near("https://a.example/mcp", named), "{named}");
        }
        assert!(!near("http://127.0.0.1:1/mcp", "https://evil.example"));
    }
}
