//! The authorization server: OAuth 2.1 with RFC 7009, 7523, 7591, 7636, 8414, 8628,
//! 8693, 8707, 9207 and 9449.

mod assertion;
mod authorize;
mod client_auth;
mod client_credentials;
mod client_document;
mod consent_page;
mod device;
mod grants;
mod identity_provider;
mod jwt_bearer;
mod metadata;
mod parameters;
mod redirect_uri;
mod refusal;
mod register;
mod resource;
mod revoke;
mod scope;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::settings::forms::Legacy;
use crate::state::TestbedState;

pub(crate) use identity_provider::{TOKEN_PATH, routes as provider_routes};

/// Returns the routes that the settings enable.
pub(crate) fn routes(state: &Arc<TestbedState>) -> Router<Arc<TestbedState>> {
    let mut routes = Router::new();
    if state.settings.unprotected {
        return routes;
    }
    for path in metadata::paths(state) {
        routes = routes.route(&path, get(metadata::document));
    }
    if state.settings.dynamic_registration {
        routes = routes.route("/register", post(register::register));
    }
    if state.settings.device_authorization {
        routes = routes.merge(device::routes());
    }
    // A legacy server without metadata has only the three endpoints with default paths.
    if state.settings.legacy != Some(Legacy::Endpoints) {
        routes = routes.route("/revoke", post(revoke::revoke));
    }
    routes
        .route("/authorize", get(authorize::show_consent))
        .route("/authorize/decision", post(authorize::decide))
        .route("/token", post(token::token))
}
