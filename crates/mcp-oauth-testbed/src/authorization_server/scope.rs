//! The scopes that a client requests, and those that it may get.

use super::refusal::Refusal;
use crate::state::TestbedState;
use crate::state::token_store::Client;

/// Returns the requested scopes of a client that may be limited to those of its registration. The error
/// text is that of `validate_scope` in the Python MCP SDK.
pub(super) fn check_client_scopes(
    state: &TestbedState,
    client: &Client,
    requested: Option<&str>,
) -> Result<Vec<String>, Refusal> {
    let scopes = parse_scopes(state, requested)?;
    let allowed = |scope: &&String| client.scopes.as_ref().is_none_or(|own| own.contains(scope));
    match scopes
        .iter()
        .find(|scope| requested.is_some() && !allowed(scope))
    {
        Some(scope) => {
            let reason = format!("Client was not registered with scope {scope}");
            Err(Refusal::new("invalid_scope", reason))
        }
        None => Ok(scopes),
    }
}

/// Returns the requested scopes. Without a scope the client gets `notes:read` (RFC 6749 §3.3 leaves the
/// default to the server).
pub(super) fn parse_scopes(
    state: &TestbedState,
    requested: Option<&str>,
) -> Result<Vec<String>, Refusal> {
    let known = state.known_scopes();
    let Some(requested) = requested else {
        return Ok(known.into_iter().take(1).collect());
    };
    let mut scopes = Vec::new();
    for scope in requested.split(' ').filter(|scope| !scope.is_empty()) {
        if !known.iter().any(|known| known == scope) {
            return Err(Refusal::new("invalid_scope", format!("{scope} is unknown")));
        }
        if !scopes.iter().any(|seen| seen == scope) {
            scopes.push(scope.to_owned());
        }
    }
    Ok(scopes)
}

/// Returns the requested scopes, which must be granted. RFC 6749 §6: the scope "MUST NOT include any scope
/// not originally granted".
pub(super) fn narrow_scopes(
    requested: Option<&str>,
    granted: &[String],
) -> Result<Vec<String>, Refusal> {
    let Some(requested) = requested else {
        return Ok(granted.to_vec());
    };
    let scopes: Vec<String> = requested
        .split(' ')
        .filter(|scope| !scope.is_empty())
        .map(str::to_owned)
        .collect();
    match scopes.iter().find(|scope| !granted.contains(scope)) {
        Some(scope) => Err(Refusal::new(
            "invalid_scope",
            format!("{scope} was not granted"),
        )),
        None => Ok(scopes),
    }
}
