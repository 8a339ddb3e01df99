//! A client of MCP 2025-11-25 that shows the login, over HTTP: it has a session before the login, so that it
//! can be sent an elicitation.

use std::time::Duration;

use mcp_oauth_proxy::{Host, Proxy};
use mcp_oauth_testbed::Testbed;
use mcp_oauth_testing::ManualClock;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    elicitation::{
        TOOLS_CHANGED, action, add, approve, assert_no_secrets, follow, link, sum, text,
        url_elicitation,
    },
    http_app::{Endpoint, messages, serve},
    support::{App, Named, Remote, ScriptedBrowser, bounded, client_with_clock},
};

struct Fixture {
    testbed: Testbed,
    endpoint: Endpoint,
    clock: ManualClock,
    browser: std::sync::Arc<ScriptedBrowser>,
    _serving: JoinHandle<()>,
}

impl Fixture {
    async fn start(testbed: Testbed, host: impl Host + 'static) -> Self {
        let (client, browser, server, clock) = client_with_clock(&testbed);
        let proxy = Proxy::builder(&client, &server).host(host).build().await;
        let (endpoint, serving) = serve(proxy.unwrap()).await;
        Self {
            testbed,
            endpoint,
            clock,
            browser,
            _serving: serving,
        }
    }

    /// Returns a client that shows logins, in a session of its own.
    async fn app(&self) -> App {
        let mut app = self.endpoint.other_client().app();
        app.initialize_with("2025-11-25", &url_elicitation()).await;
        app
    }
}

fn request(id: u64, method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
}

fn initialize() -> String {
    let info = json!({"name": "app", "version": "1"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": url_elicitation(), "clientInfo": info});
    request(0, "initialize", &params)
}

#[tokio::test]
async fn a_call_waits_for_the_login_that_the_client_shows() {
    let it = Fixture::start(Testbed::start().await.unwrap(), Named).await;
    let mut app = it.app().await;
    app.begin(1, "tools/call", &add(1)).await;
    let elicitation = app.notification("elicitation/create").await;
    action(&mut app, &elicitation, "accept").await;
    let url = approve(&link(&elicitation)).await;
    assert_eq!(sum(&app.response(1).await), Some(2));
    let complete = app.notification("notifications/elicitation/complete").await;
    let id = &elicitation["params"]["elicitationId"];
    assert_eq!(complete["params"]["elicitationId"], *id);
    app.notification(TOOLS_CHANGED).await;
    let list = app.request(2, "tools/list", &json!({})).await;
    assert_eq!(list["result"]["tools"].as_array().unwrap().len(), 4);
    assert_eq!(it.browser.opened(), 0);
    assert_no_secrets(&it.testbed, &app.received, &[url]);
}

#[tokio::test]
async fn a_wider_scope_and_a_revoked_login_are_requested_in_the_session() {
    let testbed = Testbed::builder().step_up(true).start().await.unwrap();
    let it = Fixture::start(testbed, Named).await;
    let mut app = it.app().await;
    let write = json!({"name": "write_note", "arguments": {"text": "x"}});
    let mut logins = Vec::new();
    for (id, call, says) in [
        (1, &add(1), "requires a login"),
        (2, &write, "requires more access"),
        (3, &write, "requires a login"),
    ] {
        if id == 3 {
            it.testbed.revoke_all_tokens();
        }
        app.begin(id, "tools/call", call).await;
        let elicitation = app.notification("elicitation/create").await;
        let message = elicitation["params"]["message"].as_str().unwrap();
        assert!(message.contains(says), "{message}");
        action(&mut app, &elicitation, "accept").await;
        logins.push(approve(&link(&elicitation)).await);
        let response = app.response(id).await;
        assert_ne!(response["result"]["isError"], true, "{response}");
        assert!(response.get("error").is_none(), "{response}");
    }
    assert_eq!(it.browser.opened(), 0);
    assert_no_secrets(&it.testbed, &app.received, &logins);
}

#[tokio::test]
async fn two_clients_share_the_login() {
    let it = Fixture::start(Testbed::start().await.unwrap(), Named).await;
    let (mut one, mut other) = (it.app().await, it.app().await);
    one.begin(1, "tools/call", &add(1)).await;
    let elicitation = one.notification("elicitation/create").await;
    // The same id in another session.
    other.begin(1, "tools/call", &add(2)).await;
    let url = approve(&link(&elicitation)).await;
    assert_eq!(sum(&one.response(1).await), Some(2));
    assert_eq!(sum(&other.response(1).await), Some(3));
    assert_no_secrets(&it.testbed, &other.received, &[url]);
    assert!(!other.received.contains("elicitation/create"));
}

#[tokio::test]
async fn a_refusal_names_the_command_and_no_url() {
    let it = Fixture::start(Testbed::start().await.unwrap(), Named).await;
    let mut app = it.app().await;
    app.begin(1, "tools/call", &add(1)).await;
    let elicitation = app.notification("elicitation/create").await;
    let url = follow(&link(&elicitation)).await;
    action(&mut app, &elicitation, "decline").await;
    let expected = "login declined; to log in, run `app login notes` in a terminal";
    assert_eq!(text(&app.response(1).await), expected);
    assert_no_secrets(&it.testbed, &app.received, &[url]);
}

/// The browser of the user is on another machine, so a link to this one would not work.
#[tokio::test]
async fn without_a_local_browser_the_texts_name_the_command() {
    let it = Fixture::start(Testbed::start().await.unwrap(), Remote).await;
    let mut app = it.app().await;
    let refused = app.request(1, "tools/call", &add(1)).await;
    let text = text(&refused);
    assert!(text.contains("run `app login notes`"), "{text}");
    let received = &app.received;
    assert!(!received.contains("elicitation/create"), "{received}");
    assert_no_secrets(&it.testbed, received, &[]);
}

/// A client without a GET request gets the elicitation on the stream of its call.
#[tokio::test]
async fn without_another_stream_the_call_has_the_messages() {
    let it = Fixture::start(Testbed::start().await.unwrap(), Named).await;
    let client = it.endpoint.other_client();
    let greeting = messages(client.post(initialize()).await).await;
    assert_eq!(greeting[0]["result"]["protocolVersion"], "2025-11-25");
    let call = client.post(request(1, "tools/call", &add(1))).await;
    assert_eq!(call.headers()["content-type"], "text/event-stream");
    let (events, mut received) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(crate::http_app::read_events(call, events));
    let elicitation: Value =
        serde_json::from_str(&bounded(received.recv()).await.unwrap()).unwrap();
    assert_eq!(elicitation["method"], "elicitation/create");
    approve(&link(&elicitation)).await;
    let mut last = Value::Null;
    while let Some(event) = bounded(received.recv()).await {
        last = serde_json::from_str(&event).unwrap();
    }
    assert_eq!(sum(&last), Some(2));
}

#[tokio::test]
async fn requests_that_a_session_cannot_handle_are_refused() {
    let it = Fixture::start(Testbed::start().await.unwrap(), Named).await;
    let client = it.endpoint.other_client();
    messages(client.post(initialize()).await).await;
    let pending = client.post(request(1, "tools/call", &add(1))).await;
    for (message, why) in [
        (request(1, "ping", &json!({})), "pending"),
        (format!("[{}]", request(2, "ping", &json!({}))), "batches"),
        ("{".to_owned(), "not JSON"),
    ] {
        let refused = client.post(message).await;
        assert_eq!(refused.status(), 400);
        let text = refused.text().await.unwrap();
        assert!(text.contains(why), "{text}");
    }
    let cancel =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    assert_eq!(client.post(cancel.to_string()).await.status(), 202);
    let got = bounded(messages(pending)).await;
    assert!(got.iter().all(|message| message["id"] != 1), "{got:?}");
}

#[tokio::test]
async fn a_session_ends_with_delete_or_when_its_client_is_gone() {
    let it = Fixture::start(Testbed::start().await.unwrap(), Named).await;
    let (deleted, gone, connected) = (
        it.endpoint.other_client(),
        it.endpoint.other_client(),
        it.endpoint.other_client(),
    );
    for client in [&deleted, &gone, &connected] {
        messages(client.post(initialize()).await).await;
    }
    let mut stream = connected.listen().await;
    assert_eq!(deleted.delete().await.status(), 204);
    // The session is of the server then, which requires a login.
    let ping = || request(1, "ping", &json!({}));
    assert_eq!(deleted.post(ping()).await.status(), 503);
    it.clock.advance(Duration::from_secs(30 * 60));
    // Another session closes those that are idle.
    messages(it.endpoint.other_client().post(initialize()).await).await;
    assert_eq!(gone.post(ping()).await.status(), 503);
    assert_eq!(connected.post(ping()).await.status(), 200);
    assert!(bounded(stream.chunk()).await.is_ok());
}

#[tokio::test]
async fn the_number_of_sessions_is_limited() {
    let it = Fixture::start(Testbed::start().await.unwrap(), Named).await;
    let first = it.endpoint.other_client();
    messages(first.post(initialize()).await).await;
    let mut connected = Vec::new();
    for _ in 0..64 {
        let client = it.endpoint.other_client();
        messages(client.post(initialize()).await).await;
        connected.push(client.listen().await);
    }
    // The one without a stream made room.
    let closed = first.post(request(1, "ping", &json!({}))).await;
    assert_eq!(closed.status(), 503);
    let refused = it.endpoint.other_client().post(initialize()).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.text().await.unwrap().contains("too many sessions"));
}

#[tokio::test]
async fn a_client_that_declares_no_url_elicitation_has_a_session_of_the_server() {
    let testbed = Testbed::start().await.unwrap();
    let (client, _, server, _) = client_with_clock(&testbed);
    client.login(&server).await.unwrap();
    let proxy = Proxy::builder(&client, &server).build().await.unwrap();
    let (endpoint, _serving) = serve(proxy).await;
    let ping = || request(1, "ping", &json!({}));
    for (declared, status) in [("form", 404), ("url", 200)] {
        let client = endpoint.other_client();
        let declared = json!({ declared: {} }).to_string();
        let initialize = initialize().replace(r#"{"url":{}}"#, &declared);
        assert!(initialize.contains(&declared));
        assert_eq!(client.post(initialize).await.status(), 200);
        testbed.remove_sessions();
        assert_eq!(client.post(ping()).await.status(), status, "{declared}");
    }
}
