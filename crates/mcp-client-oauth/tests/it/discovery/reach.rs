//! A server that the person named may not send us to a more private place than its own
//! (H31-H37, spec-checklist I1-I3).

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use mcp_client_oauth::{
    Discovery, DiscoveryOptions, Error, ServerUrl, discover,
    error::{DiscoveryError, HttpErrorKind, ServerMetadataError},
    platform::{AddressSpace, HttpClient, HttpError, Platform, Request, Response},
    testing::{ManualClock, RecordedInteraction},
};
use serde_json::{Value, json};

use crate::support::{bounded, lock, the_time};

/// A server in a private network, by plain http.
const CLEAR: &str = "http://mcp.example/mcp";

/// One of each kind of place that is not public.
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

/// A public server and its authorization server, which are not there: what they would answer.
struct Servers {
    challenge: String,
    resource: Value,
    issuer: Value,
    asked: Mutex<Vec<Request>>,
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
            asked: Mutex::default(),
        }
    }

    /// The same in a private network without encryption.
    fn in_clear(issuer: &str) -> Self {
        Self {
            resource: json!({"resource": CLEAR, "authorization_servers": [issuer]}),
            issuer: json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "code_challenge_methods_supported": ["S256"],
            }),
            ..Self::honest()
        }
    }

    async fn discovered(self) -> (Result<(), Error>, Vec<Request>) {
        let server = "https://mcp.example/mcp".parse().unwrap();
        let (outcome, asked) = self.discovered_at(server).await;
        (outcome.map(drop), asked)
    }

    /// What discovery makes of it, and what was asked on the way.
    async fn discovered_at(self, server: ServerUrl) -> (Result<Discovery, Error>, Vec<Request>) {
        let servers = Arc::new(self);
        let clock = Arc::new(ManualClock::new(the_time()));
        let person = Arc::new(RecordedInteraction::default());
        let platform = Platform::new(servers.clone(), clock, person);
        let options = DiscoveryOptions::default();
        let outcome = bounded(discover(&platform, &server, &options)).await;
        let asked = lock(&servers.asked).clone();
        (outcome, asked)
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
        lock(&self.asked).push(request);
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

/// Every place that was asked is that of the server itself or of its honest authorization server.
fn assert_nobody_private_was_asked(requests: &[Request]) {
    for request in requests {
        let host = request.url.host_str().unwrap();
        assert!(["mcp.example", "as.example"].contains(&host), "{request:?}");
    }
}

#[tokio::test]
async fn a_public_server_cannot_name_a_private_authorization_server() {
    for place in PRIVATE {
        let servers = Servers {
            resource: resource_metadata(place),
            ..Servers::honest()
        };
        let (outcome, asked) = servers.discovered().await;
        let error = outcome.unwrap_err();
        assert!(is_unsafe(&error), "{place}: {error}");
        assert_nobody_private_was_asked(&asked);
    }
}

#[tokio::test]
async fn a_public_server_cannot_publish_its_metadata_in_a_private_place() {
    for place in PRIVATE {
        let servers = Servers {
            challenge: format!("Bearer resource_metadata=\"{place}/metadata\""),
            ..Servers::honest()
        };
        let (outcome, asked) = servers.discovered().await;
        let error = outcome.unwrap_err();
        assert!(is_unsafe(&error), "{place}: {error}");
        assert_nobody_private_was_asked(&asked);
    }
}

#[tokio::test]
async fn a_public_authorization_server_cannot_have_private_endpoints() {
    for place in PRIVATE {
        for member in [
            "authorization_endpoint",
            "token_endpoint",
            "registration_endpoint",
        ] {
            let mut servers = Servers::honest();
            servers.issuer[member] = json!(format!("{place}/x"));
            let (outcome, asked) = servers.discovered().await;
            let error = outcome.unwrap_err();
            let named = matches!(
                &error,
                Error::Discovery(DiscoveryError::ServerMetadata {
                    cause: ServerMetadataError::UnsafeEndpoint { member: found, .. },
                    ..
                }) if *found == member
            );
            assert!(named, "{place} {member}: {error}");
            assert_nobody_private_was_asked(&asked);
        }
    }
}

#[tokio::test]
async fn what_a_public_server_names_is_asked_for_with_a_public_reach() {
    let (outcome, asked) = Servers::honest().discovered().await;
    outcome.unwrap();
    let foreign = asked
        .iter()
        .filter(|request| request.url.host_str() == Some("as.example"));
    // The name may resolve to anything: the reach is what the connection is judged by.
    let reaches: Vec<AddressSpace> = foreign.map(|request| request.reach).collect();
    assert_eq!(reaches, [AddressSpace::Public]);
}

#[tokio::test]
async fn a_server_whose_plain_http_is_allowed_may_name_others_of_that_kind() {
    let server = ServerUrl::parse_allow_http(CLEAR).unwrap();
    for issuer in ["http://as.example", "https://as.example"] {
        let (outcome, asked) = Servers::in_clear(issuer)
            .discovered_at(server.clone())
            .await;
        assert_eq!(outcome.unwrap().reach, AddressSpace::PrivateOverHttp);
        // Whether a name leads into a private network, the connection finds out.
        for request in asked {
            assert_eq!(request.reach, AddressSpace::PrivateOverHttp, "{request:?}");
        }
    }
}

#[tokio::test]
async fn a_server_whose_plain_http_is_allowed_leads_to_no_other_place() {
    let server = ServerUrl::parse_allow_http(CLEAR).unwrap();
    for issuer in [
        "http://8.8.8.8",
        "http://127.0.0.1",
        "http://localhost:8080",
        "http://169.254.169.254",
        "https://127.0.0.1",
        "https://169.254.169.254",
    ] {
        let (outcome, asked) = Servers::in_clear(issuer)
            .discovered_at(server.clone())
            .await;
        let error = outcome.unwrap_err();
        assert!(is_unsafe(&error), "{issuer}: {error}");
        assert_nobody_private_was_asked(&asked);
    }
}

#[tokio::test]
async fn a_server_of_https_names_no_place_of_plain_http() {
    let server = "https://mcp.example/mcp".parse().unwrap();
    let mut servers = Servers::in_clear("http://as.example");
    servers.resource["resource"] = json!("https://mcp.example/mcp");
    let (outcome, asked) = servers.discovered_at(server).await;
    let error = outcome.unwrap_err();
    assert!(is_unsafe(&error), "{error}");
    assert_nobody_private_was_asked(&asked);
}
