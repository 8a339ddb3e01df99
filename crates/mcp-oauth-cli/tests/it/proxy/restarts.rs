//! Servers that restart, lose sessions or become unreachable: each call gets a response or an error, and
//! none is sent twice.

use std::collections::HashSet;

use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Peer};
use serde_json::json;

use super::{App, add, call, request, sum};
use crate::support::{Home, bounded};

#[tokio::test]
async fn a_lost_session_is_reopened_once_for_all_calls() {
    let home = Home::logged_in().await;
    let mut app = App::ready(&home, &[]).await;
    home.testbed.remove_sessions();
    home.testbed.clear_requests();
    for id in 1..=50 {
        app.send(&call(
            id,
            "write_note",
            &json!({"text": format!("note {id}")}),
        ))
        .await;
    }
    for id in 1..=50 {
        let response = app.response(&json!(id)).await;
        assert_eq!(response["result"]["isError"], false, "{response}");
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
async fn a_restart_during_a_thousand_calls_repeats_none_and_loses_none() {
    let home = Home::logged_in().await;
    let mut app = App::ready(&home, &[]).await;
    home.testbed.clear_requests();
    let write = |id: u64| call(id, "write_note", &json!({"text": format!("note {id}")}));
    for id in 1..=1000 {
        app.send(&write(id)).await;
        if id == 300 {
            bounded(
                home.testbed
                    .wait_for_requests(Peer::Mcp, "POST", "/mcp", 100),
            )
            .await;
            home.testbed.stop_mcp_server().await;
        }
        if id == 600 {
            home.testbed.start_mcp_server().await.unwrap();
        }
    }
    let mut succeeded = 0;
    for id in 1..=1000 {
        let response = app.response(&json!(id)).await;
        let failed = response["error"]["code"].is_i64();
        assert!(
            failed || response["result"]["isError"] == false,
            "{response}"
        );
        succeeded += usize::from(!failed);
    }
    let notes = home.testbed.notes();
    let distinct: HashSet<_> = notes.iter().collect();
    assert_eq!(distinct.len(), notes.len(), "a call was sent twice");
    assert!(
        notes.len() > succeeded && succeeded >= 700,
        "{} notes, {succeeded} responses",
        notes.len()
    );
    assert_eq!(sum(&app.request(&add(2000)).await), Some(2001));
}

#[tokio::test]
async fn a_request_with_a_lost_response_is_repeated_only_if_idempotent() {
    let home = Home::logged_in().await;
    let mut app = App::ready(&home, &[]).await;
    let held = || {
        home.testbed
            .set_fault(Fault::Corrupt(Endpoint::Mcp, Corruption::Held));
    };
    let outcomes = async |app: &mut App, message: serde_json::Value| {
        held();
        home.testbed.clear_requests();
        app.send(&message).await;
        bounded(home.testbed.wait_for_requests(Peer::Mcp, "POST", "/mcp", 1)).await;
        home.testbed.stop_mcp_server().await;
        home.testbed.release();
        home.testbed.start_mcp_server().await.unwrap();
        app.response(&message["id"]).await
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
async fn an_unreachable_server_is_an_error_response() {
    let home = Home::logged_in().await;
    home.testbed.stop_mcp_server().await;
    let mut app = App::start(&home, &[]);
    let failed = app.request(&super::initialize(0)).await;
    let text = failed["error"]["message"].as_str().unwrap();
    assert!(text.contains("cannot connect"), "{text}");
}

#[tokio::test]
async fn initialize_succeeds_while_a_known_server_is_down_and_calls_work_when_it_is_back() {
    let home = Home::logged_in().await;
    App::ready(&home, &[]).await.close().await;
    home.testbed.stop_mcp_server().await;
    let mut app = App::start(&home, &[]);
    let greeting = app.handshake().await;
    assert_eq!(
        greeting["result"]["serverInfo"]["name"],
        "mcp-oauth-testbed"
    );
    let away = app.request(&add(1)).await;
    assert_eq!(away["result"]["isError"], true, "{away}");
    home.testbed.start_mcp_server().await.unwrap();
    app.notification("notifications/tools/list_changed").await;
    assert_eq!(sum(&app.request(&add(2)).await), Some(3));
}

#[tokio::test]
async fn a_response_of_the_client_reaches_the_server_after_a_restart() {
    let home = Home::logged_in().await;
    let mut app = App::ready(&home, &["-vv"]).await;
    app.request(&add(1)).await;
    home.testbed.stop_mcp_server().await;
    home.testbed.clear_requests();
    let response = json!({"jsonrpc": "2.0", "id": "q/1", "result": {"roots": []}});
    app.send(&response).await;
    app.wait_for_stderr("the server cannot be reached").await;
    home.testbed.start_mcp_server().await.unwrap();
    bounded(home.testbed.wait_for_requests(Peer::Mcp, "POST", "/mcp", 1)).await;
    let sent = home.testbed.requests();
    let sent = sent.iter().find(|sent| sent.method == "POST").unwrap();
    assert_eq!(sent.json(), Some(response));
}
