//! The `GET` event streams: the one of the stateful revisions, and the HTTP with SSE transport of
//! 2024-11-05.

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

use super::auth::Authorized;
use super::{responses, stateful, tools};
use crate::random::random;
use crate::settings::forms::ProtocolEra;
use crate::state::TestbedState;
use crate::state::streams::event;

/// The path for messages of the transport of 2024-11-05.
pub(super) const MESSAGES_PATH: &str = "/mcp/messages";

/// `GET /mcp`: the stream for server-initiated messages, if it is enabled.
pub(super) async fn open(
    State(state): State<Arc<TestbedState>>,
    Authorized(_): Authorized,
    headers: HeaderMap,
) -> Response {
    if state.settings.protocol_era == ProtocolEra::HttpWithSse {
        return open_legacy(&state);
    }
    if !state.settings.streams {
        let allowed = [(header::ALLOW, "POST, DELETE")];
        return (StatusCode::METHOD_NOT_ALLOWED, allowed).into_response();
    }
    if let Err(refusal) = stateful::check_session(&state, &headers, &Value::Null) {
        return responses::send(&state, &headers, *refusal);
    }
    let named = headers.get("last-event-id");
    let named = named.and_then(|id| id.to_str().ok()?.parse::<usize>().ok());
    let streams = state.streams();
    let from = named.unwrap_or(streams.read);
    // The first check comes before the first wait, so that no message in between is missed.
    let mut moved = streams.changed.subscribe();
    moved.mark_changed();
    let cuts = streams.closings;
    drop(streams);
    let listening = (state, moved, from, cuts);
    let events = stream::unfold(listening, async |(state, mut moved, from, cuts)| {
        loop {
            {
                let mut streams = state.streams();
                if streams.closings != cuts {
                    return None;
                }
                if let Some(message) = streams.messages.get(from) {
                    let event = event(Some(from + 1), message);
                    streams.read = streams.read.max(from + 1);
                    drop(streams);
                    return Some((Ok::<_, Infallible>(event), (state, moved, from + 1, cuts)));
                }
            }
            moved.changed().await.ok()?;
        }
    });
    event_stream_response(Body::from_stream(events))
}

/// Opens the stream of 2024-11-05, which names the path for messages first (HTTP with SSE).
fn open_legacy(state: &TestbedState) -> Response {
    let session = random("session");
    let (sender, receiver) = mpsc::unbounded_channel();
    let endpoint = format!("event: endpoint\ndata: {MESSAGES_PATH}?session={session}\n\n");
    let _open = sender.send(Bytes::from(endpoint));
    state.streams().legacy.insert(session, sender);
    let events = stream::unfold(receiver, async |mut receiver| {
        let event = receiver.recv().await?;
        Some((Ok::<_, Infallible>(event), receiver))
    });
    event_stream_response(Body::from_stream(events))
}

/// `POST /mcp/messages`: the response is sent on the stream.
pub(super) async fn message(
    State(state): State<Arc<TestbedState>>,
    Authorized(caller): Authorized,
    uri: Uri,
    body: Bytes,
) -> Response {
    let session = uri.query().and_then(|query| query.strip_prefix("session="));
    let stream = session.and_then(|session| state.streams().legacy.get(session).cloned());
    let Some(stream) = stream else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let Ok(message) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if let Err(refusal) = tools::check_scope(&state, &caller, &message) {
        return *refusal;
    }
    if let Some(response) = stateful::respond(&state, &caller, &message) {
        // A closed stream gets no response.
        let _read = stream.send(event(None, &response));
    }
    StatusCode::ACCEPTED.into_response()
}

fn event_stream_response(body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, body).into_response()
}
