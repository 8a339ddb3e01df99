//! What to do about a failure: the exact command where there is one.

use std::time::Duration;

use mcp_client_oauth::{
    Error, Remedy, ServerUrl,
    error::{
        AuthorizationError, CallbackError, DiscoveryError, RegistrationError, ServerMetadataError,
        TokenError, TokenRefreshError,
    },
    proto::{server_metadata::Issuer, untrusted_text::UntrustedText},
};
use url::Url;

use super::{
    general::{general_hint, network_hint},
    machine,
    proposal::Proposal,
    storage,
    subject::Subject,
};
use crate::shell::quoted;

/// Says how long a login may take that follows one that has timed out, at least.
const LONGER: Duration = Duration::from_secs(600);

/// Returns the next step after `error`, in a command about `subject`.
pub(crate) fn hint_of(error: &Error, subject: &Subject) -> String {
    match error {
        _ if error.is_invalid_scope() => format!(
            "name the scope to request, of those that the server allows: {}",
            subject.login().with_value("--scope", "SCOPE")
        ),
        Error::Discovery(cause) => discovery_hint(cause, subject),
        Error::Registration(cause) => registration_hint(cause, subject),
        Error::Authorization(cause) => authorization_hint(cause, subject),
        Error::TokenExchange { cause, .. } => exchange_hint(cause, error.remedy(), subject),
        Error::MachineGrant(cause) | Error::TokenRefresh(TokenRefreshError::Machine(cause)) => {
            machine::hint(cause, error.remedy(), subject)
        }
        Error::TokenRefresh(TokenRefreshError::Discovery(cause)) => hint_of(cause, subject),
        // A login that is still good is used again: only `--force` asks for another one.
        Error::TokenRefresh(
            TokenRefreshError::NotRefreshable { .. } | TokenRefreshError::Rejected(_),
        ) => {
            format!("for new tokens now: {}", subject.login().with("--force"))
        }
        Error::TokenRefresh(TokenRefreshError::Answer { cause, .. })
            if error.remedy() == Remedy::LogIn && !cause.is("invalid_grant") =>
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

/// Returns the login with options that it lacks.
pub(crate) fn login_with(subject: &Subject, more: &[(&'static str, Option<&str>)]) -> String {
    let login = more
        .iter()
        .fold(subject.login(), |login, (name, value)| match value {
            Some(value) => login.with_value(name, *value),
            None => login.with(name),
        });
    login.to_string()
}

/// Returns a new login, whatever is stored.
pub(crate) fn forced_login(subject: &Subject) -> String {
    subject.login().with("--force").to_string()
}

/// After a name that nothing is stored for: the same command with one that is `near`, else a login.
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

fn discovery_hint(cause: &DiscoveryError, subject: &Subject) -> String {
    let server = subject.server_url();
    if let Some(url) = server.and_then(|server| cause.other_spelling(&server)) {
        return format!(
            "the server names another URL for itself: {}",
            subject.login_at(&url)
        );
    }
    match cause {
        DiscoveryError::NotProtected { .. } => {
            "no login is needed: use the server without a token, or check the path of its URL"
                .to_owned()
        }
        DiscoveryError::NotMcp { .. } => not_mcp_hint(subject),
        DiscoveryError::NoResourceMetadata { .. } => format!(
            "if the server is of the revision 2025-03-26: {}",
            subject.login().with("--legacy")
        ),
        DiscoveryError::LegacyMetadata { issuer, .. } => legacy_hint(issuer, subject),
        DiscoveryError::ServerMetadata {
            cause: ServerMetadataError::OtherIssuer { found, .. },
            ..
        } => other_issuer_hint(found, subject),
        DiscoveryError::PkceUnlisted(_) => format!(
            "many servers check PKCE without listing it in their metadata. If the operator or the \
             documentation of this one says so: {}",
            subject.login().with("--pkce-unlisted")
        ),
        other => general_hint(Error::from(other.clone()).remedy(), subject),
    }
}

/// Returns the path that most servers have is proposed once, and only where none was typed.
fn not_mcp_hint(subject: &Subject) -> String {
    let server = subject.server_url();
    let bare = server.filter(|url| url.as_url().path() == "/" && url.as_url().query().is_none());
    let usual = bare.and_then(|bare| {
        let text = format!("{}mcp", bare.as_str());
        ServerUrl::parse_allow_http(&text).ok()
    });
    match usual {
        Some(url) => format!(
            "this is no MCP server; many are at the path /mcp: {}",
            subject.login_at(&url)
        ),
        None => "this is no MCP server: check the URL, and its path above all".to_owned(),
    }
}

/// Returns an old server that calls itself by another name than its origin has to be accepted by that name too.
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
        "to use that authorization server, only if the operator of the server says that this is its own \
         name: {}",
        accepting(login, issuer, subject)
    )
}

/// Both names are in the message. The one that the server gave is repeated in a command only where it is
/// of the server's own origin, or both are on loopback: what is pasted must not lead elsewhere.
fn other_issuer_hint(found: &Issuer, subject: &Subject) -> String {
    // `--force` binds the accepted name to the issuer that is found now, even if it was accepted for
    // another one.
    let login = subject.login().with("--force");
    let lead =
        "nothing was stored. Only if whoever runs the server says that this is its own name:";
    format!("{lead} {}", accepting(login, found, subject))
}

fn accepting(login: Proposal, found: &Issuer, subject: &Subject) -> String {
    let server = subject.server_url();
    if server.is_some_and(|server| is_near(&server, found.as_str())) {
        let login = login.with_more("--accept-issuer", found.as_str());
        return login.to_string();
    }
    let login = login.with_more("--accept-issuer", "ISSUER");
    format!("{login}  (ISSUER is the name in the message)")
}

/// Returns whether what a server named is of the origin of `server`, or both are on loopback.
fn is_near(server: &ServerUrl, named: &str) -> bool {
    let is_of_origin = |named: Url| named.origin() == server.as_url().origin();
    let on_loopback = || {
        server.is_loopback()
            && named
                .parse::<ServerUrl>()
                .is_ok_and(|url| url.is_loopback())
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
            format!("get a client id of the new issuer, then: {}", with_id())
        }
        RegistrationError::Answer { cause, .. } if cause.may_be_allow_list() => format!(
            "the vendor may admit only clients on its own list: request access from it, or log in \
             with a client ID that it gave you: {}",
            with_id()
        ),
        RegistrationError::Answer { .. } => {
            format!(
                "if it happens again, register a client there, then: {}",
                with_id()
            )
        }
        RegistrationError::NoClient(_) => machine::client_hint(subject),
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
        AuthorizationError::NoGrant { wanted, .. }
            if wanted.is_some() || subject.way().is_some() =>
        {
            format!("log in with a browser: {}", subject.browser_login())
        }
        AuthorizationError::NoGrant { .. } => format!(
            "if the server has given you a client: {}",
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
            "the token is for {} alone; log in to the other server by its own URL",
            UntrustedText::new(resource)
        ),
        AuthorizationError::Callback(CallbackError::Issuer { found, .. }) => {
            other_issuer_hint(found, subject)
        }
        AuthorizationError::Callback(_) => format!(
            "nothing was stored; if it happens again, tell whoever runs the server. To try again: {}",
            subject.login()
        ),
        other => general_hint(Error::from(other.clone()).remedy(), subject),
    }
}

/// Plain http beyond this machine is for `login` to allow, unless a name stands for the URL already.
fn login_hint(server: &ServerUrl, subject: &Subject) -> String {
    if server.is_plaintext() && !subject.is_known() {
        let login = subject.login().with("--allow-http");
        return format!("for a private network that you trust: {login}");
    }
    subject.login().to_string()
}

/// Returns a client that was registered by the user cannot be registered again, so `--force` helps it nothing.
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

/// Returns what is remembered of a name, `--force` with a URL forgets.
fn bearer_login(subject: &Subject) -> Proposal {
    let login = match subject.server_url().filter(|_| subject.is_known()) {
        Some(url) => subject.login_at(&url).with("--force"),
        None => subject.login(),
    };
    login.without(&["--dpop"])
}

/// After a refusal that leaves the login stored. Its access token may not have expired, and then only
/// `--force` brings another one.
fn refresh_hint(error: &Error, subject: &Subject) -> String {
    let login = subject.login().with("--force");
    if error.is_unknown_client() && subject.has_own_client() {
        return format!(
            "check the id of the client and its secret: {}",
            login.with("--client-secret-stdin")
        );
    }
    login.to_string()
}

fn exchange_hint(cause: &TokenError, remedy: Remedy, subject: &Subject) -> String {
    if cause.is("invalid_client") && subject.has_own_client() {
        return format!(
            "check the id of the client and its secret: {}",
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
        let told = Failure::from(error.into()).told(Some(&Subject::named("notes")));
        told.hint.unwrap()
    }

    #[test]
    fn a_busy_port_that_is_remembered_can_be_left() {
        let hint = hint(AuthorizationError::PortBusy(7));
        assert!(hint.ends_with("mcp-oauth login notes --port 0"));
    }

    #[test]
    fn the_next_try_has_more_time_than_the_last() {
        for (after, longer) in [(1, "10m"), (300, "10m"), (600, "20m"), (5400, "3h")] {
            let hint = hint(AuthorizationError::TimedOut(Duration::from_secs(after)));
            let expected = format!("mcp-oauth login notes --timeout {longer}  (and --force");
            assert!(hint.starts_with(&expected), "{hint}");
        }
    }

    #[test]
    fn what_a_server_named_is_in_no_command_unless_it_is_near() {
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
