//! What the server says of its own accord, answers that come later, and the transport of 2024-11-05.

use mcp_oauth_testbed::{Fault, Peer, Testbed, Wire};
use serde_json::{Value, json};

use super::{App, add, call, sum};
use crate::support::{Home, bounded};

async fn home(testbed: mcp_oauth_testbed::Builder) -> Home {
    let home = Home::with(testbed).await;
    home.login(&["notes", &home.url()]).await.succeeded();
    home
}

fn news(number: u64) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/news", "params": {"number": number}})
}

#[tokio::test]
async fn the_server_speaks_of_its_own_accord_and_nothing_is_lost_between_two_streams() {
    let home = home(Testbed::builder().streams(true)).await;
    let mut app = App::ready(&home, &[]).await;
    home.testbed.say(news(1));
    assert_eq!(app.notification("notifications/news").await, news(1));
    home.testbed.cut_streams();
    home.testbed.say(news(2));
    assert_eq!(app.notification("notifications/news").await, news(2));
    let opened = home.testbed.requests();
    let opened: Vec<_> = opened
        .iter()
        .filter(|sent| sent.method == "GET" && sent.path == "/mcp")
        .collect();
    assert_eq!(opened.len(), 2);
    assert_eq!(opened[1].header("last-event-id"), Some("1"));
}

#[tokio::test]
async fn a_client_that_does_not_wait_for_its_handshake_has_a_whole_one() {
    let home = home(Testbed::builder().streams(true)).await;
    home.testbed.forget_requests();
    let mut app = App::start(&home, &[]);
    app.tell(&super::initialize(0)).await;
    app.tell(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
        .await;
    app.tell(&add(1)).await;
    home.testbed.say(news(1));
    assert_eq!(app.notification("notifications/news").await, news(1));
    assert_eq!(sum(&app.answer(&json!(1)).await), Some(2));
    let sent = home.testbed.requests();
    let methods = sent
        .iter()
        .filter_map(|sent| sent.json()?["method"].as_str().map(str::to_owned));
    let handshake = ["initialize", "notifications/initialized", "tools/call"];
    assert_eq!(methods.collect::<Vec<_>>(), handshake);
}

#[tokio::test]
async fn a_question_of_the_server_is_answered() {
    let home = home(Testbed::builder().streams(true)).await;
    let mut app = App::ready(&home, &[]).await;
    let question = json!({"jsonrpc": "2.0", "id": "q/1", "method": "roots/list"});
    home.testbed.say(question.clone());
    assert_eq!(app.next(|message| message["id"] == "q/1").await, question);
    home.testbed.forget_requests();
    let answer = json!({"jsonrpc": "2.0", "id": "q/1", "result": {"roots": []}});
    app.tell(&answer).await;
    bounded(home.testbed.arrived(Peer::Mcp, "POST", "/mcp", 1)).await;
    assert_eq!(home.testbed.requests()[0].json(), Some(answer));
}

#[tokio::test]
async fn an_answer_that_comes_on_a_later_stream_is_fetched() {
    let home = home(Testbed::builder().streams(true)).await;
    let mut app = App::ready(&home, &[]).await;
    home.testbed.set_fault(Fault::AnswersOnTheStream);
    for id in 1..=5 {
        let answer = app
            .ask(&call(id, "write_note", &json!({"text": format!("{id}")})))
            .await;
        assert_eq!(answer["result"]["isError"], false, "{answer}");
    }
    assert_eq!(home.testbed.notes().len(), 6);
}

#[tokio::test]
async fn a_call_that_is_cancelled_leaves_nothing_behind() {
    let home = home(Testbed::builder()).await;
    let mut app = App::ready(&home, &[]).await;
    let held = mcp_oauth_testbed::Corruption::Held;
    app.ask(&add(9)).await;
    home.testbed.forget_requests();
    home.testbed
        .set_fault(Fault::Spoil(mcp_oauth_testbed::Endpoint::Mcp, held));
    app.tell(&add(1)).await;
    bounded(home.testbed.arrived(Peer::Mcp, "POST", "/mcp", 1)).await;
    let cancelled =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    app.tell(&cancelled).await;
    bounded(home.testbed.arrived(Peer::Mcp, "POST", "/mcp", 2)).await;
    home.testbed.release();
    // Its id is free again, which an answer to the first would show as one too many.
    let answer = app
        .ask_until(&add(1), |answer| answer.get("result").is_some())
        .await;
    assert_eq!(sum(&answer), Some(2));
}

#[tokio::test]
async fn the_transport_of_2024_is_found_by_itself_and_comes_back_after_a_cut() {
    for more in [
        &[][..],
        &["--transport", "sse-first"],
        &["--transport", "sse-only"],
    ] {
        let home = home(Testbed::builder().wire(Wire::EventStream)).await;
        let mut app = App::ready(&home, more).await;
        for id in 1..=20 {
            app.tell(&add(id)).await;
        }
        for id in 1..=20 {
            assert_eq!(sum(&app.answer(&json!(id)).await), Some(id + 1));
        }
        home.testbed.say(news(1));
        assert_eq!(app.notification("notifications/news").await, news(1));
        home.testbed.cut_streams();
        let again = app
            .ask_until(&add(21), |answer| answer.get("result").is_some())
            .await;
        assert_eq!(sum(&again), Some(22));
        assert_eq!(app.hang_up().await, 0);
    }
}

/// H160, on a stream that was opened before the token that it echoes was there.
#[tokio::test]
async fn a_token_that_came_later_is_blotted_out_of_an_older_stream() {
    let home = home(Testbed::builder().wire(Wire::EventStream)).await;
    let mut app = App::ready(&home, &["--transport", "sse-only"]).await;
    home.testbed.revoke_access_tokens();
    assert_eq!(sum(&app.ask(&add(1)).await), Some(2));
    assert_eq!(home.testbed.count(Peer::Mcp, "GET", "/mcp"), 1);
    let token = home.run(&["token", "notes"]).await.succeeded().stdout;
    let echo = |text: &str| json!({"jsonrpc": "2.0", "method": "notifications/echo", "params": {"sent": text}});
    home.testbed.say(echo(token.trim()));
    let blot = "*".repeat(token.trim().len());
    assert_eq!(app.notification("notifications/echo").await, echo(&blot));
}

#[tokio::test]
async fn a_transport_that_was_ruled_out_is_not_tried() {
    let home = home(Testbed::builder().wire(Wire::EventStream)).await;
    let mut app = App::start(&home, &["--transport", "http-only"]);
    let failed = app.ask(&super::initialize(0)).await;
    let text = failed["error"]["message"].as_str().unwrap();
    assert!(text.contains("405"), "{text}");
    assert_eq!(home.testbed.count(Peer::Mcp, "GET", "/mcp"), 0);
}
