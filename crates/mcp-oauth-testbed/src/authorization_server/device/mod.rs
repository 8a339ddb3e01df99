//! Device authorization (RFC 8628): the endpoint that issues codes, and the grant that waits for the
//! user.

mod verification;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};

use super::client_auth;
use super::grants::{DEVICE_CODE, Request, permit};
use super::parameters::{Form, Parameters};
use super::refusal::{Refusal, invalid_grant, json_response};
use super::resource::{requested_resources, select_resource};
use super::scope::check_client_scopes;
use crate::faults::Fault;
use crate::state::TestbedState;
use crate::state::token_store::devices::{DeviceRequest, PollResult};
use crate::state::token_store::tokens::{ApprovedGrant, Issued};

/// The path of the device authorization endpoint.
pub(super) const PATH: &str = "/device_authorization";

/// The path of the page where the user enters the code.
const PAGE: &str = "/device";

pub(super) fn routes() -> Router<Arc<TestbedState>> {
    Router::new()
        .route(PATH, post(authorize))
        .route(PAGE, get(verification::show_page).post(verification::enter))
        .route("/device/decision", post(verification::decide))
}

async fn authorize(
    State(state): State<Arc<TestbedState>>,
    headers: HeaderMap,
    Form(form): Form,
) -> Response {
    match issue_codes(&state, &headers, &form) {
        Ok(mut members) => {
            for fault in state.faults().all(|fault| Some(fault.clone())) {
                match fault {
                    Fault::DeviceField(name, value) => {
                        members.insert(name, value);
                    }
                    Fault::DeviceWithout(name) => {
                        members.remove(&name);
                    }
                    _ => {}
                }
            }
            json_response(StatusCode::OK, &Value::Object(members))
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// Issues a device code and a user code (RFC 8628 §3.1 and §3.2).
fn issue_codes(
    state: &TestbedState,
    headers: &HeaderMap,
    form: &Parameters,
) -> Result<Map<String, Value>, Refusal> {
    let plain = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value == "application/x-www-form-urlencoded");
    if !plain && state.faults().has(&Fault::DeviceRejectsCharset) {
        let reason = "the content type has a parameter";
        return Err(Refusal::new("invalid_request", reason));
    }
    let client = client_auth::authenticate(state, headers, form)?;
    permit(&client, DEVICE_CODE)?;
    let authorization = DeviceRequest {
        scopes: check_client_scopes(state, &client, form.find("scope"))?,
        client_id: client.id,
        client_name: client.name,
        resources: requested_resources(state, form)?,
    };
    let settings = &state.settings;
    let (lifetime, interval) = (settings.device_lifetime, settings.device_interval);
    let until = state.now() + lifetime;
    let (device_code, user_code) = state
        .token_store()
        .devices
        .open(authorization, until, interval);
    let page = format!("{}{PAGE}", state.origins.authorization);
    let response = json!({
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={user_code}"),
        "expires_in": lifetime.as_secs(),
        "interval": interval.as_secs(),
    });
    match response {
        Value::Object(members) => Ok(members),
        _ => Ok(Map::new()),
    }
}

/// Responds to a poll (RFC 8628 §3.4 and §3.5).
pub(super) fn poll(request: &Request<'_>) -> Result<Issued, Refusal> {
    let Request {
        state,
        form,
        client,
        key,
    } = request;
    let device_code = form.require("device_code")?;
    let now = state.now();
    let slow = state.faults().has(&Fault::AlwaysSlowDown);
    // One lock for the check and the change: of two polls after the approval, one gets the tokens.
    let mut store = state.token_store();
    let authorization = match store.devices.poll(device_code, &client.id, now) {
        PollResult::Unknown => return Err(invalid_grant("the device code is unknown")),
        PollResult::Expired => {
            return Err(Refusal::new("expired_token", "the device code is too old"));
        }
        _ if slow => return Err(slow_down()),
        PollResult::TooFast => return Err(slow_down()),
        PollResult::Pending => {
            let reason = "the user has not decided";
            return Err(Refusal::new("authorization_pending", reason));
        }
        PollResult::Denied => {
            return Err(Refusal::new("access_denied", "the user denied the request"));
        }
        PollResult::Approved(authorization) => authorization,
    };
    let resource = select_resource(&authorization.resources, state, form.find("resource"))?;
    store.devices.spend(device_code);
    let granted = ApprovedGrant {
        grant_type: DEVICE_CODE,
        client_id: authorization.client_id,
        subject: None,
        resources: authorization.resources,
        scopes: authorization.scopes,
        refreshable: true,
        key: key.clone(),
        public: client.is_public(),
    };
    let (_, issued) = store
        .tokens
        .create_family(granted, resource, &state.settings, now);
    Ok(issued)
}

fn slow_down() -> Refusal {
    Refusal::new("slow_down", "five seconds more between two polls")
}
