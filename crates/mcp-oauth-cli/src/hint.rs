//! What to do about a failure: the exact command where there is one.

use mcp_client_oauth::{
    Error, Remedy,
    error::{
        AuthorizationError, CallbackError, DiscoveryError, HttpErrorCause, MachineGrantError,
        RegistrationError, ServerMetadataError, TokenRefreshError,
    },
    proto::{foreign::Foreign, server_metadata::Issuer},
};

use crate::exit::quoted;

mod storage;

/// The next step after `error`, in a command about `subject`.
pub(crate) fn hint_of(error: &Error, subject: &str) -> String {
    match error {
        _ if error.is_invalid_scope() => format!(
            "name the scope to request, of those that the server allows: \
             mcp-oauth login {subject} --scope SCOPE"
        ),
        Error::Discovery(cause) => discovery_hint(cause, subject),
        Error::Registration(cause) => registration_hint(cause, subject),
        Error::Authorization(cause) => authorization_hint(cause, subject),
        Error::MachineGrant(MachineGrantError::ForeignSource)
        | Error::TokenRefresh(TokenRefreshError::Machine(MachineGrantError::ForeignSource)) => {
            format!(
                "for tokens until these end: mcp-oauth login {subject} --workload-token FILE (or \
                 --id-token and what goes with it); for good, if you trust whoever can write \
                 there: export MCP_OAUTH_TRUST_RECORDS=1"
            )
        }
        Error::TokenStorage(cause) => storage::hint(cause, subject),
        Error::Http(cause) | Error::TokenRefresh(TokenRefreshError::Http(cause)) => {
            network_hint(&cause.cause, error.remedy(), subject)
        }
        _ => general_hint(error.remedy(), subject),
    }
}

fn network_hint(cause: &HttpErrorCause, remedy: Remedy, subject: &str) -> String {
    match cause {
        HttpErrorCause::Connect(_) => "check the URL and the network, then try again".to_owned(),
        HttpErrorCause::Certificate(_) => {
            "if an authority of your own network has signed it: the same command with --ca-cert \
             FILE; else tell whoever runs the server"
                .to_owned()
        }
        HttpErrorCause::CertificateRequired => {
            "the same command with --client-cert FILE, and --client-key FILE for its key".to_owned()
        }
        _ => general_hint(remedy, subject),
    }
}

pub(crate) fn general_hint(remedy: Remedy, subject: &str) -> String {
    match remedy {
        Remedy::LogIn => format!("mcp-oauth login {subject}"),
        Remedy::Retry => "try the same command again later".to_owned(),
        Remedy::ReportToServer => {
            "this is a fault of the server: tell whoever runs it; -v shows each step".to_owned()
        }
        _ => format!("see `mcp-oauth login --help`, then: mcp-oauth login {subject}"),
    }
}

fn discovery_hint(cause: &DiscoveryError, subject: &str) -> String {
    match cause {
        DiscoveryError::NotProtected { .. } => {
            "no login is needed: use the server without a token, or check the path of its URL"
                .to_owned()
        }
        DiscoveryError::NoResourceMetadata { .. } => format!(
            "if the server is of the revision 2025-03-26: mcp-oauth login {subject} --legacy"
        ),
        DiscoveryError::LegacyMetadata { .. } => {
            format!("to use that authorization server: mcp-oauth login {subject} --legacy")
        }
        DiscoveryError::ServerMetadata {
            cause: ServerMetadataError::OtherIssuer { found, .. },
            ..
        } => other_issuer_hint(found, subject),
        DiscoveryError::PkceUnlisted(_) => format!(
            "many servers check PKCE without listing it in their metadata. If the operator or the \
             documentation of this one says so: mcp-oauth login {subject} --pkce-unlisted"
        ),
        other => general_hint(Error::from(other.clone()).remedy(), subject),
    }
}

/// Both names are in the message; this one may be a stranger's, so it is quoted.
fn other_issuer_hint(found: &Issuer, subject: &str) -> String {
    // Afresh, so that the name is taken for the server that is found now, even if it was said of another.
    format!(
        "nothing was stored. Only if whoever runs the server says that this is its own name: \
         mcp-oauth login {subject} --force --accept-issuer {}",
        quoted(&found.to_string())
    )
}

fn registration_hint(cause: &RegistrationError, subject: &str) -> String {
    match cause {
        RegistrationError::NoWay(_) => format!(
            "register a client with that server by hand, then: \
             mcp-oauth login {subject} --client-id ID"
        ),
        RegistrationError::OtherIssuer { .. } => {
            format!(
                "get a client id of the new issuer, then: mcp-oauth login {subject} --client-id ID"
            )
        }
        RegistrationError::Answer { cause, .. } if cause.may_be_allow_list() => format!(
            "the vendor may admit only clients on its own list: request access from it, or log in \
             with a client ID that it gave you: mcp-oauth login {subject} --client-id ID"
        ),
        RegistrationError::Answer { .. } => format!(
            "if it goes on, register a client by hand: mcp-oauth login {subject} --client-id ID"
        ),
        other => general_hint(Error::from(other.clone()).remedy(), subject),
    }
}

fn authorization_hint(cause: &AuthorizationError, subject: &str) -> String {
    match cause {
        AuthorizationError::TimedOut(_) => {
            format!(
                "mcp-oauth login {subject}  (--timeout 10m gives more time; --force, if the \
                 browser showed an error about the client)"
            )
        }
        AuthorizationError::CodeExpired => format!("mcp-oauth login {subject} --device"),
        AuthorizationError::NoGrant {
            must_be_named: Some(_),
            ..
        } => format!("log in with a code: mcp-oauth login {subject} --device"),
        AuthorizationError::NoDeviceEndpoint(_)
        | AuthorizationError::NoGrant {
            wanted: Some(_), ..
        } => format!("log in with a browser: mcp-oauth login {subject} --no-browser"),
        AuthorizationError::ScopeNotGranted { scope, .. } => {
            format!(
                "mcp-oauth login {subject} --scope {}",
                quoted(&scope.to_string())
            )
        }
        AuthorizationError::PortBusy(_) => {
            format!(
                "choose another port, or let the system choose one: \
                 mcp-oauth login {subject} --port 0"
            )
        }
        AuthorizationError::OutsideResource { resource, .. } => format!(
            "the token is for {} alone; log in to the other server by its own URL",
            Foreign::new(resource)
        ),
        AuthorizationError::Callback(CallbackError::Issuer { found, .. }) => {
            other_issuer_hint(found, subject)
        }
        AuthorizationError::Callback(_) => format!(
            "nothing was stored; if it happens again, tell whoever runs the server. To try again: \
             mcp-oauth login {subject}"
        ),
        other => general_hint(Error::from(other.clone()).remedy(), subject),
    }
}

#[cfg(test)]
mod tests {
    use crate::exit::Failure;

    use super::*;

    #[test]
    fn a_busy_port_that_is_remembered_can_be_left() {
        let hint = Failure::from(AuthorizationError::PortBusy(7))
            .told(Some("notes"))
            .hint;
        assert!(hint.unwrap().ends_with("mcp-oauth login notes --port 0"));
    }
}
