//! Dynamic client registration (RFC 7591).

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::grants::DEVICE_CODE;
use super::redirect_uri;
use super::refusal::{Refusal, json_response};
use crate::faults::Fault;
use crate::jose::key::PublicKey;
use crate::random::random;
use crate::settings::Settings;
use crate::state::TestbedState;
use crate::state::token_store::{AllowedGrants, Client};

pub(super) async fn register(State(state): State<Arc<TestbedState>>, body: Bytes) -> Response {
    match register_client(&state, &body) {
        Ok(mut response) => {
            for fault in state.faults().all(|fault| Some(fault.clone())) {
                match fault {
                    Fault::RegistrationField(name, value) => {
                        response.insert(name, value);
                    }
                    Fault::RegistrationWithout(name) => {
                        response.remove(&name);
                    }
                    _ => {}
                }
            }
            json_response(StatusCode::CREATED, &Value::Object(response))
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// Registers a client; the response echoes the metadata (RFC 7591 §3.2.1).
fn register_client(state: &TestbedState, body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let Ok(Value::Object(mut metadata)) = serde_json::from_slice(body) else {
        return Err(invalid("the body must be a JSON object"));
    };
    let redirect_uris = redirect_uris(&metadata, &state.settings)?;
    check_grants(&metadata, &state.settings)?;
    let auth_method = auth_method(&metadata, &state.settings)?;
    let secret = (auth_method != "none" || state.settings.confidential_registrations)
        .then(|| random("secret"));

    let id = random("client");
    metadata.insert("client_id".to_owned(), json!(id));
    metadata.insert(
        "client_id_issued_at".to_owned(),
        json!(state.now().as_secs()),
    );
    metadata.insert("token_endpoint_auth_method".to_owned(), json!(auth_method));
    if let Some(secret) = &secret {
        metadata.insert("client_secret".to_owned(), json!(secret));
        // REQUIRED if there is a secret; 0 means that it does not expire.
        metadata.insert("client_secret_expires_at".to_owned(), json!(0));
    }
    let name = metadata
        .get("client_name")
        .and_then(Value::as_str)
        .unwrap_or(&id)
        .to_owned();
    state.token_store().add_client(Client {
        id,
        name,
        secret,
        auth_method: Some(auth_method),
        keys: jwks(&metadata),
        grants: AllowedGrants::Registered(grant_types(&metadata)),
        redirect_uris,
        scopes: registered_scopes(&mut metadata, &state.settings),
    });
    Ok(metadata)
}

fn redirect_uris(
    metadata: &Map<String, Value>,
    settings: &Settings,
) -> Result<Vec<String>, Refusal> {
    // RFC 7591 §2: "clients using flows with redirection MUST register their redirection URI
    // values"; other clients have none.
    let redirects = grant_types(metadata)
        .iter()
        .any(|grant_type| grant_type == "authorization_code");
    let none = Value::Array(Vec::new());
    let listed = metadata.get("redirect_uris").unwrap_or(&none);
    let uris: Option<Vec<String>> = listed.as_array().and_then(|uris| {
        uris.iter()
            .map(|uri| uri.as_str().map(str::to_owned))
            .collect()
    });
    let Some(uris) = uris.filter(|uris| !(redirects && uris.is_empty())) else {
        return Err(Refusal::new(
            "invalid_redirect_uri",
            "redirect_uris must hold a URI",
        ));
    };
    for uri in &uris {
        if !redirect_uri::is_acceptable(uri) {
            let reason = format!("{uri} is neither https, nor loopback, nor a private scheme");
            return Err(Refusal::new("invalid_redirect_uri", reason));
        }
        let native = metadata.get("application_type").and_then(Value::as_str) == Some("native");
        if settings.strict_application_type && native != redirect_uri::is_native(uri) {
            let reason = format!("{uri} does not match the application_type");
            return Err(Refusal::new("invalid_redirect_uri", reason));
        }
    }
    Ok(uris)
}

/// Returns the scopes that the client may request, which the response names (RFC 7591 §2); none if the
/// server does not check them.
fn registered_scopes(
    metadata: &mut Map<String, Value>,
    settings: &Settings,
) -> Option<Vec<String>> {
    let default = settings.registered_scope_only.as_ref()?;
    let named = metadata.get("scope").and_then(Value::as_str);
    let scope = named.unwrap_or(default).to_owned();
    let scopes = scope.split_whitespace().map(str::to_owned).collect();
    if !scope.is_empty() {
        metadata.insert("scope".to_owned(), json!(scope));
    }
    Some(scopes)
}

/// Returns the keys that a client registers by value, without those that cannot be read.
pub(super) fn jwks(metadata: &Map<String, Value>) -> Vec<PublicKey> {
    let keys = metadata.get("jwks").and_then(|jwks| jwks.get("keys"));
    let keys = keys.and_then(Value::as_array).into_iter().flatten();
    keys.filter_map(|jwk| PublicKey::from_jwk(jwk).ok())
        .collect()
}

/// Returns the grant types. RFC 7591 §2: "If omitted, the default behavior is that the client will use
/// only the `authorization_code` Grant Type."
pub(super) fn grant_types(metadata: &Map<String, Value>) -> Vec<String> {
    let Some(listed) = metadata.get("grant_types").and_then(Value::as_array) else {
        return vec!["authorization_code".to_owned()];
    };
    let listed = listed.iter().filter_map(Value::as_str);
    listed.map(str::to_owned).collect()
}

fn check_grants(metadata: &Map<String, Value>, settings: &Settings) -> Result<(), Refusal> {
    let within = |field: &str, known: &[&str]| match metadata.get(field) {
        None => true,
        Some(Value::Array(values)) => values
            .iter()
            .all(|value| value.as_str().is_some_and(|text| known.contains(&text))),
        Some(_) => false,
    };
    let mut known = vec!["authorization_code", "refresh_token"];
    if settings.device_authorization {
        known.push(DEVICE_CODE);
    }
    if !within("grant_types", &known) {
        let reason = format!("grant_types may hold {}", known.join(" and "));
        return Err(invalid(&reason));
    }
    if !within("response_types", &["code"]) {
        return Err(invalid("response_types may hold code"));
    }
    Ok(())
}

/// Returns the authentication method. RFC 7591 §2: "If unspecified or omitted, the default is
/// `client_secret_basic`".
fn auth_method(metadata: &Map<String, Value>, settings: &Settings) -> Result<String, Refusal> {
    let requested = match metadata.get("token_endpoint_auth_method") {
        None => "client_secret_basic",
        Some(value) => value
            .as_str()
            .ok_or_else(|| invalid("token_endpoint_auth_method must be a string"))?,
    };
    if requested == "none" && settings.confidential_registrations {
        // RFC 7591 §3.2.1 lets the server replace requested values.
        let offered = &settings.client_auth_methods;
        let method = offered.iter().find(|method| *method != "none");
        return Ok(method.cloned().unwrap_or_else(|| requested.to_owned()));
    }
    if !settings
        .client_auth_methods
        .iter()
        .any(|offered| offered == requested)
    {
        return Err(invalid(&format!(
            "{requested} is not among the offered authentication methods"
        )));
    }
    Ok(requested.to_owned())
}

fn invalid(reason: &str) -> Refusal {
    Refusal::new("invalid_client_metadata", reason)
}
