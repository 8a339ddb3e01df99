//! The MCP server: streamable HTTP in both wires, and a REST route under the same token.

mod answers;
mod challenge;
mod metadata;
mod rest;
mod stateful;
mod stateless;
mod tools;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde_json::Value;

use crate::authorization_server::Access;
use crate::faults::Fault;
use crate::world::{MCP_PATH, World};
use answers::{Reply, error};

/// What the MCP server remembers.
#[derive(Debug)]
pub(crate) struct Service {
    /// The sessions by their id, with the protocol version of each.
    sessions: HashMap<String, String>,
    notes: Vec<String>,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            sessions: HashMap::new(),
            notes: vec!["buy milk".to_owned()],
        }
    }
}

/// Who is calling: a token, or nobody in particular at an open server.
type Caller = Option<Access>;

pub(crate) fn routes(world: &Arc<World>) -> Router<Arc<World>> {
    let mut routes = Router::new()
        .route(MCP_PATH, post(answer).delete(end_session).get(no_stream))
        .route("/mcp/notes", get(rest::list).post(rest::write));
    if let Some(path) = world.prm_path() {
        routes = routes.route(&path, get(metadata::document));
    }
    routes
}

/// `POST /mcp`: one JSON-RPC message.
async fn answer(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    let caller = match admit(&world, &headers) {
        Ok(caller) => caller,
        Err(refusal) => return *refusal,
    };
    let Ok(message) = serde_json::from_slice::<Value>(&body) else {
        let reply = Reply::json(
            StatusCode::BAD_REQUEST,
            error(&Value::Null, -32700, "not JSON"),
        );
        return answers::send(&world, &headers, reply);
    };
    if let Err(refusal) = tools::check_scope(&world, &caller, &message) {
        return *refusal;
    }
    let reply = if stateless::is_meant(&world, &headers, &message) {
        stateless::reply(&world, &headers, &message, &caller)
    } else {
        stateful::reply(&world, &headers, &message, &caller)
    };
    answers::send(&world, &headers, reply)
}

/// `DELETE /mcp` ends a session.
async fn end_session(State(world): State<Arc<World>>, headers: HeaderMap) -> Response {
    match admit(&world, &headers) {
        Ok(_) => stateful::end(&world, &headers),
        Err(refusal) => *refusal,
    }
}

/// `GET /mcp`: the server offers no stream of its own, and says so by 405.
async fn no_stream(State(world): State<Arc<World>>, headers: HeaderMap) -> Response {
    match admit(&world, &headers) {
        Ok(_) => (
            StatusCode::METHOD_NOT_ALLOWED,
            [(header::ALLOW, "POST, DELETE")],
        )
            .into_response(),
        Err(refusal) => *refusal,
    }
}

/// The token of the `Authorization` header, and of nowhere else (`spec-checklist` A4, A5): good
/// now, and issued for this server.
fn admit(world: &World, headers: &HeaderMap) -> Result<Caller, Box<Response>> {
    if world.settings.open {
        return Ok(None);
    }
    let Some(authorization) = headers.get(header::AUTHORIZATION) else {
        return Err(Box::new(challenge::missing(world)));
    };
    let token = authorization.to_str().ok().and_then(bearer);
    let access = token.and_then(|token| world.ledger().access(token, world.now()));
    access
        .filter(|access| access.resource == world.resource())
        .filter(|_| !world.faults().has(&Fault::RefusesEveryToken))
        .map(Some)
        .ok_or_else(|| Box::new(challenge::invalid(world)))
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}
