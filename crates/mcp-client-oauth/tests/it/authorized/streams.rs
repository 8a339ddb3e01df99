//! Responses that are read while they arrive.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use mcp_client_oauth::{
    Session,
    error::HttpErrorKind,
    platform::{AddressSpace, Body, HttpClient as _, Request, ReqwestClient},
};
use mcp_oauth_adapters::EventStream;
use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Peer};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
};

use super::{NOTES, logged_in, notes};
use crate::support::{Fixture, bounded};

const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

async fn call(session: &Session, fixture: &Fixture, message: &Value) -> EventStream {
    let url = fixture.server.as_url();
    let request = session.post(url.clone()).json(message);
    let response = bounded(request.header(header::ACCEPT, BOTH).send_streaming()).await;
    EventStream::new(url, response.unwrap().into_body())
}

fn initialize() -> Value {
    json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": { "protocolVersion": "2025-11-25", "capabilities": {} }
    })
}

fn raw(content_type: &str, body: impl Into<Vec<u8>>) -> Fault {
    let (content_type, body) = (content_type.to_owned(), body.into());
    Fault::Corrupt(Endpoint::Mcp, Corruption::Raw { content_type, body })
}

#[tokio::test]
async fn a_streamed_response_is_readable_before_it_is_complete() {
    let (fixture, session) = logged_in().await;
    let slowly = Corruption::Trickle(Duration::from_millis(5));
    fixture
        .testbed
        .set_fault(Fault::Corrupt(Endpoint::Mcp, slowly));
    let response = bounded(session.get(notes(&fixture)).send_streaming())
        .await
        .unwrap();
    let mut body = response.into_body();
    let first = bounded(body.frame()).await.unwrap().unwrap();
    assert_eq!(&first.into_data().unwrap()[..], b"{");
}

#[tokio::test]
async fn a_rejected_token_is_replaced_once_for_a_stream() {
    let (fixture, session) = logged_in().await;
    fixture.testbed.revoke_access_tokens();
    let mut events = call(&session, &fixture, &initialize()).await;
    let event = bounded(events.next()).await.unwrap().unwrap();
    let response: Value = serde_json::from_slice(&event.data).unwrap();
    assert_eq!(response["result"]["protocolVersion"], "2025-11-25");
    assert_eq!(fixture.testbed.token_requests("refresh_token"), 1);
}

#[tokio::test]
async fn an_event_larger_than_the_limit_is_an_error() {
    let (fixture, session) = logged_in().await;
    let endless = [b"data: one\n\ndata: ".as_slice(), &vec![b'x'; 5 << 20]].concat();
    fixture.testbed.set_fault(raw("text/event-stream", endless));
    let response = bounded(session.get(notes(&fixture)).send_streaming())
        .await
        .unwrap();
    let mut events = EventStream::new(fixture.server.as_url(), response.into_body());
    let first = bounded(events.next()).await.unwrap().unwrap();
    assert_eq!(&first.data[..], b"one");
    let error = bounded(events.next()).await.unwrap().unwrap_err();
    assert!(matches!(error.cause, HttpErrorKind::TooLarge(_)), "{error}");
    assert!(bounded(events.next()).await.is_none());
}

/// Returns a body, and the channel by which a test sends its pieces.
fn piecemeal() -> (mpsc::UnboundedSender<&'static str>, Body) {
    let (sender, mut pieces) = mpsc::unbounded_channel::<&str>();
    let frames = futures_util::stream::poll_fn(move |cx| {
        let piece = pieces.poll_recv(cx);
        piece.map(|piece| Some(Ok(Frame::data(Bytes::from_static(piece?.as_bytes())))))
    });
    (sender, Body::new(StreamBody::new(frames)))
}

#[tokio::test]
async fn a_streamed_request_body_is_sent_as_it_is_produced() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let request = Request::new(Method::POST, url.parse().unwrap(), AddressSpace::Loopback);
    let (pieces, body) = piecemeal();
    let sending = tokio::spawn(async move {
        let network = ReqwestClient::default();
        network.upload(request, body).await
    });
    let (mut stream, _) = bounded(listener.accept()).await.unwrap();
    let mut received = Vec::new();
    for piece in ["one", "two"] {
        pieces.send(piece).unwrap();
        while !received.windows(3).any(|part| part == piece.as_bytes()) {
            bounded(stream.read_buf(&mut received)).await.unwrap();
        }
    }
    drop(pieces);
    while !received.ends_with(b"0\r\n\r\n") {
        bounded(stream.read_buf(&mut received)).await.unwrap();
    }
    let head = String::from_utf8_lossy(&received).to_lowercase();
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    let response = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone";
    stream.write_all(response).await.unwrap();
    let response = bounded(sending).await.unwrap().unwrap();
    assert_eq!(
        &response
            .into_body()
            .read_within(Duration::from_secs(20), 100)
            .await
            .unwrap()[..],
        b"done"
    );
}

/// A stream body cannot be sent again, but the next request of the caller has the new token.
#[tokio::test]
async fn a_consumed_stream_body_is_not_resent_but_the_token_is_replaced() {
    let (fixture, session) = logged_in().await;
    let post = || {
        let body = Body::from(Bytes::from_static(b"[1,2]"));
        let json = HeaderValue::from_static("application/json");
        let request = session.post(notes(&fixture));
        request.header(header::CONTENT_TYPE, json).body_stream(body)
    };
    let response = bounded(post().send()).await.unwrap();
    assert_eq!(&response.body[..], b"[1,2]");
    fixture.testbed.revoke_access_tokens();
    let refused = bounded(post().send()).await.unwrap();
    assert_eq!((refused.status.as_u16(), fixture.refreshes()), (401, 1));
    let posts = || fixture.testbed.count(Peer::Mcp, "POST", NOTES);
    assert_eq!(posts(), 2);
    let response = bounded(post().send_streaming()).await.unwrap();
    assert_eq!((response.status().as_u16(), posts()), (200, 3));
    // With retries disabled, the request is not sent again.
    fixture.testbed.revoke_access_tokens();
    let refused = bounded(post().retry_on_401(false).send()).await.unwrap();
    assert_eq!((refused.status.as_u16(), fixture.refreshes()), (401, 1));
    let twice = post();
    assert!(bounded(twice.clone().send()).await.is_ok());
    let error = bounded(twice.send()).await.unwrap_err();
    assert!(error.to_string().contains("was sent already"), "{error}");
}
