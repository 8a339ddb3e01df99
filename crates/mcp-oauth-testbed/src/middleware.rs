//! What every request passes on its way in and every answer on its way out: the log and the faults.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::authorization_server;
use crate::corruption::spoil;
use crate::dpop;
use crate::faults::{Endpoint, Fault};
use crate::mcp_server;
use crate::request_log::{Peer, Recorded};
use crate::state::{MCP_PATH, TestbedState};

/// A request body beyond this is refused with 413.
const MAX_REQUEST_BODY: usize = 4 * 1024 * 1024;

/// Returns the routes of the MCP server; of a legacy one, with the authorization server among them.
pub(crate) fn mcp_side(world: &Arc<TestbedState>) -> Router {
    let mut routes = mcp_server::routes(world);
    if world.settings.legacy.is_some() {
        routes = routes.merge(authorization_server::routes(world));
    }
    guarded(routes, world, Peer::Mcp)
}

/// Returns the routes of the authorization server; none if it is a part of the MCP server, or if there is
/// no authorization at all.
pub(crate) fn authorization_side(world: &Arc<TestbedState>) -> Router {
    let routes = match world.settings.legacy {
        Some(_) => Router::new(),
        None => authorization_server::routes(world),
    };
    guarded(routes, world, Peer::AuthorizationServer)
}

/// Returns the routes of the identity provider.
pub(crate) fn provider_side(world: &Arc<TestbedState>) -> Router {
    let routes = authorization_server::provider_routes();
    guarded(routes, world, Peer::IdentityProvider)
}

fn guarded(routes: Router<Arc<TestbedState>>, world: &Arc<TestbedState>, listener: Peer) -> Router {
    routes
        .fallback(async || StatusCode::NOT_FOUND)
        .layer(from_fn_with_state((Arc::clone(world), listener), pass))
        .with_state(Arc::clone(world))
}

async fn pass(
    State((world, listener)): State<(Arc<TestbedState>, Peer)>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_REQUEST_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().map(str::to_owned);
    let endpoint = endpoint(&world, listener, &path);
    let number = world.log().arrived(Recorded {
        to: party(listener, endpoint),
        method: parts.method.to_string(),
        path: path.clone(),
        query: query.clone(),
        headers: parts.headers.clone(),
        body: body.to_vec(),
        status: 0,
    });
    let status_fault = world.faults().status_for(&path);
    let answer = if let Some(fault) = status_fault {
        refuse(fault)
    } else {
        let mut processed = next.run(Request::from_parts(parts, Body::from(body))).await;
        dpop::supply(&world, endpoint, &mut processed);
        spoil(&world, endpoint, &path, query.as_deref(), processed).await
    };
    world.log().answered(number, answer.status().as_u16());
    answer
}

/// Of a legacy server, which is both parties on one origin, the endpoint decides.
fn party(listener: Peer, endpoint: Option<Endpoint>) -> Peer {
    match endpoint {
        Some(Endpoint::Mcp | Endpoint::ResourceMetadata | Endpoint::IdentityProvider) | None => {
            listener
        }
        Some(_) => Peer::AuthorizationServer,
    }
}

/// Returns the endpoint at this path of this listener. A path that belongs to the other listener is none:
/// a client that looks for the authorization server here finds neither it nor its faults.
fn endpoint(world: &TestbedState, listener: Peer, path: &str) -> Option<Endpoint> {
    if listener == Peer::IdentityProvider {
        let tokens = path == authorization_server::TOKEN_PATH;
        return tokens.then_some(Endpoint::IdentityProvider);
    }
    if listener == Peer::Mcp {
        if world.prm_path().as_deref() == Some(path) {
            return Some(Endpoint::ResourceMetadata);
        }
        if path
            .strip_prefix(MCP_PATH)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        {
            return Some(Endpoint::Mcp);
        }
        world.settings.legacy?;
    }
    match path {
        "/register" => Some(Endpoint::Registration),
        "/authorize" | "/authorize/decision" => Some(Endpoint::Authorization),
        "/token" => Some(Endpoint::Token),
        "/device_authorization" => Some(Endpoint::DeviceAuthorization),
        "/revoke" => Some(Endpoint::Revocation),
        _ if path.starts_with("/.well-known/oauth-authorization-server") => {
            Some(Endpoint::ServerMetadata)
        }
        _ if path.contains("/.well-known/openid-configuration") => Some(Endpoint::ServerMetadata),
        _ => None,
    }
}

fn refuse(fault: Fault) -> Response {
    let Fault::Status {
        status,
        body,
        headers,
        ..
    } = fault
    else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let content_type = if body.starts_with('{') {
        "application/json"
    } else {
        "text/plain; charset=utf-8"
    };
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (
            HeaderName::try_from(name),
            HeaderValue::from_bytes(value.as_bytes()),
        ) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}
