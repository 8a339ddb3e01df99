//! A client of MCP 2026-07-28 that shows the login: it gets a result that requires an input, and retries
//! the call. Each request has the capabilities of the client.

use std::time::Duration;

use mcp_oauth_proxy::Proxy;
use mcp_oauth_testbed::{ProtocolEra, Testbed};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;

use crate::{
    elicitation::{approve, assert_no_secrets, text, url_elicitation},
    support::{App, bounded, client_with_clock},
};

const WAIT: Duration = Duration::from_secs(50);

fn call(capabilities: &Value) -> Value {
    json!({
        "name": "add",
        "arguments": {"a": 1, "b": 1},
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": capabilities,
        },
    })
}

fn input(required: &Value) -> (String, Value) {
    let result = &required["result"];
    assert_eq!(result["resultType"], "input_required", "{required}");
    let inputs = result["inputRequests"].as_object().unwrap();
    let (key, input) = inputs.iter().next().unwrap();
    assert_eq!(inputs.len(), 1);
    assert_eq!(input["method"], "elicitation/create");
    assert_eq!(input["params"]["mode"], "url");
    assert!(input["params"].get("elicitationId").is_none());
    (key.clone(), input.clone())
}

fn link(required: &Value) -> Url {
    let url = input(required).1["params"]["url"].clone();
    url.as_str().unwrap().parse().unwrap()
}

/// Builds the retry of a call that required an input.
fn retry(required: &Value, action: &str) -> Value {
    let (key, _) = input(required);
    let mut retry = call(&url_elicitation());
    retry["requestState"] = required["result"]["requestState"].clone();
    retry["inputResponses"] = json!({ key: {"action": action} });
    retry
}

fn sum(response: &Value) -> Option<u64> {
    response["result"]["structuredContent"]["sum"].as_u64()
}

async fn stateless() -> Testbed {
    let builder = Testbed::builder().protocol_era(ProtocolEra::Stateless);
    builder.start().await.unwrap()
}

#[tokio::test]
async fn a_call_is_retried_after_the_user_has_agreed() {
    let testbed = stateless().await;
    let (client, browser, server, _) = client_with_clock(&testbed);
    let mut app = App::start(Proxy::builder(&client, &server).build().await.unwrap());
    let elicits = url_elicitation();
    let required = app.request(1, "tools/call", &call(&elicits)).await;
    app.begin(2, "tools/call", &retry(&required, "accept"))
        .await;
    let url = approve(&link(&required)).await;
    assert_eq!(sum(&app.response(2).await), Some(2));
    assert_eq!(browser.opened(), 0);
    assert_no_secrets(&testbed, &app.received, &[url]);
    // The server got no input of the proxy.
    for sent in testbed.requests() {
        let body = String::from_utf8_lossy(&sent.body).into_owned();
        assert!(!body.contains("requestState"), "{body}");
    }
}

#[tokio::test]
async fn ten_calls_require_one_input() {
    let testbed = stateless().await;
    let (client, _, server, _) = client_with_clock(&testbed);
    let mut app = App::start(Proxy::builder(&client, &server).build().await.unwrap());
    for id in 1..=10 {
        app.begin(id, "tools/call", &call(&url_elicitation())).await;
    }
    let required = app
        .next(|message| message["result"]["resultType"] == "input_required")
        .await;
    let first = required["id"].as_u64().unwrap();
    app.begin(11, "tools/call", &retry(&required, "accept"))
        .await;
    approve(&link(&required)).await;
    for id in (1..=11).filter(|id| *id != first) {
        assert_eq!(sum(&app.response(id).await), Some(2));
    }
    assert_eq!(app.received.matches("input_required").count(), 1);
}

#[tokio::test]
async fn a_refusal_is_remembered() {
    for (refusal, starts) in [("decline", "login declined"), ("cancel", "login cancelled")] {
        let testbed = stateless().await;
        let (client, _, server, clock) = client_with_clock(&testbed);
        let mut app = App::start(Proxy::builder(&client, &server).build().await.unwrap());
        let required = app
            .request(1, "tools/call", &call(&url_elicitation()))
            .await;
        let refused = app
            .request(2, "tools/call", &retry(&required, refusal))
            .await;
        assert!(text(&refused).starts_with(starts), "{refused}");
        assert_eq!(refused["result"]["resultType"], "complete");
        let again = app
            .request(3, "tools/call", &call(&url_elicitation()))
            .await;
        assert!(text(&again).starts_with(starts), "{again}");
        clock.advance(Duration::from_secs(5 * 60));
        let required = app
            .request(4, "tools/call", &call(&url_elicitation()))
            .await;
        input(&required);
    }
}

/// The state alone is enough for a retry, so that no request lasts longer than its client waits.
#[tokio::test]
async fn a_login_that_takes_long_is_waited_for_by_more_retries() {
    let testbed = stateless().await;
    let (client, _, server, clock) = client_with_clock(&testbed);
    let mut app = App::start(Proxy::builder(&client, &server).build().await.unwrap());
    let required = app
        .request(1, "tools/call", &call(&url_elicitation()))
        .await;
    app.begin(2, "tools/call", &retry(&required, "accept"))
        .await;
    // The response to a later message shows that the retry was read.
    let mut list = call(&url_elicitation());
    list["cursor"] = Value::Null;
    app.request(3, "tools/list", &list).await;
    clock.advance(WAIT);
    let pending = app.response(2).await;
    assert_eq!(pending["result"]["resultType"], "input_required");
    assert!(
        pending["result"].get("inputRequests").is_none(),
        "{pending}"
    );
    let mut again = call(&url_elicitation());
    again["requestState"] = pending["result"]["requestState"].clone();
    app.begin(4, "tools/call", &again).await;
    approve(&link(&required)).await;
    assert_eq!(sum(&app.response(4).await), Some(2));
}

/// The capability is the request's own.
#[tokio::test]
async fn a_request_that_declares_forms_only_gets_a_text() {
    let testbed = stateless().await;
    let (client, _, server, _) = client_with_clock(&testbed);
    let mut app = App::start(Proxy::builder(&client, &server).build().await.unwrap());
    for (id, capabilities) in [(1, json!({"elicitation": {}})), (2, json!({}))] {
        let refused = app.request(id, "tools/call", &call(&capabilities)).await;
        assert!(text(&refused).starts_with("login required"), "{refused}");
    }
}

#[tokio::test]
async fn a_state_of_another_proxy_reaches_the_server() {
    let testbed = Testbed::builder()
        .protocol_era(ProtocolEra::Stateless)
        .unprotected(true)
        .start()
        .await
        .unwrap();
    let (client, _, server, _) = client_with_clock(&testbed);
    let mut app = App::start(Proxy::builder(&client, &server).build().await.unwrap());
    let mut other = call(&url_elicitation());
    other["requestState"] = json!("other.id.e30");
    assert_eq!(sum(&app.request(1, "tools/call", &other).await), Some(2));
    let sent = testbed.requests();
    let body = String::from_utf8_lossy(&sent.last().unwrap().body).into_owned();
    assert!(body.contains("other.id.e30"), "{body}");
}

#[tokio::test]
async fn a_client_of_the_http_endpoint_shows_the_login_too() {
    let testbed = stateless().await;
    let (client, browser, server, _) = client_with_clock(&testbed);
    let proxy = Proxy::builder(&client, &server).build().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/", listener.local_addr().unwrap());
    let serving = tokio::spawn(proxy.serve_http(listener));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = |id: u64, params: Value| {
        let request = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
        let sent = http
            .post(&endpoint)
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", "add")
            .body(request.to_string())
            .send();
        async move {
            let response = bounded(sent).await.unwrap();
            assert_eq!(response.status(), 200);
            let text = response.text().await.unwrap();
            let data: String = text
                .lines()
                .filter_map(|line| line.strip_prefix("data:"))
                .collect();
            let json = if data.is_empty() { &text } else { &data };
            (serde_json::from_str::<Value>(json).unwrap(), text)
        }
    };
    let (required, first) = post(1, call(&url_elicitation())).await;
    let retried = tokio::spawn(post(2, retry(&required, "accept")));
    let url = approve(&link(&required)).await;
    let (added, second) = retried.await.unwrap();
    assert_eq!(sum(&added), Some(2));
    assert_eq!(browser.opened(), 0);
    assert_no_secrets(&testbed, &(first + &second), &[url]);
    serving.abort();
}
