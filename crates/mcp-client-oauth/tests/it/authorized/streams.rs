//! Answers that are read as they come.

use std::time::Duration;

use http::{HeaderValue, header};
use mcp_client_oauth::{
    Answer, AnswerBody, AnswerError, Authorized, Events, error::HttpErrorCause,
};
use mcp_oauth_testbed::{Endpoint, Fault, Spoil};
use serde_json::{Value, json};

use super::{logged_in, notes};
use crate::support::{Scene, bounded};

const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

async fn call(authorized: &Authorized, scene: &Scene, message: &Value) -> Answer {
    let url = scene.server.as_url();
    let request = authorized.post(url.clone()).json(message);
    let response = bounded(request.header(header::ACCEPT, BOTH).open()).await;
    Answer::of(url, response.unwrap()).await.unwrap()
}

fn initialize() -> Value {
    json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": { "protocolVersion": "2025-11-25", "capabilities": {} }
    })
}

fn raw(content_type: &str, body: impl Into<Vec<u8>>) -> Fault {
    let (content_type, body) = (content_type.to_owned(), body.into());
    Fault::Spoil(Endpoint::Mcp, Spoil::Raw { content_type, body })
}

#[tokio::test]
async fn an_answer_begins_before_it_is_whole() {
    let (scene, _, authorized) = logged_in().await;
    let slowly = Spoil::Trickle(Duration::from_millis(5));
    scene.testbed.set_fault(Fault::Spoil(Endpoint::Mcp, slowly));
    let answer = bounded(authorized.get(notes(&scene)).open()).await.unwrap();
    let mut body = answer.into_body();
    let first = bounded(body.chunk()).await.unwrap().unwrap();
    assert_eq!(&first[..], b"{");
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_for_a_stream_too() {
    let (scene, _, authorized) = logged_in().await;
    scene.testbed.revoke_access_tokens();
    let answer = call(&authorized, &scene, &initialize()).await;
    let is_stream = matches!(answer.body, AnswerBody::Events(_));
    assert!(is_stream, "{answer:?}");
    let answer = answer.to(&json!(1)).await.unwrap();
    assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
    assert_eq!(scene.testbed.token_requests("refresh_token"), 1);
}

#[tokio::test]
async fn the_one_answer_is_found_among_other_messages() {
    let (scene, _, authorized) = logged_in().await;
    let other = r#"data: {"id":8,"result":{}}"#;
    let question = r#"data: {"id":7,"method":"ping"}"#;
    let stream = format!("{question}\n\n{other}\n\ndata: {{\"id\":7,\ndata: \"result\":{{}}}}\n\n");
    scene.testbed.set_fault(raw("text/event-stream", stream));
    let answer = call(&authorized, &scene, &initialize()).await;
    let found = answer.to(&json!(7)).await.unwrap();
    assert_eq!(found, json!({"id": 7, "result": {}}));
    let answer = call(&authorized, &scene, &initialize()).await;
    let missing = answer.to(&json!(9)).await.unwrap_err();
    let with_status = matches!(missing, AnswerError::Missing { status, .. } if status == 200);
    assert!(with_status, "{missing}");
}

#[tokio::test]
async fn an_event_without_end_is_given_up_at_its_limit() {
    let (scene, _, authorized) = logged_in().await;
    let endless = [b"data: one\n\ndata: ".as_slice(), &vec![b'x'; 5 << 20]].concat();
    scene.testbed.set_fault(raw("text/event-stream", endless));
    let answer = bounded(authorized.get(notes(&scene)).open()).await.unwrap();
    let mut events = Events::new(scene.server.as_url(), answer.into_body());
    let first = bounded(events.next()).await.unwrap().unwrap();
    assert_eq!(&first.data[..], b"one");
    let error = bounded(events.next()).await.unwrap().unwrap_err();
    assert!(
        matches!(error.cause, HttpErrorCause::TooLarge(_)),
        "{error}"
    );
    assert!(bounded(events.next()).await.is_none());
}

#[tokio::test]
async fn a_page_is_no_message() {
    let (scene, _, authorized) = logged_in().await;
    scene
        .testbed
        .set_fault(raw("text/html; charset=utf-8", "<p>Sign in</p>"));
    let url = scene.server.as_url();
    let response = bounded(authorized.get(url.clone()).open()).await.unwrap();
    let error = Answer::of(url, response).await.unwrap_err();
    assert!(
        error.to_string().contains("HTTP 200 OK with text/html"),
        "{error}"
    );
}

#[tokio::test]
async fn a_text_that_stops_half_way_is_waited_for_so_long() {
    let (scene, _, authorized) = logged_in().await;
    let never = Spoil::Trickle(Duration::from_secs(3600));
    scene.testbed.set_fault(Fault::Spoil(Endpoint::Mcp, never));
    let url = notes(&scene);
    let response = bounded(authorized.get(url.clone()).open()).await.unwrap();
    let patience = Duration::from_millis(50);
    let error = bounded(Answer::within(patience, &url, response))
        .await
        .unwrap_err();
    let AnswerError::Network(error) = error else {
        panic!("{error}");
    };
    assert!(
        matches!(error.cause, HttpErrorCause::TimedOut(_)),
        "{error}"
    );
}
