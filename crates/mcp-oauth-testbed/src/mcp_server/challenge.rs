//! 401 and 403, and the `WWW-Authenticate` that tells the client what to do (RFC 6750 §3, RFC 9449
//! §7.1).

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::caller::{Caller, Scheme};
use crate::dpop;
use crate::dpop::check::ProofError;
use crate::faults::Fault;
use crate::settings::forms::PrmForm;
use crate::settings::grants::DpopPolicy;
use crate::state::TestbedState;

/// The content of a refusal.
#[derive(Debug)]
struct Refusal<'a> {
    status: StatusCode,
    /// The scheme in which the client presented its token, if any: the error belongs to this scheme.
    scheme: Option<Scheme>,
    error: Option<&'a str>,
    scope: Option<&'a str>,
    reason: &'a str,
}

/// Refuses a request without a token. RFC 6750 §3.1: the challenge "SHOULD NOT include an error code".
pub(super) fn missing(state: &TestbedState) -> Response {
    let refusal = Refusal {
        status: StatusCode::UNAUTHORIZED,
        scheme: None,
        error: None,
        scope: state.settings.challenge_scope.as_deref(),
        reason: "authorization is required",
    };
    response(state, &refusal)
}

/// Refuses a token that is expired, revoked, malformed, for another resource, or bound to another key.
pub(super) fn invalid(state: &TestbedState, scheme: Scheme) -> Response {
    let reason = "the access token is invalid or has expired";
    unauthorized(state, scheme, "invalid_token", reason)
}

/// Refuses a request with an invalid DPoP proof.
pub(super) fn invalid_proof(state: &TestbedState, problem: &ProofError) -> Response {
    unauthorized(state, Scheme::Dpop, problem.error(), problem.reason())
}

/// Refuses a token without the scope that the operation requires.
pub(super) fn insufficient(state: &TestbedState, caller: &Caller, scope: &str) -> Response {
    let bound = caller.as_ref().is_some_and(|access| access.key.is_some());
    let refusal = Refusal {
        status: StatusCode::FORBIDDEN,
        scheme: Some(if bound { Scheme::Dpop } else { Scheme::Bearer }),
        error: Some("insufficient_scope"),
        scope: Some(scope),
        reason: "the operation requires another scope",
    };
    response(state, &refusal)
}

fn unauthorized(state: &TestbedState, scheme: Scheme, error: &str, reason: &str) -> Response {
    let refusal = Refusal {
        status: StatusCode::UNAUTHORIZED,
        scheme: Some(scheme),
        error: Some(error),
        scope: state.settings.challenge_scope.as_deref(),
        reason,
    };
    response(state, &refusal)
}

fn response(state: &TestbedState, refusal: &Refusal<'_>) -> Response {
    let body = json!({
        "error": refusal.error.unwrap_or("unauthorized"),
        "error_description": refusal.reason,
    });
    let headers = [(header::CONTENT_TYPE, "application/json")];
    let mut response = (refusal.status, headers, body.to_string()).into_response();
    let raw = state.faults().find(|fault| match fault {
        Fault::Challenge(lines) => Some(lines.clone()),
        Fault::NoChallenge => Some(Vec::new()),
        _ => None,
    });
    for line in raw.unwrap_or_else(|| lines(state, refusal)) {
        if let Ok(value) = HeaderValue::from_bytes(line.as_bytes()) {
            response
                .headers_mut()
                .append(header::WWW_AUTHENTICATE, value);
        }
    }
    response
}

/// Returns one line for each scheme that the server accepts. If it accepts two, the error is in the
/// line of the scheme that the client used.
fn lines(state: &TestbedState, refusal: &Refusal<'_>) -> Vec<String> {
    let schemes: &[Scheme] = match state.settings.dpop {
        DpopPolicy::Off => &[Scheme::Bearer],
        DpopPolicy::Offered => &[Scheme::Bearer, Scheme::Dpop],
        DpopPolicy::Required => &[Scheme::Dpop],
    };
    schemes
        .iter()
        .map(|scheme| {
            let used = schemes.len() == 1 || refusal.scheme == Some(*scheme);
            line(state, refusal, *scheme, refusal.error.filter(|_| used))
        })
        .collect()
}

fn line(
    state: &TestbedState,
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
    let named = matches!(state.settings.prm, PrmForm::Header | PrmForm::Custom(_));
    if let Some(path) = state.prm_path().filter(|_| named) {
        let origin = &state.origins.mcp;
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
