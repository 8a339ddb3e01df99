//! Token revocation (RFC 7009).

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};

use super::client_auth;
use super::parameters::Form;
use crate::state::TestbedState;

/// Revokes a token. An unknown token gets 200, too: RFC 7009 §2.2, "invalid tokens do not cause an error
/// response". The hint is not needed, since both kinds of tokens are looked up.
pub(super) async fn revoke(
    State(state): State<Arc<TestbedState>>,
    headers: HeaderMap,
    Form(form): Form,
) -> Response {
    let client = match client_auth::authenticate(&state, &headers, &form) {
        Ok(client) => client,
        Err(refusal) => return refusal.into_response(),
    };
    let token = match form.require("token") {
        Ok(token) => token,
        Err(refusal) => return refusal.into_response(),
    };
    let mut store = state.token_store();
    // RFC 7009 §2.1: with a refresh token, the access tokens of the same grant are revoked, too.
    if let Some((family, _)) = store.tokens.family_of(token, &client.id) {
        store.tokens.revoke_family(family);
    }
    store.tokens.revoke_access(token, &client.id);
    StatusCode::OK.into_response()
}
