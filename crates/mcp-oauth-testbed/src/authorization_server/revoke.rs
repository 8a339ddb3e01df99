//! Token revocation (RFC 7009).

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};

use super::client_auth;
use super::parameters::Form;
use crate::state::TestbedState;

/// 200 also for a token that nobody knows: RFC 7009 §2.2, "invalid tokens do not cause an error
/// response". The hint is not needed, since the token is looked for in both places.
pub(super) async fn revoke(
    State(world): State<Arc<TestbedState>>,
    headers: HeaderMap,
    Form(form): Form,
) -> Response {
    let client = match client_auth::authenticate(&world, &headers, &form) {
        Ok(client) => client,
        Err(refusal) => return refusal.into_response(),
    };
    let token = match form.require("token") {
        Ok(token) => token,
        Err(refusal) => return refusal.into_response(),
    };
    let mut ledger = world.ledger();
    // RFC 7009 §2.1: with a refresh token, the access tokens of the same grant go too.
    if let Some((family, _)) = ledger.tokens.family_of(token, &client.id) {
        ledger.tokens.kill(family);
    }
    ledger.tokens.revoke_access(token, &client.id);
    StatusCode::OK.into_response()
}
