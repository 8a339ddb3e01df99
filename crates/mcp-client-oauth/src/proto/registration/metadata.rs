//! The client metadata of a registration request.

use serde::Serialize;
use url::Url;

use crate::{
    proto::{client_auth::AuthMethod, device, scope::Scope},
    server_url::is_loopback,
};

/// The metadata of this client (RFC 7591 §2).
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub(crate) struct ClientMetadata {
    /// The name on the consent page.
    pub client_name: String,
    /// The redirect URIs; empty for a grant without a redirect.
    pub redirect_uris: Vec<String>,
    /// The grants of the client, with `refresh_token` (MCP authorization, Refresh Tokens).
    pub grant_types: Vec<&'static str>,
    /// `code`, where there is a redirect.
    pub response_types: Vec<&'static str>,
    /// The requested authentication method.
    pub token_endpoint_auth_method: &'static str,
    /// `native` for a loopback or custom-scheme redirect, else `web` (MCP authorization, Application Type
    /// and Redirect URI Constraints).
    pub application_type: &'static str,
    /// The scope that it may request; without one, the server selects a default (RFC 7591 §2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Says whether the client accepts only tokens that are bound to a key (RFC 9449 §5.2).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dpop_bound_access_tokens: bool,
}

/// Returns the type of a client with this redirect URI: `web` for an https page of another host, else
/// `native` (MCP authorization, Application Type and Redirect URI Constraints).
pub(crate) fn application_type(redirect_uri: &Url) -> &'static str {
    if redirect_uri.scheme() == "https" && !is_loopback(redirect_uri) {
        "web"
    } else {
        "native"
    }
}

impl ClientMetadata {
    /// Creates a client for the authorization code grant with `redirect_uri`.
    pub(crate) fn interactive(name: &str, redirect_uri: &Url, method: AuthMethod) -> Self {
        Self {
            client_name: name.to_owned(),
            redirect_uris: vec![redirect_uri.to_string()],
            grant_types: vec!["authorization_code", "refresh_token"],
            response_types: vec!["code"],
            token_endpoint_auth_method: method.as_str(),
            application_type: application_type(redirect_uri),
            scope: None,
            dpop_bound_access_tokens: false,
        }
    }

    /// Creates a client for the device grant (RFC 8628). The empty lists are written out: left out, they
    /// would mean the defaults of RFC 7591 §2, and some servers require the members.
    pub(crate) fn device(name: &str, method: AuthMethod) -> Self {
        Self {
            client_name: name.to_owned(),
            redirect_uris: Vec::new(),
            grant_types: vec![device::GRANT_TYPE, "refresh_token"],
            response_types: Vec::new(),
            token_endpoint_auth_method: method.as_str(),
            application_type: "native",
            scope: None,
            dpop_bound_access_tokens: false,
        }
    }
}
