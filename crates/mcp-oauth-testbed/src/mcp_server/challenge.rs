//! 401 and 403, and the `WWW-Authenticate` that tells the client what to do (RFC 6750 §3, RFC 9449
//! §7.1).

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::caller::{Caller, Scheme};
use crate::dpop;
use crate::dpop::check::Problem;
use crate::faults::Fault;
use crate::settings::forms::PrmForm;
use crate::settings::grants::DpopPolicy;
use crate::state::TestbedState;

/// Holds what the client is told.
#[derive(Debug)]
struct Refusal<'a> {
    status: StatusCode,
    /// Says how the client presented its token, if it did: the error belongs to this scheme.
    scheme: Option<Scheme>,
    error: Option<&'a str>,
    scope: Option<&'a str>,
    reason: &'a str,
}

/// Returns no token came. RFC 6750 §3.1: then the challenge "SHOULD NOT include an error code".
pub(super) fn missing(world: &TestbedState) -> Response {
    let refusal = Refusal {
        status: StatusCode::UNAUTHORIZED,
        scheme: None,
        error: None,
        scope: world.settings.challenge_scope.as_deref(),
        reason: "authorization is needed",
    };
    answer(world, &refusal)
}

/// Returns the token is expired, revoked, for another resource, of another key, or nonsense.
pub(super) fn invalid(world: &TestbedState, scheme: Scheme) -> Response {
    let reason = "the access token is not good, or not good any more";
    unauthorized(world, scheme, "invalid_token", reason)
}

/// Returns the token may be good, and the proof is not.
pub(super) fn unproven(world: &TestbedState, problem: &Problem) -> Response {
    unauthorized(world, Scheme::Dpop, problem.error(), problem.reason())
}

/// Returns the token has not the scope that the operation needs.
pub(super) fn insufficient(world: &TestbedState, caller: &Caller, scope: &str) -> Response {
    let bound = caller.as_ref().is_some_and(|access| access.key.is_some());
    let refusal = Refusal {
        status: StatusCode::FORBIDDEN,
        scheme: Some(if bound { Scheme::Dpop } else { Scheme::Bearer }),
        error: Some("insufficient_scope"),
        scope: Some(scope),
        reason: "the operation needs a further scope",
    };
    answer(world, &refusal)
}

fn unauthorized(world: &TestbedState, scheme: Scheme, error: &str, reason: &str) -> Response {
    let refusal = Refusal {
        status: StatusCode::UNAUTHORIZED,
        scheme: Some(scheme),
        error: Some(error),
        scope: world.settings.challenge_scope.as_deref(),
        reason,
    };
    answer(world, &refusal)
}

fn answer(world: &TestbedState, refusal: &Refusal<'_>) -> Response {
    let body = json!({
        "error": refusal.error.unwrap_or("unauthorized"),
        "error_description": refusal.reason,
    });
    let headers = [(header::CONTENT_TYPE, "application/json")];
    let mut answer = (refusal.status, headers, body.to_string()).into_response();
    let raw = world.faults().find(|fault| match fault {
        Fault::Challenge(lines) => Some(lines.clone()),
        Fault::NoChallenge => Some(Vec::new()),
        _ => None,
    });
    for line in raw.unwrap_or_else(|| lines(world, refusal)) {
        if let Ok(value) = HeaderValue::from_bytes(line.as_bytes()) {
            answer.headers_mut().append(header::WWW_AUTHENTICATE, value);
        }
    }
    answer
}

/// Returns one line for each scheme that the server takes. Where it takes two, the error is that of the
/// scheme which the client used.
fn lines(world: &TestbedState, refusal: &Refusal<'_>) -> Vec<String> {
    let schemes: &[Scheme] = match world.settings.dpop {
        DpopPolicy::Off => &[Scheme::Bearer],
        DpopPolicy::Offered => &[Scheme::Bearer, Scheme::Dpop],
        DpopPolicy::Required => &[Scheme::Dpop],
    };
    schemes
        .iter()
        .map(|scheme| {
            let used = schemes.len() == 1 || refusal.scheme == Some(*scheme);
            line(world, refusal, *scheme, refusal.error.filter(|_| used))
        })
        .collect()
}

fn line(
    world: &TestbedState,
    refusal: &Refusal<'_>,
    scheme: Scheme,
    error: Option<&str>,
) -> String {
    let mut parameters = vec!["realm=\"notes\"".to_owned()];
    if let Some(error) = error {
        let reason = refusal.reason;
        parameters.push(format!("error=\"{error}\""));
        parameters.push(format!("error_description=\"{reason}\""));
    }
    if let Some(scope) = refusal.scope {
        parameters.push(format!("scope=\"{scope}\""));
    }
    let named = matches!(world.settings.prm, PrmForm::Header | PrmForm::Custom(_));
    if let Some(path) = world.prm_path().filter(|_| named) {
        let origin = &world.origins.mcp;
        parameters.push(format!("resource_metadata=\"{origin}{path}\""));
    }
    let name = match scheme {
        Scheme::Bearer => "Bearer",
        Scheme::Dpop => {
            parameters.push(format!("algs=\"{}\"", dpop::algorithms().join(" ")));
            "DPoP"
        }
    };
    format!("{name} {}", parameters.join(", "))
}
