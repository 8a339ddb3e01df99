//! Messages that the server sends on its own, late responses, and the transport of MCP 2024-11-05.

use mcp_oauth_testbed::{Fault, Peer, ProtocolEra, Testbed};
use serde_json::{Value, json};

use super::{App, add, call, sum};
use crate::support::{Home, bounded};

async fn home(testbed: mcp_oauth_testbed::Builder) -> Home {
    let home = Home::with(testbed).await;
    home.login(&["notes", &home.url()]).await.succeeded();
    home
}

fn notification(number: u64) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/news", "params": {"number": number}})
}

#[tokio::test]
async fn no_server_notification_is_lost_between_two_streams() {
    let home = home(Testbed::builder().streams(true)).await;
    let mut app = App::ready(&home, &[]).await;
    home.testbed.send_message(notification(1));
    assert_eq!(
        app.notification("notifications/news").await,
        notification(1)
    );
    home.testbed.close_streams();
    home.testbed.send_message(notification(2));
    assert_eq!(
        app.notification("notifications/news").await,
        notification(2)
    );
    let opened = home.testbed.requests();
    let opened: Vec<_> = opened
        .iter()
        .filter(|sent| sent.method == "GET" && sent.path == "/mcp")
        .collect();
    assert_eq!(opened.len(), 2);
    assert_eq!(opened[1].header("last-event-id"), Some("1"));
}

#[tokio::test]
async fn messages_sent_during_the_handshake_are_forwarded_after_it() {
    let home = home(Testbed::builder().streams(true)).await;
    home.testbed.clear_requests();
    let mut app = App::start(&home, &[]);
    app.send(&super::initialize(0)).await;
    app.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
        .await;
    app.send(&add(1)).await;
    home.testbed.send_message(notification(1));
    assert_eq!(
        app.notification("notifications/news").await,
        notification(1)
    );
    assert_eq!(sum(&app.response(&json!(1)).await), Some(2));
    let sent = home.testbed.requests();
    let methods = sent
        .iter()
        .filter_map(|sent| sent.json()?["method"].as_str().map(str::to_owned));
    let handshake = ["initialize", "notifications/initialized", "tools/call"];
    assert_eq!(methods.collect::<Vec<_>>(), handshake);
}

#[tokio::test]
async fn a_request_of_the_server_gets_the_clients_response() {
    let home = home(Testbed::builder().streams(true)).await;
    let mut app = App::ready(&home, &[]).await;
    let question = json!({"jsonrpc": "2.0", "id": "q/1", "method": "roots/list"});
    home.testbed.send_message(question.clone());
    assert_eq!(app.next(|message| message["id"] == "q/1").await, question);
    home.testbed.clear_requests();
    let response = json!({"jsonrpc": "2.0", "id": "q/1", "result": {"roots": []}});
    app.send(&response).await;
    bounded(home.testbed.wait_for_requests(Peer::Mcp, "POST", "/mcp", 1)).await;
    assert_eq!(home.testbed.requests()[0].json(), Some(response));
}

#[tokio::test]
async fn a_response_on_a_resumed_stream_is_delivered() {
    let home = home(Testbed::builder().streams(true)).await;
    let mut app = App::ready(&home, &[]).await;
    home.testbed.set_fault(Fault::ResponsesOnGetStream);
    for id in 1..=5 {
        let response = app
            .request(&call(id, "write_note", &json!({"text": format!("{id}")})))
            .await;
        assert_eq!(response["result"]["isError"], false, "{response}");
    }
    assert_eq!(home.testbed.notes().len(), 6);
}

#[tokio::test]
async fn a_cancelled_call_frees_its_request_id() {
    let home = home(Testbed::builder()).await;
    let mut app = App::ready(&home, &[]).await;
    let held = mcp_oauth_testbed::Corruption::Held;
    app.request(&add(9)).await;
    home.testbed.clear_requests();
    home.testbed
        .set_fault(Fault::Corrupt(mcp_oauth_testbed::Endpoint::Mcp, held));
    app.send(&add(1)).await;
    bounded(home.testbed.wait_for_requests(Peer::Mcp, "POST", "/mcp", 1)).await;
    let cancelled =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    app.send(&cancelled).await;
    bounded(home.testbed.wait_for_requests(Peer::Mcp, "POST", "/mcp", 2)).await;
    home.testbed.release();
    // Its id is free again; a late response to the first call would be a second one.
    let response = app
        .request_until(&add(1), |response| response.get("result").is_some())
        .await;
    assert_eq!(sum(&response), Some(2));
}

#[tokio::test]
async fn the_legacy_transport_is_detected_and_reconnects() {
    for more in [
        &[][..],
        &["--transport", "sse-first"],
        &["--transport", "sse-only"],
    ] {
        let home = home(Testbed::builder().protocol_era(ProtocolEra::HttpWithSse)).await;
        let mut app = App::ready(&home, more).await;
        for id in 1..=20 {
            app.send(&add(id)).await;
        }
        for id in 1..=20 {
            assert_eq!(sum(&app.response(&json!(id)).await), Some(id + 1));
        }
        home.testbed.send_message(notification(1));
        assert_eq!(
            app.notification("notifications/news").await,
            notification(1)
        );
        home.testbed.close_streams();
        let again = app
            .request_until(&add(21), |response| response.get("result").is_some())
            .await;
        assert_eq!(sum(&again), Some(22));
        assert_eq!(app.close().await, 0);
    }
}

/// The stream was opened before the token that it echoes was issued (`docs/hostile.md` H160).
#[tokio::test]
async fn a_refreshed_token_is_redacted_in_an_older_stream() {
    let home = home(Testbed::builder().protocol_era(ProtocolEra::HttpWithSse)).await;
    let mut app = App::ready(&home, &["--transport", "sse-only"]).await;
    home.testbed.revoke_access_tokens();
    assert_eq!(sum(&app.request(&add(1)).await), Some(2));
    assert_eq!(home.testbed.count(Peer::Mcp, "GET", "/mcp"), 1);
    let token = home.run(&["token", "notes"]).await.succeeded().stdout;
    let echo = |text: &str| json!({"jsonrpc": "2.0", "method": "notifications/echo", "params": {"sent": text}});
    home.testbed.send_message(echo(token.trim()));
    let stars = "*".repeat(token.trim().len());
    assert_eq!(app.notification("notifications/echo").await, echo(&stars));
}

#[tokio::test]
async fn an_excluded_transport_is_not_tried() {
    let home = home(Testbed::builder().protocol_era(ProtocolEra::HttpWithSse)).await;
    let mut app = App::start(&home, &["--transport", "http-only"]);
    let failed = app.request(&super::initialize(0)).await;
    let text = failed["error"]["message"].as_str().unwrap();
    assert!(text.contains("405"), "{text}");
    assert_eq!(home.testbed.count(Peer::Mcp, "GET", "/mcp"), 0);
}
