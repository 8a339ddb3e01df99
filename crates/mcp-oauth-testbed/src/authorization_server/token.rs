//! The token endpoint, with `authorization_code` and `refresh_token`; the other grants have
//! files of their own.

use std::sync::Arc;

use aws_lc_rs::digest;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::grants::{CLIENT_CREDENTIALS, DEVICE_CODE, JWT_BEARER, Request, permit};
use super::parameters::{Form, Parameters};
use super::refusal::{Refusal, invalid_grant, json_response};
use super::resource::select_resource;
use super::scope::narrow_scopes;
use super::{client_auth, client_credentials, device, jwt_bearer};
use crate::dpop;
use crate::faults::Fault;
use crate::state::TestbedState;
use crate::state::token_store::tokens::{AccessTokenRequest, ApprovedGrant, Issued};
use crate::state::token_store::{AuthorizationRequest, CodeStatus};

pub(super) async fn token(
    State(state): State<Arc<TestbedState>>,
    headers: HeaderMap,
    Form(form): Form,
) -> Response {
    let wrong_status = state.faults().find(|fault| match fault {
        Fault::TokenErrorWith200(error) => Some(error.clone()),
        _ => None,
    });
    if let Some(error) = wrong_status {
        return json_response(StatusCode::OK, &json!({ "error": error }));
    }
    match issue(&state, &headers, &form) {
        Ok(issued) => json_response(StatusCode::OK, &token_response(&state, issued)),
        Err(refusal) => refusal.into_response(),
    }
}

fn issue(state: &TestbedState, headers: &HeaderMap, form: &Parameters) -> Result<Issued, Refusal> {
    let key = proven_key(state, headers)?;
    // A workload is no client, and sends only its assertion.
    if form.find("grant_type") == Some(JWT_BEARER) {
        return jwt_bearer::issue(state, headers, form, key);
    }
    let client = client_auth::authenticate(state, headers, form)?;
    let grant_type = form.require("grant_type")?;
    let request = Request {
        state,
        form,
        client,
        key,
    };
    match grant_type {
        "authorization_code" => exchange(&request),
        "refresh_token" => refresh(&request),
        CLIENT_CREDENTIALS => {
            permit(&request.client, grant_type)?;
            client_credentials::issue(&request)
        }
        DEVICE_CODE if state.settings.device_authorization => {
            permit(&request.client, grant_type)?;
            device::poll(&request)
        }
        other => Err(Refusal::new(
            "unsupported_grant_type",
            format!("{other} is not supported"),
        )),
    }
}

/// Returns the key of the DPoP proof. It is checked first: a client that must repeat the request with a
/// nonce has used up no code and no assertion.
fn proven_key(state: &TestbedState, headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let key = dpop::check_token_request(state, headers)
        .map_err(|problem| Refusal::new(problem.error(), problem.reason()))?;
    Ok(key.filter(|_| !state.faults().has(&Fault::DpopIgnored)))
}

fn exchange(request: &Request<'_>) -> Result<Issued, Refusal> {
    let (state, form) = (request.state, request.form);
    let code = form.require("code")?;
    let now = state.now();
    // One lock for the check and the change: of two requests with the same code, the second is refused.
    let mut store = state.token_store();
    let authorization = match store.present_code(code, &request.client.id, now) {
        CodeStatus::Valid(authorization) => authorization,
        CodeStatus::Unknown => return Err(invalid_grant("the code is unknown or has expired")),
        CodeStatus::Spent => {
            return Err(invalid_grant(
                "the code was used before; its tokens are revoked",
            ));
        }
    };
    let proven = select_resource(&authorization.resources, state, form.find("resource"))
        .and_then(|resource| check_exchange(request, &authorization).map(|()| resource));
    let resource = match proven {
        Ok(resource) => resource,
        Err(refusal) => {
            store.remove_code(code);
            return Err(refusal);
        }
    };
    let granted = ApprovedGrant {
        grant_type: "authorization_code",
        client_id: authorization.client_id,
        subject: None,
        resources: authorization.resources,
        scopes: authorization.scopes,
        refreshable: true,
        key: request.key.clone(),
        public: request.client.is_public(),
    };
    let (family, issued) = store
        .tokens
        .create_family(granted, resource, &state.settings, now);
    store.spend_code(code, family);
    Ok(issued)
}

/// Checks the exchange against the authorization request. RFC 6749 §4.1.3: the redirect URI is the same;
/// RFC 9449 §10: so is the key, if the request named one; RFC 7636 §4.6: the verifier hashes to the
/// challenge.
fn check_exchange(
    request: &Request<'_>,
    authorization: &AuthorizationRequest,
) -> Result<(), Refusal> {
    let form = request.form;
    if authorization.dpop_jkt.is_some() && authorization.dpop_jkt != request.key {
        return Err(invalid_grant("the key is not that of dpop_jkt"));
    }
    if form.require("redirect_uri")? != authorization.redirect_uri {
        return Err(invalid_grant(
            "redirect_uri is not that of the authorization request",
        ));
    }
    let verifier = form.require("code_verifier")?;
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(unreserved) {
        return Err(invalid_grant(
            "code_verifier must be 43 to 128 unreserved characters",
        ));
    }
    let hash = digest::digest(&digest::SHA256, verifier.as_bytes());
    if BASE64_URL_SAFE_NO_PAD.encode(hash.as_ref()) != authorization.challenge {
        return Err(invalid_grant(
            "code_verifier does not match the code_challenge",
        ));
    }
    Ok(())
}

fn refresh(request: &Request<'_>) -> Result<Issued, Refusal> {
    let (state, form) = (request.state, request.form);
    let token = form.require("refresh_token")?;
    let grace = state.faults().has(&Fault::AcceptsSpentRefreshTokenOnce);
    let silent = state.faults().has(&Fault::OmitsRotatedRefreshToken);
    if state.faults().has(&Fault::RequiresScopeOnRefresh) {
        form.require("scope")?;
    }
    let mut store = state.token_store();
    let Some((number, family)) = store.tokens.family_of(token, &request.client.id) else {
        return Err(invalid_grant("the refresh token is unknown"));
    };
    if !family.alive {
        return Err(invalid_grant("the refresh token was revoked"));
    }
    if family.dpop_thumbprint.is_some() && family.dpop_thumbprint != request.key {
        return Err(invalid_grant("the refresh token is bound to another key"));
    }
    let requested = AccessTokenRequest {
        resource: select_resource(&family.resources, state, form.find("resource"))?,
        scopes: narrow_scopes(form.find("scope"), &family.scopes)?,
        key: request.key.clone(),
    };
    let spent = store.tokens.is_spent(token);
    // RFC 9700 §4.14.2: the server cannot know whether the client or a thief presents a spent
    // token, "but it will revoke the active refresh token".
    if spent && !grace {
        store.tokens.revoke_family(number);
        return Err(invalid_grant(
            "the refresh token was used before; its family is revoked",
        ));
    }
    let mut issued = store
        .tokens
        .renew(number, token, requested, &state.settings, state.now());
    if spent {
        store.tokens.remove_refresh_token(token);
    }
    if silent {
        issued.refresh_token = None;
    }
    Ok(issued)
}

fn token_response(state: &TestbedState, issued: Issued) -> Value {
    let mut members = Map::new();
    members.insert("access_token".to_owned(), json!(issued.access_token));
    let token_type = if issued.bound { "DPoP" } else { "Bearer" };
    members.insert("token_type".to_owned(), json!(token_type));
    let lifetime = state.settings.access_token_lifetime.as_secs();
    members.insert("expires_in".to_owned(), json!(lifetime));
    members.insert("scope".to_owned(), json!(issued.scopes.join(" ")));
    if let Some(refresh_token) = issued.refresh_token {
        members.insert("refresh_token".to_owned(), json!(refresh_token));
    }
    for fault in state.faults().all(|fault| Some(fault.clone())) {
        match fault {
            Fault::TokenField(name, value) => {
                members.insert(name, value);
            }
            Fault::TokenWithout(name) => {
                members.remove(&name);
            }
            _ => {}
        }
    }
    Value::Object(members)
}
