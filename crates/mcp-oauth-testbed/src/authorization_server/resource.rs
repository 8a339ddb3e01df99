//! The `resource` parameter (RFC 8707).

use super::parameters::Parameters;
use super::refusal::Refusal;
use crate::faults::Fault;
use crate::state::TestbedState;

/// Returns the requested resources (RFC 8707 §2.1).
pub(super) fn requested_resources(
    state: &TestbedState,
    parameters: &Parameters,
) -> Result<Vec<String>, Refusal> {
    let requested = parameters.all("resource");
    if requested.is_empty() {
        return select_resource(&state.resources(), state, None).map(|resource| vec![resource]);
    }
    requested
        .into_iter()
        .map(|resource| select_resource(&state.resources(), state, Some(resource)))
        .collect()
}

/// Returns the resource of a token request, which must be a granted one (RFC 8707 §2.2). The revision
/// 2025-03-26 has no `resource`, so that a legacy server does not require it.
pub(super) fn select_resource(
    granted: &[String],
    state: &TestbedState,
    requested: Option<&str>,
) -> Result<String, Refusal> {
    let first = granted.first().cloned().unwrap_or_default();
    if state.faults().has(&Fault::ResourceNotSupported) {
        return match requested {
            Some(_) => Err(Refusal::new(
                "invalid_request",
                "the parameter resource is not supported",
            )),
            None => Ok(first),
        };
    }
    let identifier = state.faults().find(|fault| match fault {
        Fault::DifferentResource(name) => Some(name.clone()),
        _ => None,
    });
    if let Some(identifier) = identifier {
        return match requested {
            Some(requested) if requested == identifier => Ok(first),
            _ => Err(Refusal::new(
                "invalid_target",
                format!("the resource is {identifier}"),
            )),
        };
    }
    match requested {
        Some(requested) if granted.iter().any(|resource| resource == requested) => {
            Ok(requested.to_owned())
        }
        _ if state.settings.legacy.is_some() => Ok(first),
        Some(requested) => Err(Refusal::new(
            "invalid_target",
            format!("{requested} is not a granted resource; use {first}"),
        )),
        None => Err(Refusal::new("invalid_target", "resource is missing")),
    }
}
