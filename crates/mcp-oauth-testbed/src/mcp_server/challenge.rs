//! 401 and 403, and the `WWW-Authenticate` that tells the client what to do (RFC 6750 §3).

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use crate::builder::PrmForm;
use crate::faults::Fault;
use crate::world::World;

/// No token came. RFC 6750 §3.1: then the challenge "SHOULD NOT include an error code".
pub(super) fn missing(world: &World) -> Response {
    let scope = world.settings.challenge_scope.as_deref();
    refusal(
        world,
        StatusCode::UNAUTHORIZED,
        None,
        scope,
        "authorization is needed",
    )
}

/// The token is expired, revoked, for another resource, or nonsense.
pub(super) fn invalid(world: &World) -> Response {
    let scope = world.settings.challenge_scope.as_deref();
    let reason = "the access token is not good, or not good any more";
    refusal(
        world,
        StatusCode::UNAUTHORIZED,
        Some("invalid_token"),
        scope,
        reason,
    )
}

/// The token has not the scope that the operation needs.
pub(super) fn insufficient(world: &World, scope: &str) -> Response {
    let reason = "the operation needs a further scope";
    refusal(
        world,
        StatusCode::FORBIDDEN,
        Some("insufficient_scope"),
        Some(scope),
        reason,
    )
}

fn refusal(
    world: &World,
    status: StatusCode,
    error: Option<&str>,
    scope: Option<&str>,
    reason: &str,
) -> Response {
    let body = json!({ "error": error.unwrap_or("unauthorized"), "error_description": reason });
    let headers = [(header::CONTENT_TYPE, "application/json")];
    let mut answer = (status, headers, body.to_string()).into_response();
    let raw = world.faults().find(|fault| match fault {
        Fault::Challenge(lines) => Some(lines.clone()),
        Fault::NoChallenge => Some(Vec::new()),
        _ => None,
    });
    let lines = raw.unwrap_or_else(|| vec![line(world, error, scope, reason)]);
    for line in lines {
        if let Ok(value) = HeaderValue::from_bytes(line.as_bytes()) {
            answer.headers_mut().append(header::WWW_AUTHENTICATE, value);
        }
    }
    answer
}

fn line(world: &World, error: Option<&str>, scope: Option<&str>, reason: &str) -> String {
    let mut parameters = vec!["realm=\"notes\"".to_owned()];
    if let Some(error) = error {
        parameters.push(format!("error=\"{error}\""));
        parameters.push(format!("error_description=\"{reason}\""));
    }
    if let Some(scope) = scope {
        parameters.push(format!("scope=\"{scope}\""));
    }
    let named = matches!(world.settings.prm, PrmForm::Header | PrmForm::Custom(_));
    if let Some(path) = world.prm_path().filter(|_| named) {
        let origin = &world.origins.mcp;
        parameters.push(format!("resource_metadata=\"{origin}{path}\""));
    }
    format!("Bearer {}", parameters.join(", "))
}
