//! A login that is needed: whether it can begin without a terminal, and what the user has to do.

use mcp_client_oauth::{Error, error::AuthorizationError};

use crate::{
    context::{Context, Target},
    error::{Exit, Failure},
    servers::GrantKind,
};

/// Returns whether a login needs no terminal: it opens a browser, or is non-interactive. A device code would
/// have to be shown.
pub(super) fn can_log_in(context: &Context, target: &Target) -> bool {
    let server = context.remembered(target);
    match server.and_then(|server| server.grant) {
        None => context.config.has_browser,
        Some(GrantKind::Device) => false,
        Some(GrantKind::ClientCredentials | GrantKind::Workload | GrantKind::Enterprise) => true,
    }
}

/// Returns the failure of a login that waits for the user in a browser.
pub(super) fn login_pending(context: &Context, target: &Target) -> Failure {
    Failure::Other {
        code: "login_pending",
        message: format!(
            "not logged in to {}: a login is open in the browser",
            target.typed
        ),
        hint: Some(format!(
            "complete it there and connect again, or log in here: {}",
            context.login_command()
        )),
        exit: Exit::LogIn,
    }
}

/// Returns whether the failure is that there is no login.
pub(super) fn is_login_required(failure: &Failure) -> bool {
    matches!(failure, Failure::Library(error)
        if matches!(**error, Error::Authorization(AuthorizationError::LoginRequired(_))))
}
