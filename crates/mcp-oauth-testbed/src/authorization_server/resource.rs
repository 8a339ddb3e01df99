//! Which resources a client asks tokens for (RFC 8707).

use super::parameters::Parameters;
use super::refusal::Refusal;
use crate::faults::Fault;
use crate::state::TestbedState;

/// Returns what a client wants tokens for (RFC 8707 §2.1).
pub(super) fn resources(
    world: &TestbedState,
    parameters: &Parameters,
) -> Result<Vec<String>, Refusal> {
    let asked = parameters.all("resource");
    if asked.is_empty() {
        return one_of(&world.resources(), world, None).map(|resource| vec![resource]);
    }
    asked
        .into_iter()
        .map(|resource| one_of(&world.resources(), world, Some(resource)))
        .collect()
}

/// Returns the one resource of a token request, of those that were granted (RFC 8707 §2.2). Servers of
/// 2025-03-26 knew no `resource`, so that it may be absent there.
pub(super) fn one_of(
    granted: &[String],
    world: &TestbedState,
    asked: Option<&str>,
) -> Result<String, Refusal> {
    let first = granted.first().cloned().unwrap_or_default();
    if world.faults().has(&Fault::KnowsNoResource) {
        return match asked {
            Some(_) => Err(Refusal::new(
                "invalid_request",
                "the parameter resource is not supported",
            )),
            None => Ok(first),
        };
    }
    let called = world.faults().find(|fault| match fault {
        Fault::CallsTheResource(name) => Some(name.clone()),
        _ => None,
    });
    if let Some(called) = called {
        return match asked {
            Some(asked) if asked == called => Ok(first),
            _ => Err(Refusal::new(
                "invalid_target",
                format!("the resource is called {called}"),
            )),
        };
    }
    match asked {
        Some(asked) if granted.iter().any(|resource| resource == asked) => Ok(asked.to_owned()),
        _ if world.settings.legacy.is_some() => Ok(first),
        Some(asked) => Err(Refusal::new(
            "invalid_target",
            format!("{asked} is not served; try {first}"),
        )),
        None => Err(Refusal::new("invalid_target", "resource is missing")),
    }
}
