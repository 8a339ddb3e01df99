//! The authorization server: OAuth 2.1 with RFC 7009, 7523, 7591, 7636, 8414, 8628,
//! 8693, 8707, 9207 and 9449.

mod assertion;
mod authorize;
mod client_auth;
mod client_credentials;
mod client_document;
mod consent_page;
mod device;
mod identity_provider;
mod jwt_bearer;
mod ledger;
mod metadata;
mod parameters;
mod redirect_uri;
mod register;
mod revoke;
mod token;

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::builder::Legacy;
use crate::world::World;

pub(crate) use identity_provider::{TOKEN_PATH, routes as provider_routes};
pub(crate) use ledger::{Access, Ledger, random};
pub use ledger::{Family, IssuedToken};

/// The routes, as far as the settings have them.
pub(crate) fn routes(world: &Arc<World>) -> Router<Arc<World>> {
    let mut routes = Router::new();
    if world.settings.open {
        return routes;
    }
    for path in metadata::paths(world) {
        routes = routes.route(&path, get(metadata::document));
    }
    if world.settings.dynamic_registration {
        routes = routes.route("/register", post(register::register));
    }
    if world.settings.device_authorization {
        routes = routes.merge(device::routes());
    }
    // A legacy server without metadata has the three endpoints that can be guessed, and no more.
    if world.settings.legacy != Some(Legacy::Endpoints) {
        routes = routes.route("/revoke", post(revoke::revoke));
    }
    routes
        .route("/authorize", get(authorize::ask))
        .route("/authorize/decision", post(authorize::decide))
        .route("/token", post(token::token))
}

/// An error answer as in RFC 6749 §5.2.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    error: Cow<'static, str>,
    description: String,
    /// Whether the client tried HTTP Basic, so that a 401 must name that scheme.
    basic: bool,
}

impl Refusal {
    fn new(error: &'static str, description: impl Into<String>) -> Self {
        let description = description.into();
        Self {
            status: StatusCode::BAD_REQUEST,
            error: Cow::Borrowed(error),
            description,
            basic: false,
        }
    }

    /// The error that a fault names.
    fn forced(error: String) -> Self {
        Self {
            error: Cow::Owned(error),
            ..Self::new("", "refused on command")
        }
    }

    fn invalid_client(description: &str, basic: bool) -> Self {
        let status = StatusCode::UNAUTHORIZED;
        Self {
            status,
            error: Cow::Borrowed("invalid_client"),
            description: description.to_owned(),
            basic,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.error, "error_description": self.description });
        let mut answer = json_answer(self.status, &body);
        if self.basic {
            let challenge = HeaderValue::from_static("Basic realm=\"mcp-oauth-testbed\"");
            answer
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        answer
    }
}

/// A JSON answer that nobody keeps (RFC 6749 §5.1).
fn json_answer(status: StatusCode, body: &Value) -> Response {
    const HEADERS: [(HeaderName, &str); 3] = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::PRAGMA, "no-cache"),
    ];
    (status, HEADERS, body.to_string()).into_response()
}
