//! The MCP server: streamable HTTP in both wires, and a REST route and a WebSocket under the same
//! token.

mod auth;
mod caller;
mod challenge;
mod metadata;
mod responses;
mod rest;
mod socket;
mod stateful;
mod stateless;
mod streams;
mod tools;
mod versions;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::settings::forms::Wire;
use crate::state::{MCP_PATH, TestbedState};
use auth::Admitted;
use responses::{Reply, error};

/// Returns the routes, as far as the settings have them.
pub(crate) fn routes(world: &Arc<TestbedState>) -> Router<Arc<TestbedState>> {
    let mut routes = Router::new()
        .route(
            MCP_PATH,
            post(answer).delete(end_session).get(streams::open),
        )
        .route(streams::MESSAGES_PATH, post(streams::message))
        .route("/mcp/notes", get(rest::list).post(rest::write))
        .route("/mcp/socket", get(socket::open));
    if let Some(path) = world.prm_path() {
        routes = routes.route(&path, get(metadata::document));
    }
    routes
}

/// `POST /mcp`: one JSON-RPC message.
async fn answer(
    State(world): State<Arc<TestbedState>>,
    Admitted(caller): Admitted,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if world.settings.wire == Wire::EventStream {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let Ok(message) = serde_json::from_slice::<Value>(&body) else {
        let reply = Reply::json(
            StatusCode::BAD_REQUEST,
            error(&Value::Null, -32700, "not JSON"),
        );
        return responses::send(&world, &headers, reply);
    };
    if let Err(refusal) = tools::check_scope(&world, &caller, &message) {
        return *refusal;
    }
    let reply = if stateless::is_meant(&world, &headers, &message) {
        stateless::reply(&world, &headers, &message, &caller)
    } else {
        stateful::reply(&world, &headers, &message, &caller)
    };
    responses::send(&world, &headers, reply)
}

/// `DELETE /mcp` ends a session.
async fn end_session(
    State(world): State<Arc<TestbedState>>,
    Admitted(_): Admitted,
    headers: HeaderMap,
) -> Response {
    stateful::end(&world, &headers)
}
