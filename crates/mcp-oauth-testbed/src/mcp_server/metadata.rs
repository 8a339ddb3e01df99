//! Protected resource metadata (RFC 9728).

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use serde_json::{Map, Value, json};

use crate::dpop;
use crate::faults::Fault;
use crate::settings::grants::DpopPolicy;
use crate::state::TestbedState;

pub(super) async fn document(State(state): State<Arc<TestbedState>>) -> Response {
    let mut members = members(&state);
    for fault in state.faults().all(|fault| Some(fault.clone())) {
        match fault {
            Fault::PrmField(name, value) => {
                members.insert(name, value);
            }
            Fault::PrmWithout(name) => {
                members.remove(&name);
            }
            _ => {}
        }
    }
    let body = Value::Object(members).to_string();
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn members(state: &TestbedState) -> Map<String, Value> {
    let mut issuers = vec![state.issuer()];
    issuers.extend(
        state
            .settings
            .additional_authorization_servers
            .iter()
            .cloned(),
    );
    let mut members = Map::new();
    members.insert("resource".to_owned(), json!(state.resource()));
    members.insert("resource_name".to_owned(), json!("Notes"));
    members.insert("authorization_servers".to_owned(), json!(issuers));
    members.insert("bearer_methods_supported".to_owned(), json!(["header"]));
    if state.settings.dpop != DpopPolicy::Off {
        let algorithms = json!(dpop::algorithms());
        members.insert("dpop_signing_alg_values_supported".to_owned(), algorithms);
    }
    if state.settings.dpop == DpopPolicy::Required {
        let name = "dpop_bound_access_tokens_required";
        members.insert(name.to_owned(), json!(true));
    }
    if let Some(scopes) = &state.settings.scopes_supported {
        members.insert("scopes_supported".to_owned(), json!(scopes));
    }
    members
}
