//! A proxy without a login: it responds immediately, and forwards after the login.

use std::time::Duration;

use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Peer, ProtocolEra, Testbed, test_user};
use serde_json::{Value, json};

use super::{App, add, call, request, sum, url_of};
use crate::{device, support::Home};

const TOOLS_CHANGED: &str = "notifications/tools/list_changed";

pub(super) fn tools(list: &Value) -> Vec<&str> {
    let tools = list["result"]["tools"].as_array().unwrap();
    tools
        .iter()
        .filter_map(|tool| tool["name"].as_str())
        .collect()
}

/// A server that was restarted may know neither the client nor the token. The token has not expired, so a
/// plain `login` would reuse it.
#[tokio::test]
async fn the_instructions_name_forced_login_when_the_server_rejects_the_stored_one() {
    let home = Home::logged_in().await;
    home.testbed.revoke_access_tokens();
    home.testbed.set_fault(Fault::Status {
        path: "/token".to_owned(),
        status: 401,
        body: r#"{"error":"invalid_client"}"#.to_owned(),
        headers: Vec::new(),
        times: None,
    });
    let mut app = App::start(&home, &["--no-browser"]);
    let greeting = app.handshake().await;
    let instructions = greeting["result"]["instructions"].as_str().unwrap();
    let command = format!("`mcp-oauth login {} --no-browser --force`", home.url());
    assert!(instructions.contains(&command), "{instructions}");
    assert!(instructions.contains("no longer accepts"), "{instructions}");
    app.close().await;
}

#[tokio::test]
async fn initialize_succeeds_before_the_login_and_a_notification_follows_it() {
    let home = Home::new().await;
    let mut app = App::start(&home, &["--no-browser"]);
    let greeting = app.handshake().await;
    assert_eq!(greeting["result"]["protocolVersion"], "2025-11-25");
    assert_eq!(
        greeting["result"]["capabilities"]["tools"]["listChanged"],
        true
    );
    let instructions = greeting["result"]["instructions"].as_str().unwrap();
    let command = format!("mcp-oauth login {}", home.url());
    assert!(instructions.contains(&command), "{instructions}");
    let list = app.request(&request(1, "tools/list", &json!({}))).await;
    assert_eq!(tools(&list), ["log_in"]);
    let refused = app.request(&add(2)).await;
    assert_eq!(refused["result"]["isError"], true);
    let text = refused["result"]["content"][0]["text"].as_str().unwrap();
    assert!(
        text.starts_with("login required: open this URL in a browser"),
        "{text}"
    );
    app.approve().await;
    app.notification(TOOLS_CHANGED).await;
    assert_eq!(sum(&app.request(&add(3)).await), Some(4));
    let list = app.request(&request(4, "tools/list", &json!({}))).await;
    assert_eq!(list["result"]["tools"].as_array().unwrap().len(), 4);
    assert_eq!(app.close().await, 0);
    // Other commands can use the login.
    home.run(&["token", &home.url()]).await.succeeded();
}

/// SDKs kill a server that does not end within two seconds after the end of its stdin.
#[tokio::test]
async fn a_pending_or_finished_login_does_not_delay_the_end_of_the_proxy() {
    for is_done in [true, false] {
        let home = Home::new().await;
        let mut app = App::start(&home, &["--no-browser", "-vv"]);
        app.handshake().await;
        if is_done {
            app.approve().await;
            app.notification(TOOLS_CHANGED).await;
            assert_eq!(sum(&app.request(&add(3)).await), Some(4));
        } else {
            app.request(&add(1)).await;
        }
        assert_eq!(app.close().await, 0);
        let stderr = app.stderr();
        assert!(
            stderr.contains("waiting for pending refreshes and saves"),
            "{stderr}"
        );
        assert!(!stderr.contains("did not finish in time"), "{stderr}");
    }
}

#[tokio::test]
async fn a_callback_url_from_another_computer_completes_the_login() {
    let home = Home::new().await;
    let mut app = App::start(&home, &["--no-browser"]);
    app.handshake().await;
    let refused = app.request(&add(1)).await;
    let text = refused["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("`mcp-oauth login --complete`"), "{text}");
    let url = text.split(' ').find(|part| part.starts_with("http"));
    let url = url.unwrap().parse().unwrap();
    let callback = test_user::decide(&url, test_user::Decision::Approve)
        .await
        .unwrap();
    let mut other_callback = callback.clone();
    other_callback.set_query(Some("code=c&state=of-another-login"));
    let other_try = home
        .run_typing(&["login", "--complete"], other_callback.as_str())
        .await;
    other_try.ended(1).says("does not accept this URL");
    let done = home
        .run_typing(&["login", "--complete"], callback.as_str())
        .await;
    done.succeeded().says("Handed over");
    app.notification(TOOLS_CHANGED).await;
    assert_eq!(sum(&app.request(&add(3)).await), Some(4));
    // Another process may listen on that port by now.
    let late = home
        .run_typing(&["login", "--complete"], callback.as_str())
        .await;
    assert_ne!(late.code, 0, "{late:#?}");
}

#[tokio::test]
async fn a_denial_callback_is_delivered_and_reported() {
    let home = Home::new().await;
    let mut app = App::start(&home, &["--no-browser"]);
    app.handshake().await;
    let probe = request(1, "completion/complete", &json!({}));
    let url = url_of(&app.request(&probe).await).unwrap();
    let callback = test_user::decide(&url, test_user::Decision::Deny)
        .await
        .unwrap();
    let done = home
        .run_typing(&["login", "--complete"], callback.as_str())
        .await;
    done.succeeded().says("refused the login (`access_denied`)");
    app.request_until(&probe, |refusal| url_of(refusal).is_none())
        .await;
}

#[tokio::test]
async fn the_capabilities_of_a_server_are_remembered() {
    let home = Home::logged_in().await;
    App::ready(&home, &[]).await.close().await;
    home.run(&["logout", "notes"]).await.succeeded();
    let mut app = App::start(&home, &["--no-browser"]);
    let greeting = app.handshake().await;
    assert_eq!(
        greeting["result"]["serverInfo"]["name"],
        "mcp-oauth-testbed"
    );
    assert_eq!(greeting["result"]["capabilities"]["logging"], json!({}));
    assert!(greeting["result"]["capabilities"].get("prompts").is_none());
    #[cfg(unix)]
    for entry in std::fs::read_dir(home.data().join("proxy")).unwrap() {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }
}

fn discover(id: u64) -> Value {
    without_session(request(id, "server/discover", &json!({})))
}

/// Returns the same request of MCP 2026-07-28.
fn without_session(mut request: Value) -> Value {
    request["params"]["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}
    });
    request
}

/// A client of MCP 2026-07-28 starts with `server/discover`.
#[tokio::test]
async fn the_capabilities_of_a_stateless_server_are_remembered() {
    let home = Home::with(Testbed::builder().protocol_era(ProtocolEra::Stateless)).await;
    let mut app = App::start(&home, &["--no-browser"]);
    let unknown = app.request(&discover(1)).await;
    // The error of an older server, so that the client falls back to `initialize`.
    assert_eq!(unknown["error"]["code"], -32601);
    app.approve().await;
    let known = app
        .request_until(&discover(2), |response| response["result"].is_object())
        .await;
    assert_eq!(known["result"]["supportedVersions"], json!(["2026-07-28"]));
    app.close().await;
    home.run(&["logout", &home.url()]).await.succeeded();
    let mut app = App::start(&home, &["--no-browser"]);
    let remembered = app.request(&discover(3)).await;
    assert_eq!(remembered["id"], 3);
    let mut result = remembered["result"].clone();
    let instructions = result["instructions"].take();
    let instructions = instructions.as_str().unwrap();
    let command = format!("mcp-oauth login {}", home.url());
    assert!(instructions.contains(&command), "{instructions}");
    assert!(instructions.ends_with("\n\nA test server: it keeps notes in memory."));
    let mut known = known["result"].clone();
    known["instructions"].take();
    assert_eq!(result, known);
    let filter = json!({"toolsListChanged": true, "promptsListChanged": false});
    let listen = request(9, "subscriptions/listen", &json!({"notifications": filter}));
    app.send(&without_session(listen)).await;
    let acknowledged = app
        .notification("notifications/subscriptions/acknowledged")
        .await;
    assert_eq!(
        acknowledged["params"]["notifications"],
        json!({"toolsListChanged": true})
    );
    let list = |id| without_session(request(id, "tools/list", &json!({})));
    let none = app.request(&list(4)).await;
    assert_eq!(tools(&none), ["log_in"]);
    assert_eq!(none["result"]["ttlMs"], 0, "the list must not be cached");
    let refused = app.request(&without_session(add(5))).await;
    assert_eq!(refused["result"]["isError"], true);
    assert_eq!(refused["result"]["resultType"], "complete");
    app.approve().await;
    let changed = app.notification(TOOLS_CHANGED).await;
    let subscription = &changed["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
    assert_eq!(subscription, 9);
    assert_eq!(
        app.response(&json!(9)).await["result"]["resultType"],
        "complete"
    );
    let list = app
        .request_until(&list(6), |list| tools(list) != ["log_in"])
        .await;
    assert_eq!(list["result"]["tools"].as_array().unwrap().len(), 4);
}

/// With `initialize`, the client can be notified of the login.
#[tokio::test]
async fn a_client_with_both_eras_remembered_starts_with_initialize() {
    let home = Home::new().await;
    let mut app = App::start(&home, &["--no-browser"]);
    app.handshake().await;
    app.approve().await;
    app.notification(TOOLS_CHANGED).await;
    app.close().await;
    let file = std::fs::read_dir(home.data().join("proxy")).unwrap();
    let mut files = file.map(|entry| entry.unwrap().path());
    let file = files.find(|file| file.extension().is_some_and(|it| it == "json"));
    let file = file.unwrap();
    let known = std::fs::read(&file).unwrap();
    let mut known: Value = serde_json::from_slice(&known).unwrap();
    assert!(known["initialize"].is_object());
    known["discover"] = json!({"supportedVersions": ["2026-07-28"]});
    home.file(&file, known.to_string());
    home.run(&["logout", &home.url()]).await.succeeded();
    let mut app = App::start(&home, &["--no-browser"]);
    assert_eq!(app.request(&discover(1)).await["error"]["code"], -32601);
    app.handshake().await;
    // Changes of another process are kept.
    known["initialize"] = json!({});
    known["discover"] = json!({"supportedVersions": ["later"]});
    home.file(&file, known.to_string());
    app.approve().await;
    app.notification(TOOLS_CHANGED).await;
    app.close().await;
    let kept = std::fs::read(&file).unwrap();
    let kept: Value = serde_json::from_slice(&kept).unwrap();
    assert_eq!(kept["discover"], known["discover"]);
    assert_ne!(kept["initialize"], known["initialize"]);
}

/// The client has started with an older revision than the server supports.
#[tokio::test]
async fn a_client_with_an_older_revision_is_told_to_start_again() {
    let home = Home::with(Testbed::builder().protocol_era(ProtocolEra::Stateless)).await;
    let mut app = App::start(&home, &["--no-browser"]);
    app.handshake().await;
    app.approve().await;
    let text = |refused: &Value| {
        let text = refused["result"]["content"][0]["text"].as_str();
        text.unwrap().to_owned()
    };
    app.request_until(&add(1), |refused| {
        let text = text(refused);
        let helps = text.contains("start the application again");
        assert!(helps || text.contains("login required"), "{text}");
        helps
    })
    .await;
}

#[tokio::test]
async fn a_login_from_another_window_is_found() {
    let home = Home::new().await;
    let mut app = App::start(&home, &["--no-browser"]);
    app.handshake().await;
    let refused = app.request(&add(1)).await;
    assert_eq!(refused["result"]["isError"], true);
    home.login(&["notes", &home.url()]).await.succeeded();
    app.notification(TOOLS_CHANGED).await;
    assert_eq!(sum(&app.request(&add(2)).await), Some(3));
}

/// Servers that compare redirect URIs with their ports show an error page to a client that comes from
/// another port: the proxy holds the one that was registered.
#[tokio::test]
async fn a_login_from_another_window_needs_no_port_that_the_proxy_holds() {
    let home = Home::with(Testbed::builder().exact_redirect_uris(true)).await;
    home.login(&["notes", &home.url()]).await.succeeded();
    home.run(&["logout", "notes"]).await.succeeded();
    let mut app = App::start(&home, &["--no-browser"]);
    app.handshake().await;
    let refused = app.request(&add(1)).await;
    assert_eq!(refused["result"]["isError"], true);
    home.login(&["notes"]).await.succeeded();
    app.notification(TOOLS_CHANGED).await;
    assert_eq!(sum(&app.request(&add(2)).await), Some(3));
}

#[tokio::test]
async fn a_login_from_another_window_is_found_after_one_that_was_denied() {
    let home = Home::new().await;
    let mut app = App::start(&home, &["--no-browser"]);
    app.handshake().await;
    let probe = request(1, "completion/complete", &json!({}));
    let asked = url_of(&app.request(&probe).await).unwrap();
    drop(test_user::deny(&asked).await.unwrap());
    app.request_until(&probe, |refusal| url_of(refusal).is_none())
        .await;
    home.login(&["notes", &home.url()]).await.succeeded();
    // No call, only the list request of a client that sees no tools.
    let list = app.request(&request(2, "tools/list", &json!({}))).await;
    assert_eq!(tools(&list), ["log_in"]);
    app.notification(TOOLS_CHANGED).await;
    let list = app.request(&request(3, "tools/list", &json!({}))).await;
    assert_eq!(list["result"]["tools"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_denied_login_starts_again_with_the_next_call() {
    let home = Home::new().await;
    let mut app = App::start(&home, &["--no-browser"]);
    app.handshake().await;
    let url = |response: &Value| {
        let text = response["result"]["content"][0]["text"].as_str().unwrap();
        text.split_whitespace().last().unwrap().parse::<url::Url>()
    };
    let first = url(&app.request(&add(1)).await).unwrap();
    drop(test_user::deny(&first).await.unwrap());
    // Until the denial reaches the proxy, responses have the first URL.
    let another = |refused: &Value| url(refused).is_ok_and(|second| second != first);
    let second = app.request_until(&add(2), another).await;
    drop(test_user::approve(&url(&second).unwrap()).await.unwrap());
    app.notification(TOOLS_CHANGED).await;
    assert_eq!(sum(&app.request(&add(3)).await), Some(4));
}

#[tokio::test]
async fn a_device_code_is_in_the_response_to_a_call() {
    let home = Home::with(device::devices()).await;
    let mut app = App::start(&home, &["--device"]);
    app.handshake().await;
    let refused = app.request(&add(1)).await;
    let text = refused["result"]["content"][0]["text"].as_str().unwrap();
    let words = text.strip_prefix("login required: open ").unwrap();
    let (url, code) = words.split_once(" and enter the code ").unwrap();
    let entered = test_user::approve_device(&url.parse().unwrap(), code).await;
    drop(entered.unwrap());
    app.notification(TOOLS_CHANGED).await;
    assert_eq!(sum(&app.request(&add(2)).await), Some(3));
}

#[tokio::test]
async fn a_missing_scope_starts_a_login_beside_the_call() {
    let home = Home::with(Testbed::builder().step_up(true)).await;
    home.login(&["notes", &home.url()]).await.succeeded();
    let mut app = App::ready(&home, &["--no-browser"]).await;
    let write = |id| call(id, "write_note", &json!({"text": "x"}));
    let refused = app.request(&write(1)).await;
    let text = refused["result"]["content"][0]["text"].as_str().unwrap();
    let asked: url::Url = text.split_whitespace().last().unwrap().parse().unwrap();
    let scope = asked
        .query_pairs()
        .find(|(name, _)| name == "scope")
        .unwrap()
        .1
        .into_owned();
    assert_eq!(scope, "notes:read notes:write");
    // Other calls work meanwhile.
    assert_eq!(sum(&app.request(&add(2)).await), Some(3));
    drop(test_user::approve(&asked).await.unwrap());
    let written = app
        .request_until(&write(3), |response| response["result"]["isError"] == false)
        .await;
    assert_eq!(written["result"]["structuredContent"]["count"], 2);
}

#[tokio::test]
async fn a_rejected_token_is_refreshed_once_and_no_call_is_repeated() {
    let home = Home::logged_in().await;
    let mut app = App::ready(&home, &[]).await;
    home.testbed.revoke_access_tokens();
    for id in 1..=50 {
        app.send(&call(
            id,
            "write_note",
            &json!({"text": format!("note {id}")}),
        ))
        .await;
    }
    for id in 1..=50 {
        assert_eq!(app.response(&json!(id)).await["result"]["isError"], false);
    }
    assert_eq!(home.testbed.token_requests("refresh_token"), 1);
    assert_eq!(home.testbed.notes().len(), 51);
}

#[tokio::test]
async fn a_server_that_rejects_every_token_starts_no_login() {
    let home = Home::logged_in().await;
    let mut app = App::ready(&home, &[]).await;
    home.testbed.set_fault(Fault::RejectsEveryToken);
    let refused = app.request(&add(1)).await;
    let text = refused["error"]["message"].as_str().unwrap();
    assert!(
        text.contains("rejected the token and the refreshed one"),
        "{text}"
    );
    let asked = home
        .testbed
        .count(Peer::AuthorizationServer, "GET", "/authorize");
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn a_slow_server_does_not_delay_initialize() {
    let home = Home::new().await;
    home.testbed
        .set_fault(Fault::Corrupt(Endpoint::Mcp, Corruption::Held));
    let mut app = App::start(&home, &["--no-browser"]);
    let greeted = tokio::time::timeout(Duration::from_secs(5), app.handshake()).await;
    greeted.unwrap();
    home.testbed.release();
    app.approve().await;
    app.notification(TOOLS_CHANGED).await;
    assert_eq!(sum(&app.request(&add(1)).await), Some(2));
}
