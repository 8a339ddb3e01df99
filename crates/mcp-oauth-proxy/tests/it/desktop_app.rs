//! A desktop application that gives the proxy the pipes of its MCP client.

use std::sync::{Arc, Mutex};

use http::{HeaderMap, HeaderValue, header};
use mcp_client_oauth::Error;
use mcp_oauth_proxy::{Host, LoginRequest, Proxy, ProxyError};
use mcp_oauth_testbed::Testbed;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::support::{App, bounded, client};

fn names(response: &Value) -> Vec<&str> {
    let tools = response["result"]["tools"].as_array().unwrap();
    tools
        .iter()
        .filter_map(|tool| tool["name"].as_str())
        .collect()
}

/// Waits until the proxy has logged in and says that the tools have changed.
async fn tools_changed(app: &mut App) {
    app.notification("notifications/tools/list_changed").await;
}

#[tokio::test]
async fn a_client_gets_its_tools_after_a_login_by_the_browser() {
    let testbed = Testbed::start().await.unwrap();
    let (client, browser, server) = client(&testbed);
    let proxy = Proxy::builder(&client, &server)
        .server_info("Desktop App", "7")
        .build()
        .await
        .unwrap();
    let mut app = App::start(proxy);
    let response = app.initialize().await;
    let result = &response["result"];
    assert_eq!(result["serverInfo"]["name"], "Desktop App");
    let instructions = result["instructions"].as_str().unwrap();
    assert!(
        instructions.contains("call the tool `log_in`"),
        "{instructions}"
    );
    tools_changed(&mut app).await;
    let listed = app.request(1, "tools/list", &json!({})).await;
    assert!(names(&listed).contains(&"add"), "{listed}");
    let sum = app.call(2, "add", &json!({"a": 2, "b": 3})).await;
    assert_eq!(sum["result"]["structuredContent"]["sum"], 5);
    assert_eq!(browser.opened(), 1);
    // The login is stored: the next proxy of the application uses it.
    let next = Proxy::builder(&client, &server).build().await.unwrap();
    let mut next = App::start(next);
    let response = next.initialize().await;
    assert_ne!(response["result"]["serverInfo"]["name"], "mcp-oauth");
    let sum = next.call(1, "add", &json!({"a": 1, "b": 1})).await;
    assert_eq!(sum["result"]["structuredContent"]["sum"], 2);
    assert_eq!(browser.opened(), 1);
}

#[tokio::test]
async fn the_proxy_ends_with_its_client_and_closes_the_pipe() {
    let testbed = Testbed::builder().unprotected(true).start().await.unwrap();
    let (client, _, server) = client(&testbed);
    let proxy = Proxy::builder(&client, &server).build().await.unwrap();
    let (app, pipes) = tokio::io::duplex(1 << 16);
    let (reader, writer) = tokio::io::split(pipes);
    let serving = tokio::spawn(proxy.serve(reader, writer));
    let (mut reader, writer) = tokio::io::split(app);
    // The last line needs no line break.
    let mut writer = writer;
    tokio::io::AsyncWriteExt::write_all(&mut writer, b"not a message")
        .await
        .unwrap();
    tokio::io::AsyncWriteExt::shutdown(&mut writer)
        .await
        .unwrap();
    let mut text = String::new();
    bounded(reader.read_to_string(&mut text)).await.unwrap();
    let response: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(response["error"]["code"], -32700);
    bounded(serving).await.unwrap();
}

#[tokio::test]
async fn a_proxy_that_is_dropped_ends_its_login() {
    let testbed = Testbed::start().await.unwrap();
    let (client, _, server) = client(&testbed);
    let ended = Arc::new(Ended::default());
    let proxy = Proxy::builder(&client, &server).host(WaitsForever(Arc::clone(&ended)));
    let mut app = App::start(proxy.build().await.unwrap());
    app.initialize().await;
    app.serving.abort();
    bounded(ended.0.notified()).await;
}

/// Notified when a login is dropped.
#[derive(Default)]
struct Ended(tokio::sync::Notify);

struct NotifyOnDrop(Arc<Ended>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.0.notify_one();
    }
}

struct WaitsForever(Arc<Ended>);

#[async_trait::async_trait]
impl Host for WaitsForever {
    async fn log_in(&self, _: LoginRequest) -> Result<mcp_client_oauth::Session, Error> {
        let _login = NotifyOnDrop(Arc::clone(&self.0));
        std::future::pending().await
    }
}

/// An application with its own words and its own scope.
#[derive(Default)]
struct OwnHost {
    outcomes: Arc<Mutex<Vec<bool>>>,
}

#[async_trait::async_trait]
impl Host for OwnHost {
    async fn log_in(&self, request: LoginRequest) -> Result<mcp_client_oauth::Session, Error> {
        let challenge = request.challenge.unwrap();
        let login = request.client.login(request.key.server());
        login.scope("notes:read").challenge(challenge).await
    }

    fn login_ended(&self, outcome: Result<(), &Error>) {
        self.outcomes.lock().unwrap().push(outcome.is_ok());
    }

    fn message(&self, error: &ProxyError) -> String {
        format!("Desktop App: {error}")
    }

    fn hint(&self, error: &ProxyError) -> Option<String> {
        matches!(error, ProxyError::HiddenTool(_)).then(|| "see Settings > Tools".to_owned())
    }

    fn login_command(&self, force: bool) -> Option<String> {
        Some(format!("desktop-app login --force={force}"))
    }
}

#[tokio::test]
async fn a_host_logs_in_and_writes_the_messages() {
    let testbed = Testbed::start().await.unwrap();
    let (client, browser, server) = client(&testbed);
    let host = OwnHost::default();
    let outcomes = Arc::clone(&host.outcomes);
    let proxy = Proxy::builder(&client, &server)
        .host(host)
        .hide_tools(["write_*"]);
    let mut app = App::start(proxy.build().await.unwrap());
    let response = app.initialize().await;
    let instructions = response["result"]["instructions"].as_str().unwrap();
    assert!(instructions.contains("`desktop-app login --force=false`"));
    tools_changed(&mut app).await;
    let listed = app.request(1, "tools/list", &json!({})).await;
    let names = names(&listed);
    assert!(
        names.contains(&"add") && !names.contains(&"write_note"),
        "{names:?}"
    );
    let refused = app.call(2, "write_note", &json!({"text": "tea"})).await;
    assert_eq!(
        refused["error"]["message"],
        "Desktop App: the tool write_note is hidden (see Settings > Tools)"
    );
    assert_eq!(
        (browser.opened(), outcomes.lock().unwrap().clone()),
        (1, vec![true])
    );
}

#[tokio::test]
async fn an_authorization_header_replaces_the_login() {
    let testbed = Testbed::start().await.unwrap();
    let (client, browser, server) = client(&testbed);
    let own = HeaderValue::from_static("Bearer wrong");
    let headers = HeaderMap::from_iter([(header::AUTHORIZATION, own)]);
    let proxy = Proxy::builder(&client, &server).headers(headers);
    let mut app = App::start(proxy.build().await.unwrap());
    let response = app.initialize().await;
    let text = response["error"]["message"].as_str().unwrap();
    assert!(
        text.ends_with("rejected the Authorization header"),
        "{text}"
    );
    assert_eq!(browser.opened(), 0);
}
