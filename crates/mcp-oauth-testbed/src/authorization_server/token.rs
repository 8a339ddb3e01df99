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
use super::refusal::{Refusal, invalid_grant, json_answer};
use super::resource::one_of;
use super::scope::narrowed;
use super::{client_auth, client_credentials, device, jwt_bearer};
use crate::dpop;
use crate::faults::Fault;
use crate::state::TestbedState;
use crate::state::token_store::tokens::{Granted, Issued, Want};
use crate::state::token_store::{Ask, Worth};

pub(super) async fn token(
    State(world): State<Arc<TestbedState>>,
    headers: HeaderMap,
    Form(form): Form,
) -> Response {
    let wrong_status = world.faults().find(|fault| match fault {
        Fault::TokenErrorWith200(error) => Some(error.clone()),
        _ => None,
    });
    if let Some(error) = wrong_status {
        return json_answer(StatusCode::OK, &json!({ "error": error }));
    }
    match issue(&world, &headers, &form) {
        Ok(issued) => json_answer(StatusCode::OK, &answer(&world, issued)),
        Err(refusal) => refusal.into_response(),
    }
}

fn issue(world: &TestbedState, headers: &HeaderMap, form: &Parameters) -> Result<Issued, Refusal> {
    let key = proven_key(world, headers)?;
    // A workload is no client, and shows nothing but its assertion.
    if form.find("grant_type") == Some(JWT_BEARER) {
        return jwt_bearer::issue(world, headers, form, key);
    }
    let client = client_auth::authenticate(world, headers, form)?;
    let grant_type = form.require("grant_type")?;
    let request = Request {
        world,
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
        DEVICE_CODE if world.settings.device_authorization => {
            permit(&request.client, grant_type)?;
            device::poll(&request)
        }
        other => Err(Refusal::new(
            "unsupported_grant_type",
            format!("{other} is not supported"),
        )),
    }
}

/// Before all else: who must come again with a nonce has spent no code, and no assertion.
fn proven_key(world: &TestbedState, headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let key = dpop::at_token_endpoint(world, headers)
        .map_err(|problem| Refusal::new(problem.error(), problem.reason()))?;
    Ok(key.filter(|_| !world.faults().has(&Fault::DpopIgnored)))
}

fn exchange(request: &Request<'_>) -> Result<Issued, Refusal> {
    let (world, form) = (request.world, request.form);
    let code = form.require("code")?;
    let now = world.now();
    // One lock from the look to the deed: of two requests with one code, one is the second.
    let mut ledger = world.ledger();
    let ask = match ledger.present_code(code, &request.client.id, now) {
        Worth::Good(ask) => ask,
        Worth::Unknown => return Err(invalid_grant("the code is unknown or too old")),
        Worth::Spent => {
            return Err(invalid_grant(
                "the code was used before; its tokens are revoked",
            ));
        }
    };
    let proven = one_of(&ask.resources, world, form.find("resource"))
        .and_then(|resource| prove(request, &ask).map(|()| resource));
    let resource = match proven {
        Ok(resource) => resource,
        Err(refusal) => {
            ledger.burn_code(code);
            return Err(refusal);
        }
    };
    let granted = Granted {
        grant_type: "authorization_code",
        client_id: ask.client_id,
        subject: None,
        resources: ask.resources,
        scopes: ask.scopes,
        refreshable: true,
        key: request.key.clone(),
        public: request.client.is_public(),
    };
    let (family, issued) = ledger.tokens.found(granted, resource, &world.settings, now);
    ledger.spend_code(code, family);
    Ok(issued)
}

/// RFC 6749 §4.1.3: the redirect URI is the one of the request; RFC 9449 §10: so is the key, if it
/// named one; RFC 7636 §4.6: the verifier hashes to the challenge.
fn prove(request: &Request<'_>, ask: &Ask) -> Result<(), Refusal> {
    let form = request.form;
    if ask.dpop_jkt.is_some() && ask.dpop_jkt != request.key {
        return Err(invalid_grant("the key is not that of dpop_jkt"));
    }
    if form.require("redirect_uri")? != ask.redirect_uri {
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
    if BASE64_URL_SAFE_NO_PAD.encode(hash.as_ref()) != ask.challenge {
        return Err(invalid_grant(
            "code_verifier does not fit the code_challenge",
        ));
    }
    Ok(())
}

fn refresh(request: &Request<'_>) -> Result<Issued, Refusal> {
    let (world, form) = (request.world, request.form);
    let token = form.require("refresh_token")?;
    let grace = world.faults().has(&Fault::GraceForSpentRefreshTokens);
    let silent = world.faults().has(&Fault::RotatesInSilence);
    if world.faults().has(&Fault::WantsScopeOnRefresh) {
        form.require("scope")?;
    }
    let mut ledger = world.ledger();
    let Some((number, family)) = ledger.tokens.family_of(token, &request.client.id) else {
        return Err(invalid_grant("the refresh token is unknown"));
    };
    if !family.alive {
        return Err(invalid_grant("the refresh token was revoked"));
    }
    if family.dpop_thumbprint.is_some() && family.dpop_thumbprint != request.key {
        return Err(invalid_grant("the refresh token is bound to another key"));
    }
    let want = Want {
        resource: one_of(&family.resources, world, form.find("resource"))?,
        scopes: narrowed(form.find("scope"), &family.scopes)?,
        key: request.key.clone(),
    };
    let spent = ledger.tokens.is_spent(token);
    // RFC 9700 §4.14.2: the server cannot know whether the client or a thief presents a spent
    // token, "but it will revoke the active refresh token".
    if spent && !grace {
        ledger.tokens.kill(number);
        return Err(invalid_grant(
            "the refresh token was used before; its family is revoked",
        ));
    }
    let mut issued = ledger
        .tokens
        .renew(number, token, want, &world.settings, world.now());
    if spent {
        ledger.tokens.forget_refresh(token);
    }
    if silent {
        issued.refresh_token = None;
    }
    Ok(issued)
}

fn answer(world: &TestbedState, issued: Issued) -> Value {
    let mut members = Map::new();
    members.insert("access_token".to_owned(), json!(issued.access_token));
    let token_type = if issued.bound { "DPoP" } else { "Bearer" };
    members.insert("token_type".to_owned(), json!(token_type));
    let lifetime = world.settings.access_token_lifetime.as_secs();
    members.insert("expires_in".to_owned(), json!(lifetime));
    members.insert("scope".to_owned(), json!(issued.scopes.join(" ")));
    if let Some(refresh_token) = issued.refresh_token {
        members.insert("refresh_token".to_owned(), json!(refresh_token));
    }
    for fault in world.faults().all(|fault| Some(fault.clone())) {
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
