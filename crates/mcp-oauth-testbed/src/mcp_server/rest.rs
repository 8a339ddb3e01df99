//! A REST route that requires the same token: `GET` and `POST /mcp/notes`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::auth::Authorized;
use super::tools;
use crate::state::TestbedState;

/// Returns the notes.
pub(super) async fn list(
    State(state): State<Arc<TestbedState>>,
    Authorized(caller): Authorized,
) -> Response {
    match tools::check_tool(&state, &caller, "list_notes") {
        Ok(()) => {
            let notes = state.service().notes.clone();
            json_response(StatusCode::OK, &json!({ "notes": notes }))
        }
        Err(refusal) => *refusal,
    }
}

/// Echoes the JSON of the request.
pub(super) async fn write(
    State(state): State<Arc<TestbedState>>,
    Authorized(caller): Authorized,
    body: Bytes,
) -> Response {
    if let Err(refusal) = tools::check_tool(&state, &caller, "write_note") {
        return *refusal;
    }
    match serde_json::from_slice::<Value>(&body) {
        Ok(echo) => json_response(StatusCode::OK, &echo),
        Err(_) => json_response(StatusCode::BAD_REQUEST, &json!({ "error": "not JSON" })),
    }
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}
