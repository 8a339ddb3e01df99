//! A plain REST route under the same token: `GET` and `POST /mcp/notes`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::{admit, tools};
use crate::world::World;

/// The notes.
pub(super) async fn list(State(world): State<Arc<World>>, headers: HeaderMap) -> Response {
    let allowed =
        admit(&world, &headers).and_then(|caller| tools::check_tool(&world, &caller, "list_notes"));
    match allowed {
        Ok(()) => {
            let notes = world.service().notes.clone();
            sent(StatusCode::OK, &json!({ "notes": notes }))
        }
        Err(refusal) => *refusal,
    }
}

/// Echoes the JSON that came.
pub(super) async fn write(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let allowed =
        admit(&world, &headers).and_then(|caller| tools::check_tool(&world, &caller, "write_note"));
    if let Err(refusal) = allowed {
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
