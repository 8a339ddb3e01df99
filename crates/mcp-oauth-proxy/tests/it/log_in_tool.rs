//! The tool `log_in`, for clients that list no other tools yet.

use mcp_oauth_proxy::{Host, Proxy, UserBrowser};
use mcp_oauth_testbed::{Testbed, test_user};
use serde_json::{Value, json};

use crate::{
    elicitation::{approve, assert_no_secrets, link, text, url_elicitation},
    support::{App, client, client_with_clock},
};

fn tools(response: &Value) -> Vec<&str> {
    let tools = response["result"]["tools"].as_array().unwrap();
    tools
        .iter()
        .filter_map(|tool| tool["name"].as_str())
        .collect()
}

/// Its browser opens, and the user does nothing there.
struct Idle;

#[async_trait::async_trait]
impl mcp_client_oauth::platform::Interaction for Idle {
    async fn open(&self, _: &url::Url) {}
}

#[tokio::test]
async fn log_in_is_the_only_tool_until_the_login() {
    let testbed = Testbed::start().await.unwrap();
    let (client, _, server) = client(&testbed);
    let client = client.with_interaction(std::sync::Arc::new(Idle));
    let proxy = Proxy::builder(&client, &server).build().await.unwrap();
    let mut app = App::start(proxy);
    app.initialize().await;
    let list = app.request(1, "tools/list", &json!({})).await;
    assert_eq!(tools(&list), ["log_in"]);
    let log_in = json!({"name": "log_in", "arguments": {}});
    app.begin(2, "tools/call", &log_in).await;
    // Another call has the link, and it is none to the authorization server.
    let refused = app.request(3, "tools/call", &json!({"name": "add"})).await;
    let url = text(&refused).split_whitespace().last().unwrap();
    let url = approve(&url.parse().unwrap()).await;
    let done = app.response(2).await;
    assert!(text(&done).starts_with("Logged in to http"), "{done}");
    assert_eq!(done["result"]["isError"], false);
    app.notification("notifications/tools/list_changed").await;
    // The model may call it again before the client has listed the tools.
    let again = app.request(4, "tools/call", &log_in).await;
    assert_eq!(text(&again), text(&done));
    let list = app.request(5, "tools/list", &json!({})).await;
    assert!(!tools(&list).contains(&"log_in") && tools(&list).len() == 4);
    // Now the name is the server's.
    let unknown = app.request(6, "tools/call", &log_in).await;
    assert_ne!(unknown["result"]["content"], done["result"]["content"]);
    assert_no_secrets(&testbed, &app.received, &[url]);
}

#[tokio::test]
async fn log_in_is_requested_through_a_client_that_shows_logins() {
    let testbed = Testbed::start().await.unwrap();
    let (client, browser, server, _) = client_with_clock(&testbed);
    let proxy = Proxy::builder(&client, &server).build().await.unwrap();
    let mut app = App::start(proxy);
    let greeting = app.initialize_with("2025-11-25", &url_elicitation()).await;
    let instructions = greeting["result"]["instructions"].as_str().unwrap();
    assert!(
        instructions.contains("call the tool `log_in`"),
        "{instructions}"
    );
    let list = app.request(1, "tools/list", &json!({})).await;
    assert_eq!(tools(&list), ["log_in"]);
    app.begin(2, "tools/call", &json!({"name": "log_in"})).await;
    let elicitation = app.notification("elicitation/create").await;
    let url = approve(&link(&elicitation)).await;
    let done = app.response(2).await;
    assert!(text(&done).starts_with("Logged in to http"), "{done}");
    assert_eq!(browser.opened(), 0);
    assert_no_secrets(&testbed, &app.received, &[url]);
}

#[tokio::test]
async fn log_in_returns_at_once_where_no_browser_can_be_opened() {
    struct Remote;
    impl Host for Remote {
        fn user_browser(&self) -> UserBrowser {
            UserBrowser::Remote
        }
    }
    let testbed = Testbed::start().await.unwrap();
    let (client, _, server) = client(&testbed);
    let client = client.with_interaction(std::sync::Arc::new(Idle));
    let proxy = Proxy::builder(&client, &server).host(Remote);
    let mut app = App::start(proxy.build().await.unwrap());
    app.initialize().await;
    app.request(1, "tools/list", &json!({})).await;
    let refused = app
        .request(2, "tools/call", &json!({"name": "log_in"}))
        .await;
    let url = text(&refused).split_whitespace().last().unwrap();
    assert!(url.starts_with(&testbed.issuer()), "{url}");
    test_user::approve(&url.parse().unwrap()).await.unwrap();
    app.notification("notifications/tools/list_changed").await;
}

#[tokio::test]
async fn a_hidden_log_in_is_not_listed() {
    let testbed = Testbed::start().await.unwrap();
    let (client, _, server) = client(&testbed);
    let client = client.with_interaction(std::sync::Arc::new(Idle));
    let proxy = Proxy::builder(&client, &server).hide_tools(["log_*"]);
    let mut app = App::start(proxy.build().await.unwrap());
    app.initialize().await;
    let list = app.request(1, "tools/list", &json!({})).await;
    assert!(tools(&list).is_empty());
}
