//! URLs that miss the MCP endpoint, and how real servers respond. The responses are those of the named
//! versions to the requests of this crate, without their dates.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use mcp_client_oauth::{
    Error, Remedy, ServerUrl,
    error::{DiscoveryError, HttpError},
    flow::{DiscoveryOptions, discover},
    platform::{HttpClient, Platform, Request, Response},
};
use mcp_oauth_testing::{ManualClock, RecordedInteraction};

fn response(status: u16, content_type: &str, body: &str) -> Response {
    let mut headers = HeaderMap::new();
    let content_type = HeaderValue::from_str(content_type).unwrap();
    headers.insert(header::CONTENT_TYPE, content_type);
    Response::new(
        StatusCode::from_u16(status).unwrap(),
        headers,
        body.to_owned(),
    )
}

/// The response of uvicorn to a path that Starlette does not know.
fn not_found() -> Response {
    response(404, "text/plain; charset=utf-8", "Not Found")
}

/// Python 3.11's `http.server`.
fn unsupported_method() -> Response {
    let page =
        "<!DOCTYPE HTML>\n<html lang=\"en\">\n    <head>\n        <meta charset=\"utf-8\">\n";
    response(501, "text/html;charset=utf-8", page)
}

/// A server that gives one response to `POST`, and another one to every `GET`.
struct Server {
    post: Response,
    get: Response,
    requests: AtomicUsize,
}

#[async_trait]
impl HttpClient for Server {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let is_post = request.method == Method::POST;
        Ok(if is_post { &self.post } else { &self.get }.clone())
    }
}

/// Why discovery of `server` fails, and how many requests it got.
async fn run_discovery(
    server: &ServerUrl,
    post: Response,
    get: Response,
) -> (DiscoveryError, usize) {
    let requests = AtomicUsize::new(0);
    let http = Arc::new(Server {
        post,
        get,
        requests,
    });
    let platform = Platform::new(
        http.clone(),
        Arc::new(ManualClock::new(SystemTime::UNIX_EPOCH)),
        Arc::new(RecordedInteraction::default()),
    );
    let outcome = discover(&platform, server, &DiscoveryOptions::default()).await;
    match outcome.unwrap_err() {
        Error::Discovery(error) => (error, http.requests.load(Ordering::Relaxed)),
        other => panic!("{other}"),
    }
}

/// The server of the Python SDK 1.23.0 with `resource_server_url` `http://localhost:18431/mcp`, and
/// `FastMCP` 2.13.2 with `base_url` `http://localhost:18431`, which say the same.
#[tokio::test]
async fn localhost_is_another_spelling_of_127_0_0_1() {
    let mut refused = response(
        401,
        "application/json",
        r#"{"error": "invalid_token", "error_description": "Authentication required"}"#,
    );
    let challenge = r#"Bearer error="invalid_token", error_description="Authentication required", resource_metadata="http://localhost:18431/.well-known/oauth-protected-resource/mcp""#;
    refused.headers.insert(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static(challenge),
    );
    let document = {
        let body = r#"{"resource":"http://localhost:18431/mcp","authorization_servers":["https://as.example/"],"scopes_supported":["user"],"bearer_methods_supported":["header"]}"#;
        response(200, "application/json", body)
    };
    let server = "http://127.0.0.1:18431/mcp".parse().unwrap();
    let (error, _) = run_discovery(&server, refused, document).await;
    let other = error.other_spelling(&server).unwrap();
    assert_eq!(other.as_str(), "http://localhost:18431/mcp");
    assert_eq!(Error::from(error).remedy(), Remedy::Reconfigure);
}

#[tokio::test]
async fn a_server_without_mcp_is_reported_as_such() {
    let application = || response(200, "text/html", "<!doctype html><div id=\"root\"></div>");
    for (server, post, get, requests, status, html) in [
        // The Python SDK 1.23.0 and FastMCP 2.13.2: the endpoint is `/mcp`, and so is its metadata.
        (
            "http://127.0.0.1:18432/",
            not_found(),
            not_found(),
            2,
            404,
            false,
        ),
        (
            "http://127.0.0.1:18432/wrong",
            not_found(),
            not_found(),
            3,
            404,
            false,
        ),
        (
            "http://127.0.0.1:18434/",
            unsupported_method(),
            not_found(),
            2,
            501,
            true,
        ),
        // A web application that serves its one page at each path.
        (
            "https://www.example/",
            application(),
            application(),
            2,
            200,
            true,
        ),
    ] {
        let server: ServerUrl = server.parse().unwrap();
        let (error, sent) = run_discovery(&server, post, get).await;
        let DiscoveryError::NotMcp {
            status: found,
            html: page,
            ..
        } = &error
        else {
            panic!("{server}: {error}");
        };
        assert_eq!((*found, *page), (status, html), "{server}");
        assert_eq!(sent, requests, "{server}");
        assert!(
            error.to_string().contains("no MCP server responds at"),
            "{error}"
        );
        assert_eq!(Error::from(error).remedy(), Remedy::Reconfigure);
    }
}

#[tokio::test]
async fn an_unavailable_server_is_not_reported_as_no_mcp_server() {
    let away = || response(503, "text/html", "<html>");
    let server = "https://mcp.example/mcp".parse().unwrap();
    let (error, _) = run_discovery(&server, away(), away()).await;
    assert!(
        matches!(
            error,
            DiscoveryError::NoResourceMetadata { status: 503, .. }
        ),
        "{error}"
    );
    assert_eq!(Error::from(error).remedy(), Remedy::Retry);
}
