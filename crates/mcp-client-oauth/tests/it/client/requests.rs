//! Where a request of a session goes: its path or URL, and the path of the server.

use http::Method;
use mcp_client_oauth::{Error, error::AuthorizationError};
use mcp_oauth_testbed::Peer;

use super::{fixture_and_client, login};
use crate::support::{Fixture, bounded};

/// Returns method, path and query of the last request to the MCP server.
fn last_request(fixture: &Fixture) -> (String, String, Option<String>) {
    let requests = fixture.testbed.requests();
    let last = requests.into_iter().rev().find(|r| r.to == Peer::Mcp);
    let last = last.unwrap();
    (last.method, last.path, last.query)
}

#[tokio::test]
async fn a_relative_path_is_appended_to_the_path_of_the_server() {
    let (fixture, client) = fixture_and_client().await;
    let session = login(&fixture, &client, None).await;
    let absolute = fixture.server.as_url().join("/mcp/notes").unwrap();
    for (path, expected, query) in [
        ("notes", "/mcp/notes", None),
        ("./notes", "/mcp/notes", None),
        ("notes?x=1", "/mcp/notes", Some("x=1")),
        ("notes/1", "/mcp/notes/1", None),
        ("notes:read", "/mcp/notes:read", None),
        ("/mcp/notes", "/mcp/notes", None),
        (absolute.as_str(), "/mcp/notes", None),
        ("", "/mcp", None),
        ("?x=1", "/mcp", Some("x=1")),
    ] {
        bounded(session.get(path).send()).await.unwrap();
        let (method, sent, sent_query) = last_request(&fixture);
        assert_eq!(
            (method.as_str(), sent.as_str(), sent_query.as_deref()),
            ("GET", expected, query),
            "{path}"
        );
    }
    for (request, method) in [
        (session.post("notes"), "POST"),
        (session.request(Method::DELETE, "notes"), "DELETE"),
    ] {
        bounded(request.send()).await.unwrap();
        let (sent, path, _) = last_request(&fixture);
        assert_eq!((sent.as_str(), path.as_str()), (method, "/mcp/notes"));
    }
}

#[tokio::test]
async fn a_path_outside_the_resource_gets_no_request() {
    let (fixture, client) = fixture_and_client().await;
    let session = login(&fixture, &client, None).await;
    let requests = fixture.testbed.requests().len();
    for path in ["/other", "../other", "https://mcp.example/mcp"] {
        let error = bounded(session.get(path).send()).await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Authorization(AuthorizationError::OutsideResource { .. })
            ),
            "{path}: {error}"
        );
    }
    // The scheme of the server, and so plain http to another host.
    let error = bounded(session.get("//mcp.example/mcp").send()).await;
    assert!(matches!(error, Err(Error::Http(_))), "{error:?}");
    for path in ["https://", "http://[::"] {
        let error = bounded(session.get(path).send()).await.unwrap_err();
        assert!(matches!(error, Error::ServerUrl(_)), "{path}: {error}");
    }
    assert_eq!(fixture.testbed.requests().len(), requests);
}
