//! Servers that do what the protocol lets them do, and what few of them do.

use serde_json::{Value, json};

use super::{
    App, add, call,
    hand::{Asked, Hand},
    initialize,
};
use crate::support::Home;

fn initialized() -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/initialized"})
}

fn of(id: u64) -> impl Fn(&Asked) -> bool {
    move |asked| asked.message["method"] == "tools/call" && asked.message["id"] == id
}

fn resumption(asked: &Asked) -> bool {
    asked.http == "GET" && asked.field("last-event-id").is_some()
}

/// A home, a server by hand, and an application that has shaken hands with it.
async fn ready(more: &[&str]) -> (Home, Hand, App) {
    let (home, mut hand) = (Home::new().await, Hand::start().await);
    let mut app = App::at(&home, &hand.url, more);
    app.tell(&initialize(0)).await;
    app.tell(&initialized()).await;
    hand.shake_hands().await;
    app.answer(&json!(0)).await;
    (home, hand, app)
}

/// The same by the transport of 2024-11-05, and its stream.
async fn ready_by_stream() -> (Home, Hand, App, Asked) {
    let (home, mut hand) = (Home::new().await, Hand::start().await);
    let mut app = App::at(&home, &hand.url, &["--transport", "sse-only"]);
    app.tell(&initialize(0)).await;
    app.tell(&initialized()).await;
    let stream = hand.shake_hands_by_stream().await;
    app.answer(&json!(0)).await;
    (home, hand, app, stream)
}

#[tokio::test]
async fn a_stream_that_stays_open_after_its_answer_holds_nobody_up() {
    let (home, mut hand) = (Home::new().await, Hand::start().await);
    let mut app = App::at(&home, &hand.url, &[]);
    app.tell(&initialize(0)).await;
    let mut hello = hand.told("initialize").await.stream().await;
    let answer = hello.result(&json!({"protocolVersion": "2025-11-25", "capabilities": {}}));
    hello.event(&answer).await;
    assert_eq!(app.answer(&json!(0)).await, answer);
    hello.left().await;
    app.tell(&initialized()).await;
    let word = hand.told("notifications/initialized").await;
    let _open = word.stream().await;
    app.tell(&add(1)).await;
    let mut call = hand.next(of(1)).await.stream().await;
    let answer = call.result(&json!({}));
    call.event(&answer).await;
    assert_eq!(app.answer(&json!(1)).await, answer);
    call.left().await;
}

#[tokio::test]
async fn a_stream_of_2024_that_is_replaced_leaves_no_call_open() {
    let (_home, mut hand, mut app, _old) = ready_by_stream().await;
    for id in [1, 2] {
        app.tell(&add(id)).await;
        hand.next(of(id)).await.accept().await;
    }
    app.tell(&add(3)).await;
    hand.next(of(3)).await.answer(404, "text/plain", "").await;
    let mut new = hand.shake_hands_by_stream().await;
    let again = hand.next(of(3)).await;
    let answer = again.result(&json!({}));
    again.accept().await;
    new.event(&answer).await;
    assert_eq!(app.answer(&json!(3)).await, answer);
    for id in [1, 2] {
        assert_eq!(app.answer(&json!(id)).await["error"]["code"], -32000);
    }
    // Its id is free again.
    app.tell(&add(1)).await;
    hand.next(of(1)).await.accept().await;
}

#[tokio::test]
async fn a_call_that_was_not_taken_does_not_end_with_the_stream_it_was_meant_for() {
    let (_home, mut hand, mut app, old) = ready_by_stream().await;
    app.tell(&add(1)).await;
    hand.next(of(1)).await.accept().await;
    app.tell(&add(2)).await;
    hand.next(of(2)).await.answer(404, "text/plain", "").await;
    let visit = hand.visited().await;
    drop(old);
    assert_eq!(app.answer(&json!(1)).await["error"]["code"], -32000);
    let mut new = hand.shake_hands_at(visit).await;
    let again = hand.next(of(2)).await;
    let answer = again.result(&json!({}));
    again.accept().await;
    new.event(&answer).await;
    assert_eq!(app.answer(&json!(2)).await, answer);
}

#[tokio::test]
async fn a_client_that_begins_anew_has_no_call_open_from_before() {
    let (_home, mut hand, mut app, _old) = ready_by_stream().await;
    app.tell(&add(1)).await;
    hand.next(of(1)).await.accept().await;
    app.tell(&initialize(9)).await;
    app.tell(&initialized()).await;
    let _new = hand.shake_hands_by_stream().await;
    assert!(app.answer(&json!(9)).await["result"].is_object());
    assert_eq!(app.answer(&json!(1)).await["error"]["code"], -32000);
}

#[tokio::test]
async fn a_call_that_was_answered_with_an_error_is_not_sent_again() {
    let (_home, mut hand, mut app, old) = ready_by_stream().await;
    app.tell(&call(1, "write_note", &json!({"text": "once"})))
        .await;
    let held = hand.next(of(1)).await;
    drop(old);
    assert_eq!(app.answer(&json!(1)).await["error"]["code"], -32000);
    held.answer(404, "text/plain", "").await;
    let mut new = hand.shake_hands_by_stream().await;
    for id in [2, 3] {
        app.tell(&add(id)).await;
        let next = hand.told("tools/call").await;
        assert_eq!(next.message["id"], id);
        let answer = next.result(&json!({}));
        next.accept().await;
        new.event(&answer).await;
        assert_eq!(app.answer(&json!(id)).await, answer);
    }
}

#[tokio::test]
async fn a_server_that_closes_again_and_again_is_asked_until_its_answer_is_there() {
    let (_home, mut hand, mut app) = ready(&[]).await;
    app.tell(&add(1)).await;
    let mut first = hand.next(of(1)).await.stream().await;
    let answer = first.result(&json!({}));
    first.say("id: 0\nretry: 10\ndata:\n\n").await;
    drop(first);
    for number in 1..=6 {
        let mut next = hand.next(resumption).await.stream().await;
        let last = (number - 1).to_string();
        assert_eq!(next.field("last-event-id"), Some(last));
        next.say(&format!("id: {number}\ndata:\n\n")).await;
    }
    hand.next(resumption)
        .await
        .stream()
        .await
        .event(&answer)
        .await;
    assert_eq!(app.answer(&json!(1)).await, answer);
}

#[tokio::test]
async fn a_server_that_has_no_streams_is_asked_once_for_the_rest_of_an_answer() {
    let (_home, mut hand, mut app) = ready(&[]).await;
    for status in [405, 404] {
        app.tell(&add(1)).await;
        let mut first = hand.next(of(1)).await.stream().await;
        first.say("id: 0\ndata:\n\n").await;
        drop(first);
        let rest = hand.next(resumption).await;
        rest.answer(status, "text/plain", "").await;
        assert_eq!(app.answer(&json!(1)).await["error"]["code"], -32000);
    }
}

#[tokio::test]
async fn a_strange_reply_to_the_handshakes_end_costs_nosession() {
    for (status, body) in [(202, "Accepted"), (400, "what?"), (503, "")] {
        let (home, mut hand) = (Home::new().await, Hand::start().await);
        let mut app = App::at(&home, &hand.url, &[]);
        app.tell(&initialize(0)).await;
        app.tell(&initialized()).await;
        for session in 0..2 {
            let hello = hand.told("initialize").await;
            let welcome = json!({"protocolVersion": "2025-11-25", "capabilities": {}});
            let answer = hello.result(&welcome);
            hello.json(&answer).await;
            let word = hand.told("notifications/initialized").await;
            word.answer(status, "text/plain", body).await;
            // The second is opened because of this.
            app.tell(&add(1)).await;
            let call = hand.next(of(1)).await;
            if session == 0 {
                assert_eq!(app.answer(&json!(0)).await, answer);
                call.answer(404, "text/plain", "").await;
                continue;
            }
            let answer = call.result(&json!({}));
            call.json(&answer).await;
            assert_eq!(app.answer(&json!(1)).await, answer);
        }
    }
}

/// The refusals of an unknown session by `@modelcontextprotocol/server-everything` 2026.8.31, and by the
/// example of the TypeScript SDK for the transport of 2024-11-05. Other words of a 400 are an error.
#[tokio::test]
async fn a_session_that_is_refused_with_400_is_opened_again() {
    let everything = r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID provided"}}"#;
    for refusal in [everything, "No transport found for sessionId"] {
        let (_home, mut hand, mut app) = ready(&[]).await;
        app.tell(&add(1)).await;
        let call = hand.next(of(1)).await;
        call.answer(400, "application/json", refusal).await;
        hand.shake_hands().await;
        let call = hand.next(of(1)).await;
        let answer = call.result(&json!({}));
        call.json(&answer).await;
        assert_eq!(app.answer(&json!(1)).await, answer);
        app.tell(&add(2)).await;
        let call = hand.next(of(2)).await;
        call.answer(400, "text/plain", "what?").await;
        let failed = app.answer(&json!(2)).await;
        assert_eq!(failed["error"]["code"], -32000, "{failed}");
    }
}

#[tokio::test]
async fn a_stream_that_cannot_be_opened_now_is_opened_later() {
    for status in [408, 429, 503] {
        let (_home, mut hand, mut app) = ready(&[]).await;
        let refused = hand.visited().await;
        refused.answer(status, "text/plain", "").await;
        let mut stream = hand.visited().await.stream().await;
        let news = json!({"jsonrpc": "2.0", "method": "notifications/news"});
        stream.event(&news).await;
        assert_eq!(app.notification("notifications/news").await, news);
    }
}

/// The stream of a new session is waited for, but not by a call that has gone away.
#[tokio::test]
async fn a_call_that_is_cancelled_while_a_stream_is_slow_holds_nobody_up() {
    let (_home, mut hand, mut app) = ready(&[]).await;
    let _first = hand.visited().await.stream().await;
    app.tell(&add(1)).await;
    hand.next(of(1)).await.answer(404, "text/plain", "").await;
    hand.shake_hands().await;
    let _unanswered = hand.visited().await;
    let cancelled =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    app.tell(&cancelled).await;
    app.tell(&add(2)).await;
    let next = hand.next(of(2)).await;
    let answer = next.result(&json!({}));
    next.json(&answer).await;
    assert_eq!(app.answer(&json!(2)).await, answer);
}

#[tokio::test]
async fn an_event_that_is_too_large_is_passed_over_and_fails_its_call() {
    let (_home, mut hand, mut app) = ready(&["--max-response", "4M"]).await;
    let large = format!("id: 5\ndata: {}", "x".repeat(5 << 20));
    hand.visited().await.stream().await.say(&large).await;
    let mut stream = hand.next(resumption).await.stream().await;
    assert_eq!(stream.field("last-event-id").as_deref(), Some("5"));
    let news = json!({"jsonrpc": "2.0", "method": "notifications/news"});
    stream.event(&news).await;
    assert_eq!(app.notification("notifications/news").await, news);
    app.tell(&add(1)).await;
    hand.next(of(1)).await.stream().await.say(&large).await;
    let failed = app.answer(&json!(1)).await;
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
async fn an_event_of_ten_mebibytes_is_passed_on() {
    let (_home, mut hand, mut app) = ready(&[]).await;
    app.tell(&add(1)).await;
    let next = hand.next(of(1)).await;
    let response = next.result(&json!({"text": "x".repeat(10 << 20)}));
    next.stream().await.event(&response).await;
    assert_eq!(app.answer(&json!(1)).await, response);
}

/// A client that neither reads nor ends its pipe, and one that has never said anything.
#[tokio::test]
async fn a_client_that_is_stuck_leaves_no_process_behind() {
    let (_home, mut hand, mut app) = ready(&[]).await;
    app.tell(&add(1)).await;
    let next = hand.next(of(1)).await;
    let response = next.result(&json!({"text": "x".repeat(10 << 20)}));
    next.stream().await.event(&response).await;
    assert_eq!(app.hang_up().await, 0);
    let home = Home::new().await;
    let mut silent = App::start(&home, &[]);
    assert_eq!(silent.hang_up().await, 0);
}
