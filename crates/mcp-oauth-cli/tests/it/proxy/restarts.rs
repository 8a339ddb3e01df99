//! Servers that restart, forget and vanish: each call is answered or has failed, and none is made
//! twice.

use std::collections::HashSet;

use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Peer};
use serde_json::json;

use super::{App, add, call, request, sum};
use crate::support::{Home, bounded};

#[tokio::test]
async fn a_session_that_is_forgotten_is_opened_again_once_for_all() {
    let home = Home::logged_in().await;
    let mut app = App::ready(&home, &[]).await;
    home.testbed.forget_sessions();
    home.testbed.forget_requests();
    for id in 1..=50 {
        app.tell(&call(
            id,
            "write_note",
            &json!({"text": format!("note {id}")}),
        ))
        .await;
    }
    for id in 1..=50 {
        let answer = app.answer(&json!(id)).await;
        assert_eq!(answer["result"]["isError"], false, "{answer}");
    }
    let sent = home.testbed.requests();
    let begun = sent.iter().filter(|sent| {
        sent.json()
            .is_some_and(|json| json["method"] == "initialize")
    });
    assert_eq!(begun.count(), 1);
    assert_eq!(home.testbed.notes().len(), 51);
}

#[tokio::test]
async fn a_server_that_restarts_amid_a_thousand_calls_makes_none_twice_and_leaves_none_open() {
    let home = Home::logged_in().await;
    let mut app = App::ready(&home, &[]).await;
    home.testbed.forget_requests();
    let write = |id: u64| call(id, "write_note", &json!({"text": format!("note {id}")}));
    for id in 1..=1000 {
        app.tell(&write(id)).await;
        if id == 300 {
            bounded(home.testbed.arrived(Peer::Mcp, "POST", "/mcp", 100)).await;
            home.testbed.stop_mcp_server().await;
        }
        if id == 600 {
            home.testbed.start_mcp_server().await.unwrap();
        }
    }
    let mut answered = 0;
    for id in 1..=1000 {
        let answer = app.answer(&json!(id)).await;
        let failed = answer["error"]["code"].is_i64();
        assert!(failed || answer["result"]["isError"] == false, "{answer}");
        answered += usize::from(!failed);
    }
    let notes = home.testbed.notes();
    let distinct: HashSet<_> = notes.iter().collect();
    assert_eq!(distinct.len(), notes.len(), "a call was made twice");
    assert!(
        notes.len() > answered && answered >= 700,
        "{} notes, {answered} answers",
        notes.len()
    );
    assert_eq!(sum(&app.ask(&add(2000)).await), Some(2001));
}

#[tokio::test]
async fn an_answer_that_is_lost_is_asked_for_again_only_where_that_does_nothing() {
    let home = Home::logged_in().await;
    let mut app = App::ready(&home, &[]).await;
    let held = || {
        home.testbed
            .set_fault(Fault::Spoil(Endpoint::Mcp, Corruption::Held));
    };
    let outcomes = async |app: &mut App, message: serde_json::Value| {
        held();
        home.testbed.forget_requests();
        app.tell(&message).await;
        bounded(home.testbed.arrived(Peer::Mcp, "POST", "/mcp", 1)).await;
        home.testbed.stop_mcp_server().await;
        home.testbed.release();
        home.testbed.start_mcp_server().await.unwrap();
        app.answer(&message["id"]).await
    };
    let list = outcomes(&mut app, request(1, "tools/list", &json!({}))).await;
    assert_eq!(list["result"]["tools"].as_array().unwrap().len(), 4);
    let write = outcomes(&mut app, call(2, "write_note", &json!({"text": "once"}))).await;
    assert_eq!(write["error"]["code"], -32000, "{write}");
    let text = write["error"]["message"].as_str().unwrap();
    assert!(
        text.contains("it is unknown whether the call was carried out"),
        "{text}"
    );
    assert!(!text.contains("try the same"), "{text}");
    let notes = home.testbed.notes();
    assert_eq!(notes.iter().filter(|note| *note == "once").count(), 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_to_the_client() {
    let home = Home::logged_in().await;
    home.testbed.stop_mcp_server().await;
    let mut app = App::start(&home, &[]);
    let failed = app.ask(&super::initialize(0)).await;
    let text = failed["error"]["message"].as_str().unwrap();
    assert!(text.contains("cannot connect"), "{text}");
}

#[tokio::test]
async fn a_client_of_a_server_that_is_known_and_away_is_greeted_and_goes_on_when_it_is_back() {
    let home = Home::logged_in().await;
    App::ready(&home, &[]).await.hang_up().await;
    home.testbed.stop_mcp_server().await;
    let mut app = App::start(&home, &[]);
    let greeting = app.shake_hands().await;
    assert_eq!(
        greeting["result"]["serverInfo"]["name"],
        "mcp-oauth-testbed"
    );
    let away = app.ask(&add(1)).await;
    assert_eq!(away["result"]["isError"], true, "{away}");
    home.testbed.start_mcp_server().await.unwrap();
    app.notification("notifications/tools/list_changed").await;
    assert_eq!(sum(&app.ask(&add(2)).await), Some(3));
}

#[tokio::test]
async fn what_the_client_says_while_the_server_is_away_reaches_it_later() {
    let home = Home::logged_in().await;
    let mut app = App::ready(&home, &["-vv"]).await;
    app.ask(&add(1)).await;
    home.testbed.stop_mcp_server().await;
    home.testbed.forget_requests();
    let answer = json!({"jsonrpc": "2.0", "id": "q/1", "result": {"roots": []}});
    app.tell(&answer).await;
    app.until_it_says("the server cannot be reached").await;
    home.testbed.start_mcp_server().await.unwrap();
    bounded(home.testbed.arrived(Peer::Mcp, "POST", "/mcp", 1)).await;
    let sent = home.testbed.requests();
    let sent = sent.iter().find(|sent| sent.method == "POST").unwrap();
    assert_eq!(sent.json(), Some(answer));
}
