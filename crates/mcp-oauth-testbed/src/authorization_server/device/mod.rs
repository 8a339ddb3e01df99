//! Device authorization (RFC 8628): the endpoint that hands out codes, and the grant that waits for
//! a person.

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
use super::refusal::{Refusal, invalid_grant, json_answer};
use super::resource::{one_of, resources};
use super::scope::client_scopes;
use crate::faults::Fault;
use crate::state::TestbedState;
use crate::state::token_store::devices::{Ask, Poll};
use crate::state::token_store::tokens::{Granted, Issued};

/// The path of the device authorization endpoint.
pub(super) const PATH: &str = "/device_authorization";

/// The path of the page where a person enters the code.
const PAGE: &str = "/device";

pub(super) fn routes() -> Router<Arc<TestbedState>> {
    Router::new()
        .route(PATH, post(authorize))
        .route(PAGE, get(verification::ask).post(verification::enter))
        .route("/device/decision", post(verification::decide))
}

async fn authorize(
    State(world): State<Arc<TestbedState>>,
    headers: HeaderMap,
    Form(form): Form,
) -> Response {
    match answer(&world, &headers, &form) {
        Ok(mut members) => {
            for fault in world.faults().all(|fault| Some(fault.clone())) {
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
            json_answer(StatusCode::OK, &Value::Object(members))
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// RFC 8628 §3.1 and §3.2.
fn answer(
    world: &TestbedState,
    headers: &HeaderMap,
    form: &Parameters,
) -> Result<Map<String, Value>, Refusal> {
    let plain = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value == "application/x-www-form-urlencoded");
    if !plain && world.faults().has(&Fault::DeviceRefusesCharset) {
        let reason = "the content type has a parameter";
        return Err(Refusal::new("invalid_request", reason));
    }
    let client = client_auth::authenticate(world, headers, form)?;
    permit(&client, DEVICE_CODE)?;
    let ask = Ask {
        scopes: client_scopes(world, &client, form.find("scope"))?,
        client_id: client.id,
        client_name: client.name,
        resources: resources(world, form)?,
    };
    let settings = &world.settings;
    let (lifetime, interval) = (settings.device_lifetime, settings.device_interval);
    let until = world.now() + lifetime;
    let (device_code, user_code) = world.ledger().devices.open(ask, until, interval);
    let page = format!("{}{PAGE}", world.origins.authorization);
    let answer = json!({
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={user_code}"),
        "expires_in": lifetime.as_secs(),
        "interval": interval.as_secs(),
    });
    match answer {
        Value::Object(members) => Ok(members),
        _ => Ok(Map::new()),
    }
}

/// Returns a client polls (RFC 8628 §3.4 and §3.5).
pub(super) fn poll(request: &Request<'_>) -> Result<Issued, Refusal> {
    let Request {
        world,
        form,
        client,
        key,
    } = request;
    let device_code = form.require("device_code")?;
    let now = world.now();
    let slow = world.faults().has(&Fault::SlowDownForEver);
    // One lock from the look to the deed: of two polls after the approval, one gets the tokens.
    let mut ledger = world.ledger();
    let ask = match ledger.devices.poll(device_code, &client.id, now) {
        Poll::Unknown => return Err(invalid_grant("the device code is unknown")),
        Poll::Expired => return Err(Refusal::new("expired_token", "the device code is too old")),
        _ if slow => return Err(slow_down()),
        Poll::TooFast => return Err(slow_down()),
        Poll::Pending => {
            let reason = "the person has not decided";
            return Err(Refusal::new("authorization_pending", reason));
        }
        Poll::Denied => return Err(Refusal::new("access_denied", "the person said no")),
        Poll::Approved(ask) => ask,
    };
    let resource = one_of(&ask.resources, world, form.find("resource"))?;
    ledger.devices.spend(device_code);
    let granted = Granted {
        grant_type: DEVICE_CODE,
        client_id: ask.client_id,
        subject: None,
        resources: ask.resources,
        scopes: ask.scopes,
        refreshable: true,
        key: key.clone(),
        public: client.is_public(),
    };
    let (_, issued) = ledger.tokens.found(granted, resource, &world.settings, now);
    Ok(issued)
}

fn slow_down() -> Refusal {
    Refusal::new("slow_down", "five seconds more between two polls")
}
