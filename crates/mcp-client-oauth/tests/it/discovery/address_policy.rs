//! A server may not lead the client to a more private address space than its own (MCP security best
//! practices, "Server-Side Request Forgery (SSRF)").

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use mcp_client_oauth::{
    Error, ServerUrl,
    error::{DiscoveryError, HttpErrorKind, ServerMetadataError},
    flow::{Discovery, DiscoveryOptions, discover},
    platform::{AddressSpace, HttpClient, HttpError, Platform, Request, Response},
};
use mcp_oauth_testing::{ManualClock, RecordedInteraction};
use serde_json::{Value, json};

use crate::support::{bounded, lock, start_time};

/// A server in a private network, over plaintext HTTP.
const PLAINTEXT: &str = "http://mcp.example/mcp";

/// One URL for each kind of address that is not public.
const PRIVATE: [&str; 10] = [
    "https://10.0.0.1",
    "https://172.16.0.1",
    "https://192.168.1.1",
    "https://100.64.0.1",
    "https://169.254.169.254",
    "https://127.0.0.1",
    "https://localhost",
    "https://[::1]",
    "https://[fd00::1]",
    "https://[fe80::1]",
];

/// The responses of a public server and of its authorization server. Neither exists.
struct Servers {
    challenge: String,
    resource: Value,
    issuer: Value,
    requests: Mutex<Vec<Request>>,
}

impl Servers {
    fn honest() -> Self {
        let issuer = json!({
            "issuer": "https://as.example",
            "authorization_endpoint": "https://as.example/authorize",
            "token_endpoint": "https://as.example/token",
        });
        Self {
            challenge: "Bearer".to_owned(),
            resource: resource_metadata("https://as.example"),
            issuer,
            requests: Mutex::default(),
        }
    }

    /// The same in a private network, unencrypted.
    fn plaintext(issuer: &str) -> Self {
        Self {
            resource: json!({"resource": PLAINTEXT, "authorization_servers": [issuer]}),
            issuer: json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "code_challenge_methods_supported": ["S256"],
            }),
            ..Self::honest()
        }
    }

    async fn discover(self) -> (Result<(), Error>, Vec<Request>) {
        let server = "https://mcp.example/mcp".parse().unwrap();
        let (outcome, requests) = self.discover_at(server).await;
        (outcome.map(drop), requests)
    }

    /// Returns the result of discovery, and the requests that it sent.
    async fn discover_at(self, server: ServerUrl) -> (Result<Discovery, Error>, Vec<Request>) {
        let servers = Arc::new(self);
        let clock = Arc::new(ManualClock::new(start_time()));
        let user = Arc::new(RecordedInteraction::default());
        let platform = Platform::new(servers.clone(), clock, user);
        let options = DiscoveryOptions::default();
        let outcome = bounded(discover(&platform, &server, &options)).await;
        let requests = lock(&servers.requests).clone();
        (outcome, requests)
    }
}

#[async_trait]
impl HttpClient for Servers {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let (mut status, mut headers, mut body) = (StatusCode::OK, HeaderMap::new(), String::new());
        match (request.url.host_str(), request.method.as_str()) {
            (Some("as.example"), _) => body = self.issuer.to_string(),
            (Some("mcp.example"), "GET") => body = self.resource.to_string(),
            _ => {
                status = StatusCode::UNAUTHORIZED;
                let challenge = HeaderValue::from_str(&self.challenge).unwrap();
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
        }
        lock(&self.requests).push(request);
        Ok(Response::new(status, headers, body))
    }
}

fn resource_metadata(issuer: &str) -> Value {
    json!({"resource": "https://mcp.example/mcp", "authorization_servers": [issuer]})
}

fn is_unsafe(error: &Error) -> bool {
    match error {
        Error::Discovery(DiscoveryError::Unsafe { .. }) => true,
        Error::Http(error) => matches!(error.cause, HttpErrorKind::Forbidden(_)),
        _ => false,
    }
}

/// Asserts that each request went to the server itself or to its own authorization server.
fn assert_no_private_request(requests: &[Request]) {
    for request in requests {
        let host = request.url.host_str().unwrap();
        assert!(["mcp.example", "as.example"].contains(&host), "{request:?}");
    }
}

#[tokio::test]
async fn a_public_server_cannot_name_a_private_authorization_server() {
    for private in PRIVATE {
        let servers = Servers {
            resource: resource_metadata(private),
            ..Servers::honest()
        };
        let (outcome, requests) = servers.discover().await;
        let error = outcome.unwrap_err();
        assert!(is_unsafe(&error), "{private}: {error}");
        assert_no_private_request(&requests);
    }
}

#[tokio::test]
async fn a_public_server_cannot_publish_its_metadata_at_a_private_address() {
    for private in PRIVATE {
        let servers = Servers {
            challenge: format!("Bearer resource_metadata=\"{private}/metadata\""),
            ..Servers::honest()
        };
        let (outcome, requests) = servers.discover().await;
        let error = outcome.unwrap_err();
        assert!(is_unsafe(&error), "{private}: {error}");
        assert_no_private_request(&requests);
    }
}

#[tokio::test]
async fn a_public_authorization_server_cannot_have_private_endpoints() {
    for private in PRIVATE {
        for member in [
            "authorization_endpoint",
            "token_endpoint",
            "registration_endpoint",
        ] {
            let mut servers = Servers::honest();
            servers.issuer[member] = json!(format!("{private}/x"));
            let (outcome, requests) = servers.discover().await;
            let error = outcome.unwrap_err();
            let named = matches!(
                &error,
                Error::Discovery(DiscoveryError::ServerMetadata {
                    cause: ServerMetadataError::UnsafeEndpoint { member: found, .. },
                    ..
                }) if *found == member
            );
            assert!(named, "{private} {member}: {error}");
            assert_no_private_request(&requests);
        }
    }
}

#[tokio::test]
async fn urls_from_a_public_server_are_requested_in_the_public_address_space() {
    let (outcome, requests) = Servers::honest().discover().await;
    outcome.unwrap();
    let third_party = requests
        .iter()
        .filter(|request| request.url.host_str() == Some("as.example"));
    // The name may resolve to any address: the address space decides which connections are allowed.
    let address_spaces: Vec<AddressSpace> =
        third_party.map(|request| request.address_space).collect();
    assert_eq!(address_spaces, [AddressSpace::Public]);
}

#[tokio::test]
async fn an_allowed_plaintext_server_may_name_private_plaintext_urls() {
    let server = ServerUrl::parse_allow_http(PLAINTEXT).unwrap();
    for issuer in ["http://as.example", "https://as.example"] {
        let (outcome, requests) = Servers::plaintext(issuer).discover_at(server.clone()).await;
        assert_eq!(
            outcome.unwrap().address_space,
            AddressSpace::PrivateOverHttp
        );
        // The connection checks whether a name resolves to a private network.
        for request in requests {
            assert_eq!(
                request.address_space,
                AddressSpace::PrivateOverHttp,
                "{request:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_allowed_plaintext_server_cannot_name_other_plaintext_urls() {
    let server = ServerUrl::parse_allow_http(PLAINTEXT).unwrap();
    for issuer in [
        "http://8.8.8.8",
        "http://127.0.0.1",
        "http://localhost:8080",
        "http://169.254.169.254",
        "https://127.0.0.1",
        "https://169.254.169.254",
    ] {
        let (outcome, requests) = Servers::plaintext(issuer).discover_at(server.clone()).await;
        let error = outcome.unwrap_err();
        assert!(is_unsafe(&error), "{issuer}: {error}");
        assert_no_private_request(&requests);
    }
}

#[tokio::test]
async fn an_https_server_cannot_name_plaintext_urls() {
    let server = "https://mcp.example/mcp".parse().unwrap();
    let mut servers = Servers::plaintext("http://as.example");
    servers.resource["resource"] = json!("https://mcp.example/mcp");
    let (outcome, requests) = servers.discover_at(server).await;
    let error = outcome.unwrap_err();
    assert!(is_unsafe(&error), "{error}");
    assert_no_private_request(&requests);
}
