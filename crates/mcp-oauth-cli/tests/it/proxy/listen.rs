//! `proxy --listen`: the token is added for allowed clients only (`docs/hostile.md` H166).

use mcp_oauth_testbed::{Fault, Peer, Testbed};
use serde_json::{Value, json};

use super::{App, add, initialize, sum};
use crate::support::{Home, Running, bounded};

/// Starts a proxy that listens, and returns it with its URL.
async fn listening(home: &Home, token: Option<&str>) -> (Running, String) {
    let url = home.url();
    let mut command = home.command(&["proxy", &url, "--listen", "127.0.0.1:0", "--no-browser"]);
    if let Some(token) = token {
        command.env("MCP_OAUTH_PROXY_TOKEN", token);
    }
    let mut running = Running::start(command, "").await;
    let line = bounded(running.wait_for_stderr("listening on ")).await;
    let endpoint = line.split_once("listening on ").unwrap().1;
    (running, endpoint.trim().to_owned())
}

async fn post(endpoint: &str, headers: &[(&str, &str)], message: &Value) -> reqwest::Response {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client
        .post(endpoint)
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json")
        .body(message.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    bounded(request.send()).await.unwrap()
}

#[tokio::test]
async fn a_local_client_gets_responses_and_never_the_token() {
    let home = Home::logged_in().await;
    let (_running, endpoint) = listening(&home, None).await;
    home.testbed.clear_requests();
    let response = post(&endpoint, &[], &initialize(0)).await;
    assert_eq!(response.status().as_u16(), 200);
    let session = response.headers()["mcp-session-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let headers = [
        ("mcp-session-id", session.as_str()),
        ("authorization", "Bearer theirs"),
        ("accept-encoding", "gzip"),
    ];
    let response = post(&endpoint, &headers, &add(1)).await;
    let text = response.text().await.unwrap();
    assert!(text.contains("\"sum\": 2"), "{text}");
    let token = home.run(&["token", "notes"]).await.succeeded().stdout;
    for sent in home
        .testbed
        .requests()
        .iter()
        .filter(|sent| sent.path == "/mcp")
    {
        let carried = sent.header("authorization").unwrap();
        assert_eq!(carried, format!("Bearer {}", token.trim()));
        // In a compressed body no token could be redacted.
        assert_eq!(sent.header("accept-encoding"), None);
    }
    assert!(!text.contains(token.trim()));
}

/// A debugging page may echo it (`docs/hostile.md` H160).
#[tokio::test]
async fn a_token_that_the_server_echoes_is_redacted() {
    let home = Home::logged_in().await;
    let token = home.run(&["token", "notes"]).await.succeeded().stdout;
    let token = token.trim();
    let echo =
        json!({"jsonrpc": "2.0", "id": 1, "result": {"you sent": format!("Bearer {token}")}});
    home.testbed.set_fault(Fault::Status {
        path: "/mcp".to_owned(),
        status: 200,
        body: echo.to_string(),
        headers: vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("x-echo".to_owned(), token.to_owned()),
            ("x-other".to_owned(), "kept".to_owned()),
        ],
        times: None,
    });
    let (_running, endpoint) = listening(&home, None).await;
    let response = post(&endpoint, &[], &add(1)).await;
    assert_eq!(response.headers().get("x-echo"), None);
    assert_eq!(response.headers()["x-other"], "kept");
    let text = response.text().await.unwrap();
    let stars = "*".repeat(token.len());
    assert_eq!(text, echo.to_string().replace(token, &stars));
    let mut app = App::start(&home, &[]);
    let line = app.request(&add(1)).await.to_string();
    assert!(line.contains(&stars) && !line.contains(token), "{line}");
}

#[tokio::test]
async fn another_host_and_a_web_page_are_refused() {
    let home = Home::logged_in().await;
    let (_running, endpoint) = listening(&home, None).await;
    home.testbed.clear_requests();
    let port = endpoint
        .rsplit_once(':')
        .unwrap()
        .1
        .split_once('/')
        .unwrap()
        .0
        .to_owned();
    for (header, value, status) in [
        ("host", "rebound.example", 421),
        ("host", "127.0.0.1:1", 421),
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
    ] {
        let refused = post(&endpoint, &[(header, value)], &initialize(0)).await;
        assert_eq!(refused.status().as_u16(), status, "{header}: {value}");
    }
    let elsewhere = endpoint.replace("/mcp", "/token");
    assert_eq!(
        post(&elsewhere, &[], &initialize(0))
            .await
            .status()
            .as_u16(),
        404
    );
    assert_eq!(home.testbed.count(Peer::Mcp, "POST", "/mcp"), 0);
    let local = format!("http://localhost:{port}");
    let own = [("host", &local[7..]), ("origin", &local)];
    assert_eq!(
        post(&endpoint, &own, &initialize(0))
            .await
            .status()
            .as_u16(),
        200
    );
}

#[tokio::test]
async fn an_endpoint_may_have_a_token_of_its_own() {
    let home = Home::logged_in().await;
    let (_running, endpoint) = listening(&home, Some("own")).await;
    for (headers, status) in [
        (&[][..], 401),
        (&[("authorization", "Bearer other")], 401),
        (&[("authorization", "Bearer own")], 200),
    ] {
        let response = post(&endpoint, headers, &initialize(0)).await;
        assert_eq!(response.status().as_u16(), status);
    }
}

#[tokio::test]
async fn a_missing_login_is_a_json_rpc_error() {
    let home = Home::with(Testbed::builder()).await;
    let (_running, endpoint) = listening(&home, None).await;
    let refused = post(&endpoint, &[], &add(7)).await;
    assert_eq!(refused.status().as_u16(), 503);
    let refused: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
    assert_eq!(
        (&refused["id"], &refused["error"]["code"]),
        (&json!(7), &json!(-32003))
    );
    assert!(refused["error"]["data"]["url"].is_string() && sum(&refused).is_none());
}

#[tokio::test]
async fn the_endpoint_listens_on_loopback_only() {
    let home = Home::logged_in().await;
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80", "localhost"] {
        let typed = ["proxy", "notes", "--listen", address];
        home.run(&typed).await.ended(2);
    }
}

#[tokio::test]
async fn listen_rejects_options_of_the_stdio_proxy() {
    let home = Home::logged_in().await;
    for more in [["--ignore-tool", "write_*"], ["--transport", "sse-only"]] {
        let typed = ["proxy", "notes", "--listen", "127.0.0.1:0"];
        let refused = home.run(&[&typed[..], &more].concat()).await.ended(2);
        refused.says(more[0]);
    }
}
