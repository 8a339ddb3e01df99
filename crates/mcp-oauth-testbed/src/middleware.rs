//! The middleware of every request and response: the request log and the faults.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::authorization_server;
use crate::corruption::corrupt;
use crate::dpop;
use crate::faults::{Endpoint, Fault};
use crate::mcp_server;
use crate::request_log::{Peer, RecordedRequest};
use crate::state::{MCP_PATH, TestbedState};

/// The largest request body; a larger one is refused with 413.
const MAX_REQUEST_BODY: usize = 4 * 1024 * 1024;

/// Returns the router of the MCP server; of a legacy one it includes the authorization server.
pub(crate) fn mcp_router(state: &Arc<TestbedState>) -> Router {
    let mut routes = mcp_server::routes(state);
    if state.settings.legacy.is_some() {
        routes = routes.merge(authorization_server::routes(state));
    }
    with_middleware(routes, state, Peer::Mcp)
}

/// Returns the router of the authorization server; it is empty if the authorization server is part of
/// the MCP server, or if the server is unprotected.
pub(crate) fn authorization_router(state: &Arc<TestbedState>) -> Router {
    let routes = match state.settings.legacy {
        Some(_) => Router::new(),
        None => authorization_server::routes(state),
    };
    with_middleware(routes, state, Peer::AuthorizationServer)
}

/// Returns the router of the identity provider.
pub(crate) fn identity_provider_router(state: &Arc<TestbedState>) -> Router {
    let routes = authorization_server::provider_routes();
    with_middleware(routes, state, Peer::IdentityProvider)
}

fn with_middleware(
    routes: Router<Arc<TestbedState>>,
    state: &Arc<TestbedState>,
    listener: Peer,
) -> Router {
    routes
        .fallback(async || StatusCode::NOT_FOUND)
        .layer(from_fn_with_state((Arc::clone(state), listener), handle))
        .with_state(Arc::clone(state))
}

async fn handle(
    State((state, listener)): State<(Arc<TestbedState>, Peer)>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_REQUEST_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().map(str::to_owned);
    let endpoint = endpoint(&state, listener, &path);
    let number = state.log().record(RecordedRequest {
        to: peer(listener, endpoint),
        method: parts.method.to_string(),
        path: path.clone(),
        query: query.clone(),
        headers: parts.headers.clone(),
        body: body.to_vec(),
        status: 0,
    });
    let status_fault = state.faults().status_for(&path);
    let response = if let Some(fault) = status_fault {
        status_response(fault)
    } else {
        let mut processed = next.run(Request::from_parts(parts, Body::from(body))).await;
        dpop::add_nonce(&state, endpoint, &mut processed);
        corrupt(&state, endpoint, &path, query.as_deref(), processed).await
    };
    state.log().set_status(number, response.status().as_u16());
    response
}

/// Returns the peer of a request. A legacy server has both on one origin; there the endpoint decides.
fn peer(listener: Peer, endpoint: Option<Endpoint>) -> Peer {
    match endpoint {
        Some(Endpoint::Mcp | Endpoint::ResourceMetadata | Endpoint::IdentityProvider) | None => {
            listener
        }
        Some(_) => Peer::AuthorizationServer,
    }
}

/// Returns the endpoint at this path of this listener; none for a path of another listener. A client
/// that requests the metadata of the authorization server from the MCP server gets 404, and no fault
/// applies.
fn endpoint(state: &TestbedState, listener: Peer, path: &str) -> Option<Endpoint> {
    if listener == Peer::IdentityProvider {
        let tokens = path == authorization_server::TOKEN_PATH;
        return tokens.then_some(Endpoint::IdentityProvider);
    }
    if listener == Peer::Mcp {
        if state.prm_path().as_deref() == Some(path) {
            return Some(Endpoint::ResourceMetadata);
        }
        if path
            .strip_prefix(MCP_PATH)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        {
            return Some(Endpoint::Mcp);
        }
        state.settings.legacy?;
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

fn status_response(fault: Fault) -> Response {
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
    let mut response = Response::new(Body::from(body));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (
            HeaderName::try_from(name),
            HeaderValue::from_bytes(value.as_bytes()),
        ) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
