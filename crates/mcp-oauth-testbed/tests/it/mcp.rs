//! The MCP server: the protocol revisions and the tools.

use mcp_oauth_testbed::{ProtocolEra, ResponseForm, Testbed};
use serde_json::{Value, json};

use crate::browser::*;

const JSON_ONLY: (&str, &str) = ("accept", "application/json");
const BOTH: (&str, &str) = ("accept", "application/json, text/event-stream");
const VERSION: (&str, &str) = ("mcp-protocol-version", "2026-07-28");

fn message(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": "a,b", "method": method, "params": params })
}

/// Opens a session and returns its id.
pub(crate) async fn initialize(testbed: &Testbed, token: &str, version: &str) -> String {
    let params = json!({
        "protocolVersion": version,
        "capabilities": {},
        "clientInfo": { "name": "x", "version": "1" }
    });
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), JSON_ONLY];
    let url = testbed.server_url();
    let response = post_json(url.as_str(), &headers, &message("initialize", &params)).await;
    assert_eq!(response.status, 200, "{}", response.body);
    assert_eq!(response.json()["result"]["protocolVersion"], version);
    let session = response.header("mcp-session-id").to_owned();
    let headers = [
        ("authorization", bearer.as_str()),
        ("mcp-session-id", session.as_str()),
        JSON_ONLY,
    ];
    let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    assert_eq!(
        post_json(url.as_str(), &headers, &initialized).await.status,
        202
    );
    session
}

pub(crate) async fn session_call(
    testbed: &Testbed,
    token: &str,
    session: &str,
    method: &str,
    params: &Value,
) -> Response {
    let bearer = format!("Bearer {token}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("mcp-session-id", session),
        JSON_ONLY,
    ];
    post_json(
        testbed.server_url().as_str(),
        &headers,
        &message(method, params),
    )
    .await
}

/// `params` with the `_meta` that 2026-07-28 requires.
fn with_meta(mut params: Value, version: &str) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": {}
    });
    params
}

async fn stateless(testbed: &Testbed, headers: &[(&str, &str)], body: &Value) -> Response {
    let login = login(testbed, "notes:read").await;
    let bearer = format!("Bearer {}", login.access);
    let mut all = vec![("authorization", bearer.as_str())];
    all.extend_from_slice(headers);
    post_json(testbed.server_url().as_str(), &all, body).await
}

#[tokio::test]
async fn a_session_lasts_from_initialize_to_delete() {
    let testbed = Testbed::start().await.unwrap();
    let token = login(&testbed, "notes:read").await.access;
    for version in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let session = initialize(&testbed, &token, version).await;
        let ping = session_call(&testbed, &token, &session, "ping", &json!({})).await;
        assert_eq!(
            ping.json(),
            json!({ "jsonrpc": "2.0", "id": "a,b", "result": {} })
        );
        let list = session_call(&testbed, &token, &session, "tools/list", &json!({})).await;
        let names: Vec<Value> = list.json()["result"]["tools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| tool["name"].clone())
            .collect();
        assert_eq!(names, ["whoami", "add", "list_notes", "write_note"]);

        let bearer = format!("Bearer {token}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("mcp-session-id", session.as_str()),
        ];
        assert_eq!(
            delete(testbed.server_url().as_str(), &headers).await.status,
            204
        );
        let after = session_call(&testbed, &token, &session, "ping", &json!({})).await;
        assert_eq!(after.status, 404);
        assert_eq!(
            delete(testbed.server_url().as_str(), &headers).await.status,
            404
        );
    }
}

#[tokio::test]
async fn the_tools_return_their_documented_results() {
    let testbed = Testbed::start().await.unwrap();
    let login = login(&testbed, "notes:read").await;
    let session = initialize(&testbed, &login.access, "2025-11-25").await;
    let call = async |name: &str, arguments: Value| {
        let params = json!({ "name": name, "arguments": arguments });
        let response = session_call(&testbed, &login.access, &session, "tools/call", &params).await;
        response.json()
    };
    let whoami = call("whoami", json!({})).await;
    let expected = json!({ "client_id": login.client, "scopes": ["notes:read"] });
    assert_eq!(whoami["result"]["structuredContent"], expected);
    assert_eq!(whoami["result"]["content"][0]["text"], expected.to_string());
    let sum = call("add", json!({ "a": 2, "b": 3 })).await;
    assert_eq!(sum["result"]["structuredContent"]["sum"], 5);
    call("write_note", json!({ "text": "water the plants" })).await;
    let notes = call("list_notes", json!({})).await;
    assert_eq!(
        notes["result"]["structuredContent"]["notes"][1],
        "water the plants"
    );
    assert_eq!(
        call("add", json!({ "a": "x", "b": 1 })).await["error"]["code"],
        -32602
    );
    assert_eq!(call("nothing", json!({})).await["error"]["code"], -32602);
}

#[tokio::test]
async fn messages_without_a_valid_session_or_version_are_refused() {
    let testbed = start(Testbed::builder().protocol_era(ProtocolEra::Stateful)).await;
    let token = login(&testbed, "notes:read").await.access;
    let bearer = format!("Bearer {token}");
    let url = testbed.server_url();
    let ping = message("ping", &json!({}));
    let none = post_json(url.as_str(), &[("authorization", &bearer)], &ping).await;
    assert_eq!(none.status, 400);
    let session = initialize(&testbed, &token, "2025-06-18").await;
    let headers = [
        ("authorization", bearer.as_str()),
        ("mcp-session-id", session.as_str()),
        ("mcp-protocol-version", "2024-01-01"),
    ];
    assert_eq!(post_json(url.as_str(), &headers, &ping).await.status, 400);
    let discover = message("server/discover", &with_meta(json!({}), "2026-07-28"));
    let headers = [
        ("authorization", bearer.as_str()),
        VERSION,
        ("mcp-method", "server/discover"),
    ];
    let response = post_json(url.as_str(), &headers, &discover).await;
    assert_eq!(
        (response.status, &response.json()["error"]["code"]),
        (400, &json!(-32600))
    );
}

#[tokio::test]
async fn an_event_stream_carries_the_response_after_another_event() {
    let testbed = Testbed::start().await.unwrap();
    let token = login(&testbed, "notes:read").await.access;
    let session = initialize(&testbed, &token, "2025-11-25").await;
    let bearer = format!("Bearer {token}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("mcp-session-id", session.as_str()),
        BOTH,
    ];
    let body = message(
        "tools/call",
        &json!({ "name": "add", "arguments": { "a": 1, "b": 1 } }),
    );
    let response = post_json(testbed.server_url().as_str(), &headers, &body).await;
    assert_eq!(response.header("content-type"), "text/event-stream");
    let messages = events(&response.body);
    assert_eq!(messages[0]["method"], "notifications/message");
    assert_eq!(messages[1]["result"]["structuredContent"]["sum"], 2);
    assert_eq!(messages[1]["id"], "a,b");
    assert_eq!(messages.len(), 2);
}

/// Returns the messages of an event stream.
fn events(stream: &str) -> Vec<Value> {
    stream
        .split("\n\n")
        .map(|event| {
            let lines = event.lines().filter_map(|line| line.strip_prefix("data:"));
            lines
                .map(|line| line.strip_prefix(' ').unwrap_or(line))
                .collect::<Vec<_>>()
                .join("\n")
        })
        .filter(|data| !data.is_empty())
        .map(|data| serde_json::from_str(&data).unwrap())
        .collect()
}

#[tokio::test]
async fn the_form_of_the_responses_can_be_fixed() {
    for (form, content_type) in [
        (ResponseForm::Json, "application/json"),
        (ResponseForm::Sse, "text/event-stream"),
    ] {
        let testbed = start(Testbed::builder().response_form(form)).await;
        let body = message("tools/list", &with_meta(json!({}), "2026-07-28"));
        let headers = [VERSION, ("mcp-method", "tools/list"), BOTH];
        let response = stateless(&testbed, &headers, &body).await;
        assert_eq!(response.header("content-type"), content_type);
        let headers = [
            VERSION,
            ("mcp-method", "tools/list"),
            ("accept", "text/html"),
        ];
        assert_eq!(stateless(&testbed, &headers, &body).await.status, 406);
    }
}

#[tokio::test]
async fn stateless_requests_need_no_session() {
    let testbed = Testbed::start().await.unwrap();
    let body = message("server/discover", &with_meta(json!({}), "2026-07-28"));
    let headers = [VERSION, ("mcp-method", "server/discover"), JSON_ONLY];
    let result = stateless(&testbed, &headers, &body).await.json()["result"].clone();
    assert_eq!(result["supportedVersions"], json!(["2026-07-28"]));
    assert_eq!(result["resultType"], "complete");

    let params = json!({ "name": "add", "arguments": { "a": 1.5, "b": 1 } });
    let body = message("tools/call", &with_meta(params, "2026-07-28"));
    for name in ["add", "=?base64?YWRk?="] {
        let headers = [
            VERSION,
            ("mcp-method", "tools/call"),
            ("mcp-name", name),
            JSON_ONLY,
        ];
        let response = stateless(&testbed, &headers, &body).await;
        assert_eq!(
            response.json()["result"]["structuredContent"]["sum"],
            2.5,
            "{name}"
        );
        assert_eq!(response.header("mcp-session-id"), "");
    }
    let notification = json!({ "jsonrpc": "2.0", "method": "notifications/x" });
    let headers = [VERSION, ("mcp-method", "notifications/x")];
    assert_eq!(
        stateless(&testbed, &headers, &notification).await.status,
        202
    );
}

#[tokio::test]
async fn stateless_headers_must_match_the_body() {
    let testbed = Testbed::start().await.unwrap();
    let good = message(
        "tools/call",
        &with_meta(json!({ "name": "whoami" }), "2026-07-28"),
    );
    let old = message(
        "tools/call",
        &with_meta(json!({ "name": "whoami" }), "2027-01-01"),
    );
    let mut incapable = good.clone();
    incapable["params"]["_meta"] =
        json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28" });
    let bare = message("tools/call", &json!({ "name": "whoami" }));
    let method = ("mcp-method", "tools/call");
    let name = ("mcp-name", "whoami");
    let newer = ("mcp-protocol-version", "2027-01-01");
    for (headers, body, code) in [
        (vec![method, name], &good, -32020),
        (vec![newer, method, name], &good, -32020),
        (vec![VERSION, name], &good, -32020),
        (vec![VERSION, ("mcp-method", "ping"), name], &good, -32020),
        (vec![VERSION, method], &good, -32020),
        (vec![VERSION, method, ("mcp-name", "add")], &good, -32020),
        (vec![VERSION, method, name], &bare, -32602),
        (vec![VERSION, method, name], &incapable, -32602),
        (vec![newer, method, name], &old, -32022),
    ] {
        let response = stateless(&testbed, &headers, body).await;
        assert_eq!(response.status, 400, "{headers:?}");
        assert_eq!(response.json()["error"]["code"], code, "{headers:?}");
        if code == -32022 {
            assert_eq!(
                response.json()["error"]["data"]["supported"],
                json!(["2026-07-28"])
            );
        }
    }
}

#[tokio::test]
async fn a_stateless_server_refuses_initialize() {
    let testbed = start(Testbed::builder().protocol_era(ProtocolEra::Stateless)).await;
    let body = message("initialize", &json!({ "protocolVersion": "2025-11-25" }));
    let response = stateless(&testbed, &[], &body).await;
    assert_eq!(
        (response.status, &response.json()["error"]["code"]),
        (400, &json!(-32022))
    );
    let ping = message("ping", &with_meta(json!({}), "2026-07-28"));
    let response = stateless(&testbed, &[VERSION, ("mcp-method", "ping")], &ping).await;
    assert_eq!(
        (response.status, &response.json()["error"]["code"]),
        (404, &json!(-32601))
    );
}
