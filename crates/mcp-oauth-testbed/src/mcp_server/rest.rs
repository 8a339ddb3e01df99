//! A plain REST route under the same token: `GET` and `POST /mcp/notes`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::auth::Admitted;
use super::tools;
use crate::state::TestbedState;

/// Returns the notes.
pub(super) async fn list(
    State(world): State<Arc<TestbedState>>,
    Admitted(caller): Admitted,
) -> Response {
    match tools::check_tool(&world, &caller, "list_notes") {
        Ok(()) => {
            let notes = world.service().notes.clone();
            sent(StatusCode::OK, &json!({ "notes": notes }))
        }
        Err(refusal) => *refusal,
    }
}

/// Echoes the JSON that came.
pub(super) async fn write(
    State(world): State<Arc<TestbedState>>,
    Admitted(caller): Admitted,
    body: Bytes,
) -> Response {
    if let Err(refusal) = tools::check_tool(&world, &caller, "write_note") {
        return *refusal;
    }
    match serde_json::from_slice::<Value>(&body) {
        Ok(echo) => sent(StatusCode::OK, &echo),
        Err(_) => sent(StatusCode::BAD_REQUEST, &json!({ "error": "not JSON" })),
    }
}

fn sent(status: StatusCode, body: &Value) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}
