//! Corrupts a response before it is sent.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::faults::{Corruption, Endpoint, Fault};
use crate::state::TestbedState;

const PADDING_SIZE: usize = 2 * 1024 * 1024;

/// The query of a request that already followed the redirect.
const REDIRECTED: &str = "redirected=1";

/// Applies the faults of an endpoint to its response, in the order in which they were set.
pub(crate) async fn corrupt(
    state: &TestbedState,
    endpoint: Option<Endpoint>,
    path: &str,
    query: Option<&str>,
    response: Response,
) -> Response {
    let Some(endpoint) = endpoint else {
        return response;
    };
    // Subscribed before the faults are read, so that a release in between is not missed.
    let mut releases = state.releases();
    let corruptions = state.faults().all(|fault| match fault {
        Fault::Corrupt(at, corruption) if *at == endpoint => Some(corruption.clone()),
        _ => None,
    });
    let mut response = response;
    for corruption in corruptions {
        response = match corruption {
            Corruption::Held => {
                // The state outlives its servers, so the sender still exists.
                let _released = releases.changed().await;
                response
            }
            Corruption::NeverResponds => pending().await,
            Corruption::RedirectTo(url) => redirect(&url),
            Corruption::RedirectLoop => redirect(path),
            Corruption::RedirectOnce if query == Some(REDIRECTED) => response,
            Corruption::RedirectOnce => redirect(&format!("{path}?{REDIRECTED}")),
            other => rewrite(other, response).await,
        };
    }
    response
}

fn redirect(location: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(location) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    (
        StatusCode::TEMPORARY_REDIRECT,
        [(header::LOCATION, location)],
    )
        .into_response()
}

async fn rewrite(corruption: Corruption, response: Response) -> Response {
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    match corruption {
        Corruption::Html => ok(
            "text/html; charset=utf-8",
            "<!doctype html><title>Sign in</title>",
        ),
        Corruption::Null => ok("application/json", "null"),
        Corruption::Empty => ok("application/json", ""),
        Corruption::TooLarge => ok("application/json", with_padding(&body)),
        Corruption::Raw { content_type, body } => ok(&content_type, body),
        Corruption::FormEncoded => ok("application/x-www-form-urlencoded", form(&body)),
        Corruption::Truncated => with_body(parts, body.slice(..body.len() / 2)),
        Corruption::DuplicateKey(key, value) => {
            with_body(parts, with_duplicate_member(&body, &key, &value).into())
        }
        Corruption::Trickle(every) => with_streamed_body(parts, trickle(body, every)),
        Corruption::CutAfter(count) => cut_after(parts, &body, count),
        _ => with_body(parts, body),
    }
}

fn ok(content_type: &str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    if let Ok(value) = HeaderValue::from_str(content_type) {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}

fn with_body(mut parts: http::response::Parts, body: Bytes) -> Response {
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(body))
}

fn with_streamed_body(mut parts: http::response::Parts, body: Body) -> Response {
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, body)
}

/// Returns the same document with one more, long member.
fn with_padding(body: &[u8]) -> String {
    let mut document = serde_json::from_slice(body).unwrap_or_else(|_| json!({}));
    if let Value::Object(members) = &mut document {
        members.insert(
            "padding".to_owned(),
            Value::String("x".repeat(PADDING_SIZE)),
        );
    }
    document.to_string()
}

fn form(body: &[u8]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    if let Ok(Value::Object(members)) = serde_json::from_slice(body) {
        for (name, value) in &members {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            form.append_pair(name, &text);
        }
    }
    form.finish()
}

/// Returns the JSON text with one more member. It is written as text, since a JSON value cannot hold
/// one name twice.
fn with_duplicate_member(body: &[u8], key: &str, value: &Value) -> String {
    let text = String::from_utf8_lossy(body);
    let open = text.trim_end().trim_end_matches('}');
    format!("{open},{}:{value}}}", Value::from(key))
}

fn trickle(body: Bytes, every: Duration) -> Body {
    let interval = tokio::time::interval(every);
    let bytes = stream::unfold((body, interval), |(mut body, mut interval)| async move {
        if body.is_empty() {
            return None;
        }
        interval.tick().await;
        let byte = body.split_to(1);
        Some((Ok::<_, Infallible>(byte), (body, interval)))
    });
    Body::from_stream(bytes)
}

/// Announces the whole length, sends a part of it, and fails, which closes the connection.
fn cut_after(mut parts: http::response::Parts, body: &Bytes, count: usize) -> Response {
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let sent = body.slice(..count.min(body.len()));
    let end = stream::once(async {
        // The part must be sent before the failure discards the buffer.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    });
    let part = stream::iter((!sent.is_empty()).then_some(Ok::<_, io::Error>(sent)));
    Response::from_parts(parts, Body::from_stream(part.chain(end)))
}
