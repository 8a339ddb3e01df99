//! The identity provider of an enterprise: token exchange (RFC 8693) of an ID token for an ID-JAG.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::client_auth;
use super::jwt_bearer::ID_JAG;
use super::parameters::{Form, Parameters};
use super::refusal::{Refusal, invalid_grant, json_response};
use super::resource::select_resource;
use super::scope::parse_scopes;
use crate::faults::Fault;
use crate::identities::{LIFETIME, claims};
use crate::jose::jwt::Jwt;
use crate::state::TestbedState;
use crate::state::token_store::Client;

/// The path of its token endpoint. It differs from that of the authorization server, so that a fault of a
/// path applies to one server.
pub(crate) const TOKEN_PATH: &str = "/oauth2/token";

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID_JAG_TYPE: &str = "urn:ietf:params:oauth:token-type:id-jag";
const ID_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:id_token";
const REFRESH_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:refresh_token";

pub(crate) fn routes() -> Router<Arc<TestbedState>> {
    Router::new()
        .route("/.well-known/openid-configuration", get(metadata))
        .route("/.well-known/oauth-authorization-server", get(metadata))
        .route("/jwks.json", get(jwks))
        .route(TOKEN_PATH, post(exchange))
}

/// Returns the metadata. There is no login page: [`Testbed::id_token`](crate::Testbed::id_token) returns
/// the result of a login.
async fn metadata(State(state): State<Arc<TestbedState>>) -> Response {
    let issuer = &state.origins.identity_provider;
    let document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}{TOKEN_PATH}"),
        "jwks_uri": format!("{issuer}/jwks.json"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", GRANT_TYPE],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported":
            ["client_secret_basic", "client_secret_post", "private_key_jwt"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    });
    json_response(StatusCode::OK, &document)
}

async fn jwks(State(state): State<Arc<TestbedState>>) -> Response {
    json_response(StatusCode::OK, &state.identities.provider_jwks())
}

async fn exchange(
    State(state): State<Arc<TestbedState>>,
    headers: HeaderMap,
    Form(form): Form,
) -> Response {
    match issue_id_jag(&state, &headers, &form) {
        Ok(response) => json_response(StatusCode::OK, &response),
        Err(refusal) => refusal.into_response(),
    }
}

/// Exchanges a token for an ID-JAG; checks the parameters in the order of RFC 8693 §2.1.
fn issue_id_jag(
    state: &TestbedState,
    headers: &HeaderMap,
    form: &Parameters,
) -> Result<Value, Refusal> {
    let Some(enterprise) = &state.settings.enterprise else {
        return Err(Refusal::new("invalid_client", "there is no enterprise"));
    };
    let known = Client::from(&enterprise.provider_client);
    let issuer = &state.origins.identity_provider;
    let find = |id: &str| (known.id == id).then(|| known.clone());
    let client = client_auth::authenticate_at(state, issuer, find, headers, form)?;
    let forced = state.faults().find(|fault| match fault {
        Fault::IdJagRefused(error) => Some(error.clone()),
        _ => None,
    });
    if let Some(error) = forced {
        return Err(Refusal::forced(error));
    }
    if form.require("grant_type")? != GRANT_TYPE {
        let reason = "only token exchange is supported";
        return Err(Refusal::new("unsupported_grant_type", reason));
    }
    if form.require("requested_token_type")? != ID_JAG_TYPE {
        let reason = "only an ID-JAG can be requested";
        return Err(Refusal::new("invalid_request", reason));
    }
    // SEP-990: the issuer identifier of the authorization server, and no URL of it.
    if form.require("audience")? != state.issuer() {
        let reason = "audience is no authorization server that is known here";
        return Err(Refusal::new("invalid_target", reason));
    }
    let resource = select_resource(&state.resources(), state, form.find("resource"))?;
    let subject = subject(state, form, &client)?;
    let scopes = parse_scopes(state, form.find("scope"))?.join(" ");
    let mut jag = claims(state.now(), issuer, &subject, &json!(state.issuer()));
    jag["client_id"] = json!(enterprise.client_id);
    jag["resource"] = json!(resource);
    jag["scope"] = json!(scopes);
    let jag = state.identities.sign_provider_jwt(ID_JAG, &jag);
    let jag = jag.map_err(|error| Refusal::new("server_error", error.to_string()))?;
    let wrong_type = state.faults().find(|fault| match fault {
        Fault::IssuedTokenType(other) => Some(other.clone()),
        _ => None,
    });
    Ok(json!({
        "issued_token_type": wrong_type.as_deref().unwrap_or(ID_JAG_TYPE),
        "access_token": jag,
        // RFC 8693 §2.2.1: what is issued is not usable as an access token.
        "token_type": "N_A",
        "expires_in": LIFETIME,
        "scope": scopes,
    }))
}

/// Returns the subject of the subject token, which must be of this provider, for this client, and valid.
fn subject(state: &TestbedState, form: &Parameters, client: &Client) -> Result<String, Refusal> {
    match form.require("subject_token_type")? {
        ID_TOKEN_TYPE => {}
        REFRESH_TOKEN_TYPE => {
            if form.require("subject_token")? == state.identities.refresh_token() {
                return Ok("alice@example.com".to_owned());
            }
            return Err(invalid_grant("the refresh token was not issued here"));
        }
        _ => {
            let reason = "the subject token must be an ID token or a refresh token";
            return Err(Refusal::new("invalid_request", reason));
        }
    }
    let jwt = Jwt::parse(form.require("subject_token")?)
        .ok_or_else(|| invalid_grant("the subject token is not a JWT"))?;
    let issuer = state.origins.identity_provider.as_str();
    let is_own = jwt.is_signed_by(state.identities.provider()) && jwt.claim("iss") == Some(issuer);
    if !is_own || jwt.header("typ") == Some(ID_JAG) {
        return Err(invalid_grant(
            "the subject token is not an ID token of this server",
        ));
    }
    if !jwt.is_for(&client.id) {
        return Err(invalid_grant("the ID token is for another client"));
    }
    jwt.check_dates(state.now()).map_err(invalid_grant)?;
    let subject = jwt
        .claim("sub")
        .ok_or_else(|| invalid_grant("sub is missing"))?;
    Ok(subject.to_owned())
}
