//! Rare server behaviour that the protocol allows.

use serde_json::{Value, json};

use super::{
    App, add, call,
    driver::{Driver, Received},
    initialize,
};
use crate::support::Home;

fn initialized() -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/initialized"})
}

fn call_with_id(id: u64) -> impl Fn(&Received) -> bool {
    move |received| received.message["method"] == "tools/call" && received.message["id"] == id
}

fn is_resumption(received: &Received) -> bool {
    received.http == "GET" && received.field("last-event-id").is_some()
}

/// Returns a home, a driven server, and an application that has completed the handshake.
async fn ready(more: &[&str]) -> (Home, Driver, App) {
    let (home, mut driver) = (Home::new().await, Driver::start().await);
    let mut app = App::at(&home, &driver.url, more);
    app.send(&initialize(0)).await;
    app.send(&initialized()).await;
    driver.handshake().await;
    app.response(&json!(0)).await;
    (home, driver, app)
}

/// Does the same with the transport of MCP 2024-11-05, and returns its stream too.
async fn ready_with_legacy_stream() -> (Home, Driver, App, Received) {
    let (home, mut driver) = (Home::new().await, Driver::start().await);
    let mut app = App::at(&home, &driver.url, &["--transport", "sse-only"]);
    app.send(&initialize(0)).await;
    app.send(&initialized()).await;
    let stream = driver.legacy_handshake().await;
    app.response(&json!(0)).await;
    (home, driver, app, stream)
}

#[tokio::test]
async fn a_stream_that_stays_open_after_its_response_is_closed() {
    let (home, mut driver) = (Home::new().await, Driver::start().await);
    let mut app = App::at(&home, &driver.url, &[]);
    app.send(&initialize(0)).await;
    let mut first = driver.request("initialize").await.stream().await;
    let response = first.result(&json!({"protocolVersion": "2025-11-25", "capabilities": {}}));
    first.event(&response).await;
    assert_eq!(app.response(&json!(0)).await, response);
    first.closed().await;
    app.send(&initialized()).await;
    let initialized_request = driver.request("notifications/initialized").await;
    let _open = initialized_request.stream().await;
    app.send(&add(1)).await;
    let mut call = driver.next(call_with_id(1)).await.stream().await;
    let response = call.result(&json!({}));
    call.event(&response).await;
    assert_eq!(app.response(&json!(1)).await, response);
    call.closed().await;
}

#[tokio::test]
async fn replacing_a_legacy_stream_ends_its_calls() {
    let (_home, mut driver, mut app, _old) = ready_with_legacy_stream().await;
    for id in [1, 2] {
        app.send(&add(id)).await;
        driver.next(call_with_id(id)).await.accept().await;
    }
    app.send(&add(3)).await;
    driver
        .next(call_with_id(3))
        .await
        .respond(404, "text/plain", "")
        .await;
    let mut new = driver.legacy_handshake().await;
    let again = driver.next(call_with_id(3)).await;
    let response = again.result(&json!({}));
    again.accept().await;
    new.event(&response).await;
    assert_eq!(app.response(&json!(3)).await, response);
    for id in [1, 2] {
        assert_eq!(app.response(&json!(id)).await["error"]["code"], -32000);
    }
    // The id of the first call is free again.
    app.send(&add(1)).await;
    driver.next(call_with_id(1)).await.accept().await;
}

#[tokio::test]
async fn a_rejected_call_does_not_fail_when_its_stream_ends() {
    let (_home, mut driver, mut app, old) = ready_with_legacy_stream().await;
    app.send(&add(1)).await;
    driver.next(call_with_id(1)).await.accept().await;
    app.send(&add(2)).await;
    driver
        .next(call_with_id(2))
        .await
        .respond(404, "text/plain", "")
        .await;
    let get = driver.get().await;
    drop(old);
    assert_eq!(app.response(&json!(1)).await["error"]["code"], -32000);
    let mut new = driver.legacy_handshake_on(get).await;
    let again = driver.next(call_with_id(2)).await;
    let response = again.result(&json!({}));
    again.accept().await;
    new.event(&response).await;
    assert_eq!(app.response(&json!(2)).await, response);
}

#[tokio::test]
async fn a_second_initialize_ends_the_calls_of_the_first_session() {
    let (_home, mut driver, mut app, _old) = ready_with_legacy_stream().await;
    app.send(&add(1)).await;
    driver.next(call_with_id(1)).await.accept().await;
    app.send(&initialize(9)).await;
    app.send(&initialized()).await;
    let _new = driver.legacy_handshake().await;
    assert!(app.response(&json!(9)).await["result"].is_object());
    assert_eq!(app.response(&json!(1)).await["error"]["code"], -32000);
}

#[tokio::test]
async fn a_call_that_ended_with_an_error_is_not_sent_again() {
    let (_home, mut driver, mut app, old) = ready_with_legacy_stream().await;
    app.send(&call(1, "write_note", &json!({"text": "once"})))
        .await;
    let held = driver.next(call_with_id(1)).await;
    drop(old);
    assert_eq!(app.response(&json!(1)).await["error"]["code"], -32000);
    held.respond(404, "text/plain", "").await;
    let mut new = driver.legacy_handshake().await;
    for id in [2, 3] {
        app.send(&add(id)).await;
        let next = driver.request("tools/call").await;
        assert_eq!(next.message["id"], id);
        let response = next.result(&json!({}));
        next.accept().await;
        new.event(&response).await;
        assert_eq!(app.response(&json!(id)).await, response);
    }
}

#[tokio::test]
async fn a_stream_that_closes_repeatedly_is_resumed_until_the_response() {
    let (_home, mut driver, mut app) = ready(&[]).await;
    app.send(&add(1)).await;
    let mut first = driver.next(call_with_id(1)).await.stream().await;
    let response = first.result(&json!({}));
    first.write("id: 0\nretry: 10\ndata:\n\n").await;
    drop(first);
    for number in 1..=6 {
        let mut next = driver.next(is_resumption).await.stream().await;
        let last = (number - 1).to_string();
        assert_eq!(next.field("last-event-id"), Some(last));
        next.write(&format!("id: {number}\ndata:\n\n")).await;
    }
    driver
        .next(is_resumption)
        .await
        .stream()
        .await
        .event(&response)
        .await;
    assert_eq!(app.response(&json!(1)).await, response);
}

#[tokio::test]
async fn a_server_without_streams_gets_one_resumption_request() {
    let (_home, mut driver, mut app) = ready(&[]).await;
    for status in [405, 404] {
        app.send(&add(1)).await;
        let mut first = driver.next(call_with_id(1)).await.stream().await;
        first.write("id: 0\ndata:\n\n").await;
        drop(first);
        let rest = driver.next(is_resumption).await;
        rest.respond(status, "text/plain", "").await;
        assert_eq!(app.response(&json!(1)).await["error"]["code"], -32000);
    }
}

#[tokio::test]
async fn an_odd_response_to_initialized_does_not_end_the_session() {
    for (status, body) in [(202, "Accepted"), (400, "what?"), (503, "")] {
        let (home, mut driver) = (Home::new().await, Driver::start().await);
        let mut app = App::at(&home, &driver.url, &[]);
        app.send(&initialize(0)).await;
        app.send(&initialized()).await;
        for session in 0..2 {
            let first = driver.request("initialize").await;
            let welcome = json!({"protocolVersion": "2025-11-25", "capabilities": {}});
            let response = first.result(&welcome);
            first.json(&response).await;
            let initialized_request = driver.request("notifications/initialized").await;
            initialized_request
                .respond(status, "text/plain", body)
                .await;
            // The 404 below opens the second session.
            app.send(&add(1)).await;
            let call = driver.next(call_with_id(1)).await;
            if session == 0 {
                assert_eq!(app.response(&json!(0)).await, response);
                call.respond(404, "text/plain", "").await;
                continue;
            }
            let response = call.result(&json!({}));
            call.json(&response).await;
            assert_eq!(app.response(&json!(1)).await, response);
        }
    }
}

/// The error responses to an unknown session of `@modelcontextprotocol/server-everything` 2026.8.31 and of
/// the TypeScript SDK's example for the transport of MCP 2024-11-05. Another body of a 400 is an error.
#[tokio::test]
async fn a_session_rejected_with_400_is_reopened() {
    let everything = r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID provided"}}"#;
    for refusal in [everything, "No transport found for sessionId"] {
        let (_home, mut driver, mut app) = ready(&[]).await;
        app.send(&add(1)).await;
        let call = driver.next(call_with_id(1)).await;
        call.respond(400, "application/json", refusal).await;
        driver.handshake().await;
        let call = driver.next(call_with_id(1)).await;
        let response = call.result(&json!({}));
        call.json(&response).await;
        assert_eq!(app.response(&json!(1)).await, response);
        app.send(&add(2)).await;
        let call = driver.next(call_with_id(2)).await;
        call.respond(400, "text/plain", "what?").await;
        let failed = app.response(&json!(2)).await;
        assert_eq!(failed["error"]["code"], -32000, "{failed}");
    }
}

#[tokio::test]
async fn a_stream_that_fails_to_open_is_tried_again() {
    for status in [408, 429, 503] {
        let (_home, mut driver, mut app) = ready(&[]).await;
        let refused = driver.get().await;
        refused.respond(status, "text/plain", "").await;
        let mut stream = driver.get().await.stream().await;
        let news = json!({"jsonrpc": "2.0", "method": "notifications/news"});
        stream.event(&news).await;
        assert_eq!(app.notification("notifications/news").await, news);
    }
}

/// A cancelled call does not wait for the stream of a new session.
#[tokio::test]
async fn a_call_cancelled_while_a_stream_opens_slowly_does_not_block_the_next() {
    let (_home, mut driver, mut app) = ready(&[]).await;
    let _first = driver.get().await.stream().await;
    app.send(&add(1)).await;
    driver
        .next(call_with_id(1))
        .await
        .respond(404, "text/plain", "")
        .await;
    driver.handshake().await;
    let _unanswered = driver.get().await;
    let cancelled =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    app.send(&cancelled).await;
    app.send(&add(2)).await;
    let next = driver.next(call_with_id(2)).await;
    let response = next.result(&json!({}));
    next.json(&response).await;
    assert_eq!(app.response(&json!(2)).await, response);
}

#[tokio::test]
async fn an_oversized_event_is_skipped_and_fails_its_call() {
    let (_home, mut driver, mut app) = ready(&["--max-response", "4M"]).await;
    let large = format!("id: 5\ndata: {}", "x".repeat(5 << 20));
    driver.get().await.stream().await.write(&large).await;
    let mut stream = driver.next(is_resumption).await.stream().await;
    assert_eq!(stream.field("last-event-id").as_deref(), Some("5"));
    let news = json!({"jsonrpc": "2.0", "method": "notifications/news"});
    stream.event(&news).await;
    assert_eq!(app.notification("notifications/news").await, news);
    app.send(&add(1)).await;
    driver
        .next(call_with_id(1))
        .await
        .stream()
        .await
        .write(&large)
        .await;
    let failed = app.response(&json!(1)).await;
    let text = failed["error"]["message"].as_str().unwrap();
    assert!(
        text.contains("larger than 4 MiB, which is the limit of mcp-oauth proxy"),
        "{text}"
    );
    assert!(
        text.contains("it is unknown whether the call was carried out"),
        "{text}"
    );
    assert!(!text.contains("try"), "{text}");
}

#[tokio::test]
async fn an_event_of_ten_mebibytes_is_forwarded() {
    let (_home, mut driver, mut app) = ready(&[]).await;
    app.send(&add(1)).await;
    let next = driver.next(call_with_id(1)).await;
    let response = next.result(&json!({"text": "x".repeat(10 << 20)}));
    next.stream().await.event(&response).await;
    assert_eq!(app.response(&json!(1)).await, response);
}

/// A client that does not read its pipe, and one that never writes.
#[tokio::test]
async fn a_client_that_does_not_read_leaves_no_process_behind() {
    let (_home, mut driver, mut app) = ready(&[]).await;
    app.send(&add(1)).await;
    let next = driver.next(call_with_id(1)).await;
    let response = next.result(&json!({"text": "x".repeat(10 << 20)}));
    next.stream().await.event(&response).await;
    assert_eq!(app.close().await, 0);
    let home = Home::new().await;
    let mut silent = App::start(&home, &[]);
    assert_eq!(silent.close().await, 0);
}
