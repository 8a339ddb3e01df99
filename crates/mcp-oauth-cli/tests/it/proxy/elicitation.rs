//! A login that the application shows: the proxy opens no browser, and prints no URL.

use mcp_oauth_testbed::{ProtocolEra, Testbed, test_user};
use serde_json::{Value, json};
use url::Url;

use super::{App, add, initialize, login::tools, request, sum};
use crate::support::Home;

const TOOLS_CHANGED: &str = "notifications/tools/list_changed";

/// Starts a proxy as an application starts it that shows logins.
async fn start(home: &Home, more: &[&str], variables: &[(&str, &str)]) -> (App, Value) {
    let mut app = App::in_environment(home, &home.url(), more, variables);
    let mut hello = initialize(0);
    hello["params"]["capabilities"] = json!({"elicitation": {"form": {}, "url": {}}});
    let greeting = app.request(&hello).await;
    app.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
        .await;
    (app, greeting)
}

fn link(url: &Value) -> Url {
    url.as_str().unwrap().parse().unwrap()
}

/// Opens the link as a browser does, and approves.
async fn approve(link: &Url) {
    let login = test_user::visit(link).await.unwrap();
    assert_eq!(login.status, 302);
    let login = login.headers["location"].to_str().unwrap().parse().unwrap();
    test_user::approve(&login).await.unwrap();
}

/// Applications start their servers without `DISPLAY`, so a missing one does not mean that the browser of
/// the user is elsewhere.
#[tokio::test]
async fn the_application_shows_the_login_and_stderr_has_no_url() {
    let home = Home::new().await;
    let (mut app, greeting) = start(&home, &[], &[]).await;
    let instructions = greeting["result"]["instructions"].as_str().unwrap();
    assert!(
        instructions.contains("call the tool `log_in`"),
        "{instructions}"
    );
    let list = app.request(&request(1, "tools/list", &json!({}))).await;
    assert_eq!(tools(&list), ["log_in"]);
    let log_in = request(2, "tools/call", &json!({"name": "log_in"}));
    app.send(&log_in).await;
    let elicitation = app.notification("elicitation/create").await;
    let accept = json!({"action": "accept"});
    app.send(&json!({"jsonrpc": "2.0", "id": elicitation["id"], "result": accept}))
        .await;
    approve(&link(&elicitation["params"]["url"])).await;
    let done = app.response(&json!(2)).await;
    assert_eq!(done["result"]["isError"], false, "{done}");
    app.notification("notifications/elicitation/complete").await;
    app.notification(TOOLS_CHANGED).await;
    assert_eq!(sum(&app.request(&add(3)).await), Some(4));
    app.close().await;
    let stderr = app.stderr();
    assert!(!stderr.contains("http"), "{stderr}");
    assert!(stderr.contains("logged in"), "{stderr}");
}

#[tokio::test]
async fn over_ssh_the_text_names_the_command_and_no_url() {
    let ssh = [("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22")];
    for (more, variables) in [(&[][..], &ssh[..]), (&["--no-browser"], &[])] {
        let home = Home::new().await;
        let (mut app, greeting) = start(&home, more, variables).await;
        let instructions = greeting["result"]["instructions"].as_str().unwrap();
        let command = format!("`mcp-oauth login {}", home.url());
        assert!(instructions.contains(&command), "{instructions}");
        let refused = app.request(&add(1)).await;
        let text = refused["result"]["content"][0]["text"].as_str().unwrap();
        assert!(text.contains(&command), "{text}");
        assert!(!refused.to_string().contains("/authorize"), "{refused}");
        let is_elicitation = |message: &Value| message["method"] == "elicitation/create";
        assert!(!app.unclaimed.iter().any(is_elicitation));
        // The user runs the command.
        home.login(&["notes", &home.url()]).await.succeeded();
        app.notification(TOOLS_CHANGED).await;
        assert_eq!(sum(&app.request(&add(2)).await), Some(3));
    }
}

#[tokio::test]
async fn a_declined_login_names_the_command() {
    let home = Home::new().await;
    let (mut app, _) = start(&home, &[], &[]).await;
    app.send(&add(1)).await;
    let elicitation = app.notification("elicitation/create").await;
    let decline = json!({"action": "decline"});
    app.send(&json!({"jsonrpc": "2.0", "id": elicitation["id"], "result": decline}))
        .await;
    let refused = app.response(&json!(1)).await;
    let text = refused["result"]["content"][0]["text"].as_str().unwrap();
    let command = format!(
        "login declined; to log in, run `mcp-oauth login {}` in a terminal",
        home.url()
    );
    assert_eq!(text, command);
    // The user changes their mind: the login is found by the next call.
    home.login(&["notes", &home.url()]).await.succeeded();
    assert_eq!(sum(&app.request(&add(2)).await), Some(3));
}

/// Several windows of an application: none holds the login while its user does nothing.
#[tokio::test]
async fn each_window_shows_the_login_when_a_call_needs_it() {
    let home = Home::new().await;
    let (mut idle, _) = start(&home, &[], &[]).await;
    let (mut app, _) = start(&home, &[], &[]).await;
    app.send(&add(1)).await;
    let elicitation = app.notification("elicitation/create").await;
    approve(&link(&elicitation["params"]["url"])).await;
    assert_eq!(sum(&app.response(&json!(1)).await), Some(2));
    idle.notification(TOOLS_CHANGED).await;
    assert_eq!(sum(&idle.request(&add(2)).await), Some(3));
}

#[tokio::test]
async fn a_stateless_application_retries_its_call() {
    let home = Home::with(Testbed::builder().protocol_era(ProtocolEra::Stateless)).await;
    let mut app = App::start(&home, &[]);
    let call = |id| {
        let mut call = add(id);
        call["params"]["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"url": {}}},
        });
        call
    };
    let required = app.request(&call(1)).await;
    let result = &required["result"];
    assert_eq!(result["resultType"], "input_required", "{required}");
    let (key, input) = result["inputRequests"]
        .as_object()
        .unwrap()
        .iter()
        .next()
        .unwrap();
    let mut retry = call(2);
    retry["params"]["requestState"] = result["requestState"].clone();
    retry["params"]["inputResponses"] = json!({ key: {"action": "accept"} });
    app.send(&retry).await;
    approve(&link(&input["params"]["url"])).await;
    assert_eq!(sum(&app.response(&json!(2)).await), Some(3));
    app.close().await;
    assert!(!app.stderr().contains("http"), "{}", app.stderr());
}
