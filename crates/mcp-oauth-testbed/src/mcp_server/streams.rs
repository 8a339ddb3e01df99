//! Event streams that the server opens nothing by: `GET` of the stateful wire, and the whole of the
//! transport of 2024-11-05.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, StatusCode, Uri, header};
use serde_json::Value;
use tokio::sync::mpsc;

use super::auth::Admitted;
use super::{responses, stateful, tools};
use crate::random::random;
use crate::settings::forms::Wire;
use crate::state::TestbedState;
use crate::state::streams::event;

/// Says where messages of the transport of 2024-11-05 go.
pub(super) const MESSAGES_PATH: &str = "/mcp/messages";

/// `GET /mcp`: where the server speaks of its own accord, if it does.
pub(super) async fn open(
    State(world): State<Arc<TestbedState>>,
    Admitted(_): Admitted,
    headers: HeaderMap,
) -> Response {
    if world.settings.wire == Wire::EventStream {
        return open_old(&world);
    }
    if !world.settings.streams {
        let allowed = [(header::ALLOW, "POST, DELETE")];
        return (StatusCode::METHOD_NOT_ALLOWED, allowed).into_response();
    }
    if let Err(refusal) = stateful::check_session(&world, &headers, &Value::Null) {
        return responses::send(&world, &headers, *refusal);
    }
    let named = headers.get("last-event-id");
    let named = named.and_then(|id| id.to_str().ok()?.parse::<usize>().ok());
    let streams = world.streams();
    let from = named.unwrap_or(streams.read);
    // Whoever waits looks first, so that nothing which is said in between is missed.
    let mut moved = streams.moved.subscribe();
    moved.mark_changed();
    let cuts = streams.cuts;
    drop(streams);
    let listening = (world, moved, from, cuts);
    let events = stream::unfold(listening, async |(world, mut moved, from, cuts)| {
        loop {
            {
                let mut streams = world.streams();
                if streams.cuts != cuts {
                    return None;
                }
                if let Some(message) = streams.said.get(from) {
                    let event = event(Some(from + 1), message);
                    streams.read = streams.read.max(from + 1);
                    drop(streams);
                    return Some((Ok::<_, Infallible>(event), (world, moved, from + 1, cuts)));
                }
            }
            moved.changed().await.ok()?;
        }
    });
    streamed(Body::from_stream(events))
}

/// Returns the stream names the place for messages first (2024-11-05, HTTP with SSE).
fn open_old(world: &TestbedState) -> Response {
    let session = random("session");
    let (sender, receiver) = mpsc::unbounded_channel();
    let endpoint = format!("event: endpoint\ndata: {MESSAGES_PATH}?session={session}\n\n");
    let _open = sender.send(Bytes::from(endpoint));
    world.streams().old.insert(session, sender);
    let events = stream::unfold(receiver, async |mut receiver| {
        let event = receiver.recv().await?;
        Some((Ok::<_, Infallible>(event), receiver))
    });
    streamed(Body::from_stream(events))
}

/// `POST /mcp/messages`: the answer comes on the stream.
pub(super) async fn message(
    State(world): State<Arc<TestbedState>>,
    Admitted(caller): Admitted,
    uri: Uri,
    body: Bytes,
) -> Response {
    let session = uri.query().and_then(|query| query.strip_prefix("session="));
    let stream = session.and_then(|session| world.streams().old.get(session).cloned());
    let Some(stream) = stream else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let Ok(message) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if let Err(refusal) = tools::check_scope(&world, &caller, &message) {
        return *refusal;
    }
    if let Some(answer) = stateful::spoken(&world, &caller, &message) {
        // A reader that is gone reads no answer.
        let _read = stream.send(event(None, &answer));
    }
    StatusCode::ACCEPTED.into_response()
}

fn streamed(body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, body).into_response()
}
