//! A public MCP server and its authorization server, which do not exist: their responses, and their user.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use mcp_client_oauth::platform::{AddressSpace, HttpClient, HttpError, Request, Response};
use mcp_oauth_testbed::test_user::visit;
use serde_json::json;
use url::Url;

use crate::support::{TestUser, lock, parameter};

pub(super) const MCP: &str = "https://mcp.example/mcp";
pub(super) const AS_HOST: &str = "as.example";

/// The responses of both servers, and the requests that they got.
#[derive(Default)]
pub(super) struct PublicServers {
    /// The port of the authorization server, if it is not 443.
    port: Option<u16>,
    requests: Mutex<Vec<(String, AddressSpace)>>,
    tokens: AtomicUsize,
}

impl PublicServers {
    pub(super) fn with_port(port: u16) -> Self {
        Self {
            port: Some(port),
            ..Self::default()
        }
    }

    /// Returns the path and the limit of each request.
    pub(super) fn requests(&self) -> Vec<(String, AddressSpace)> {
        lock(&self.requests).clone()
    }

    fn issuer(&self) -> String {
        match self.port {
            Some(port) => format!("https://{AS_HOST}:{port}"),
            None => format!("https://{AS_HOST}"),
        }
    }
}

#[async_trait]
impl HttpClient for PublicServers {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let path = request.url.path().to_owned();
        lock(&self.requests).push((path.clone(), request.address_space));
        let (issuer, mut status) = (self.issuer(), StatusCode::OK);
        let mut headers = HeaderMap::new();
        let body = match path.as_str() {
            "/.well-known/oauth-protected-resource/mcp" => {
                json!({"resource": MCP, "authorization_servers": [issuer]})
            }
            "/.well-known/oauth-authorization-server" => json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "registration_endpoint": format!("{issuer}/register"),
                "revocation_endpoint": format!("{issuer}/revoke"),
                "code_challenge_methods_supported": ["S256"],
            }),
            "/register" => {
                status = StatusCode::CREATED;
                let registered: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
                let mut registered = registered;
                registered["client_id"] = json!("registered");
                registered
            }
            "/token" => {
                let number = self.tokens.fetch_add(1, Ordering::SeqCst);
                json!({
                    "access_token": format!("access-{number}"),
                    "refresh_token": format!("refresh-{number}"),
                    "token_type": "Bearer",
                    "expires_in": 3600,
                })
            }
            "/revoke" => json!({}),
            _ if request.headers.contains_key(header::AUTHORIZATION) => json!({"notes": []}),
            _ => {
                status = StatusCode::UNAUTHORIZED;
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                json!({})
            }
        };
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        Ok(Response::new(status, headers, body.to_string()))
    }
}

/// Returns a user whom the authorization server sends back with a code at once.
pub(super) fn user() -> Arc<TestUser> {
    TestUser::with_action(|url: Url| async move {
        let mut callback: Url = parameter(&url, "redirect_uri").parse().unwrap();
        callback
            .query_pairs_mut()
            .append_pair("code", "a-code")
            .append_pair("state", &parameter(&url, "state"));
        vec![visit(&callback).await.unwrap()]
    })
}
