//! The MCP server: all protocol revisions over HTTP, and a REST route and a WebSocket that require the
//! same token.

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

use crate::settings::forms::ProtocolEra;
use crate::state::{MCP_PATH, TestbedState};
use auth::Authorized;
use responses::{Reply, error};

/// Returns the routes that the settings enable.
pub(crate) fn routes(state: &Arc<TestbedState>) -> Router<Arc<TestbedState>> {
    let mut routes = Router::new()
        .route(
            MCP_PATH,
            post(handle_message).delete(end_session).get(streams::open),
        )
        .route(streams::MESSAGES_PATH, post(streams::message))
        .route("/mcp/notes", get(rest::list).post(rest::write))
        .route("/mcp/socket", get(socket::open));
    if let Some(path) = state.prm_path() {
        routes = routes.route(&path, get(metadata::document));
    }
    routes
}

/// `POST /mcp`: one JSON-RPC message.
async fn handle_message(
    State(state): State<Arc<TestbedState>>,
    Authorized(caller): Authorized,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if state.settings.protocol_era == ProtocolEra::HttpWithSse {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let Ok(message) = serde_json::from_slice::<Value>(&body) else {
        let reply = Reply::json(
            StatusCode::BAD_REQUEST,
            error(&Value::Null, -32700, "not JSON"),
        );
        return responses::send(&state, &headers, reply);
    };
    if let Err(refusal) = tools::check_scope(&state, &caller, &message) {
        return *refusal;
    }
    let reply = if stateless::is_stateless(&state, &headers, &message) {
        stateless::reply(&state, &headers, &message, &caller)
    } else {
        stateful::reply(&state, &headers, &message, &caller)
    };
    responses::send(&state, &headers, reply)
}

/// `DELETE /mcp` ends a session.
async fn end_session(
    State(state): State<Arc<TestbedState>>,
    Authorized(_): Authorized,
    headers: HeaderMap,
) -> Response {
    stateful::end(&state, &headers)
}
