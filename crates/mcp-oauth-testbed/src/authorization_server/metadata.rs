//! The metadata document, in each published form (RFC 8414, OpenID Connect Discovery).

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use serde_json::{Map, Value, json};

use super::device;
use super::grants::{CLIENT_CREDENTIALS, DEVICE_CODE, JWT_BEARER};
use crate::dpop;
use crate::faults::Fault;
use crate::jose::key::{ALGORITHMS, Algorithm};
use crate::settings::forms::{Legacy, MetadataForm};
use crate::settings::grants::{DpopPolicy, PRIVATE_KEY_JWT};
use crate::state::TestbedState;

/// Returns the paths at which the document is served.
pub(super) fn paths(state: &TestbedState) -> Vec<String> {
    match state.settings.legacy {
        // MCP authorization 2025-03-26, "Authorization Base URL": at the root, whatever the server's path.
        Some(Legacy::Metadata) => vec![format!("{OAUTH}")],
        Some(Legacy::Endpoints) => Vec::new(),
        None => published(&state.settings.metadata_forms, &state.settings.issuer_path),
    }
}

const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

/// Returns the paths of the forms. Without a tenant the two OpenID forms have the same path, which a
/// router accepts only once.
fn published(forms: &[MetadataForm], tenant: &str) -> Vec<String> {
    let mut paths: Vec<String> = forms
        .iter()
        .map(|form| match form {
            MetadataForm::OAuth => format!("{OAUTH}{tenant}"),
            MetadataForm::OpenIdInserted => format!("{OPENID}{tenant}"),
            MetadataForm::OpenIdAppended => format!("{tenant}{OPENID}"),
        })
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

pub(super) async fn document(State(state): State<Arc<TestbedState>>) -> Response {
    let mut members = members(&state);
    for fault in state.faults().all(|fault| Some(fault.clone())) {
        apply_fault(&mut members, fault);
    }
    let body = Value::Object(members).to_string();
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn members(state: &TestbedState) -> Map<String, Value> {
    let settings = &state.settings;
    let origin = &state.origins.authorization;
    let mut grants = vec!["authorization_code"];
    if settings.issue_refresh_tokens {
        grants.push("refresh_token");
    }
    if !settings.confidential_clients.is_empty() {
        grants.push(CLIENT_CREDENTIALS);
    }
    let devices = settings.device_authorization;
    if devices {
        grants.push(DEVICE_CODE);
    }
    let enterprise = settings.enterprise.is_some();
    if settings.workload_issuer.is_some() || enterprise {
        grants.push(JWT_BEARER);
    }
    let profiles = enterprise.then_some(["urn:ietf:params:oauth:grant-profile:id-jag"]);
    let registration = settings
        .dynamic_registration
        .then(|| format!("{origin}/register"));
    let methods = settings.auth_methods();
    let signed = methods.iter().any(|method| method == PRIVATE_KEY_JWT);
    let algorithms = signed.then(|| ALGORITHMS.map(Algorithm::name));
    let dpop = (settings.dpop != DpopPolicy::Off).then(dpop::algorithms);
    let document = json!({
        "issuer": state.issuer(),
        "authorization_endpoint": format!("{origin}/authorize"),
        "token_endpoint": format!("{origin}/token"),
        "registration_endpoint": registration,
        "device_authorization_endpoint": devices.then(|| format!("{origin}{}", device::PATH)),
        "revocation_endpoint": format!("{origin}/revoke"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": grants,
        // SEP-990: announces that the server accepts ID-JAGs.
        "authorization_grant_profiles_supported": profiles,
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "dpop_signing_alg_values_supported": dpop,
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": state.known_scopes(),
        "authorization_response_iss_parameter_supported": settings.iss_parameter.then_some(true),
        "client_id_metadata_document_supported":
            settings.client_id_metadata_documents.then_some(true),
        // OpenID Connect Discovery 1.0 §3 requires these in addition to RFC 8414.
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "jwks_uri": format!("{origin}/jwks.json"),
    });
    let Value::Object(mut members) = document else {
        return Map::new();
    };
    members.retain(|_, value| !value.is_null());
    members
}

fn apply_fault(members: &mut Map<String, Value>, fault: Fault) {
    match fault {
        Fault::WrongIssuer(issuer) => {
            members.insert("issuer".to_owned(), issuer.into());
        }
        Fault::MissingIssuer => {
            members.remove("issuer");
        }
        Fault::IssuerWithTrailingSlash => {
            let issuer = members
                .get("issuer")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let issuer = format!("{issuer}/");
            members.insert("issuer".to_owned(), issuer.into());
        }
        Fault::NoPkceMethods => {
            members.remove("code_challenge_methods_supported");
        }
        Fault::OnlyPlainPkce => {
            members.insert(
                "code_challenge_methods_supported".to_owned(),
                json!(["plain"]),
            );
        }
        Fault::MetadataField(name, value) => {
            members.insert(name, value);
        }
        Fault::MetadataWithout(name) => {
            members.remove(&name);
        }
        _ => {}
    }
}
