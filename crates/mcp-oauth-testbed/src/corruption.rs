//! Spoils an answer on its way out.

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

const TOO_LARGE: usize = 2 * 1024 * 1024;

/// The query of a redirected request that is answered.
const REDIRECTED: &str = "redirected=1";

/// Applies the faults of an endpoint to its answer, in the order in which they were set.
pub(crate) async fn spoil(
    world: &TestbedState,
    endpoint: Option<Endpoint>,
    path: &str,
    query: Option<&str>,
    answer: Response,
) -> Response {
    let Some(endpoint) = endpoint else {
        return answer;
    };
    // Subscribed before the faults are read, so that a release in between is not missed.
    let mut releases = world.releases();
    let spoils = world.faults().all(|fault| match fault {
        Fault::Spoil(at, how) if *at == endpoint => Some(how.clone()),
        _ => None,
    });
    let mut answer = answer;
    for how in spoils {
        answer = match how {
            Corruption::Held => {
                // The world outlives its servers, so the sender is there.
                let _released = releases.changed().await;
                answer
            }
            Corruption::NeverAnswers => pending().await,
            Corruption::RedirectTo(url) => redirect(&url),
            Corruption::RedirectLoop => redirect(path),
            Corruption::RedirectOnce if query == Some(REDIRECTED) => answer,
            Corruption::RedirectOnce => redirect(&format!("{path}?{REDIRECTED}")),
            other => rewrite(other, answer).await,
        };
    }
    answer
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

async fn rewrite(how: Corruption, answer: Response) -> Response {
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    match how {
        Corruption::Html => ok(
            "text/html; charset=utf-8",
            "<!doctype html><title>Sign in</title>",
        ),
        Corruption::Null => ok("application/json", "null"),
        Corruption::Empty => ok("application/json", ""),
        Corruption::TooLarge => ok("application/json", padded(&body)),
        Corruption::Raw { content_type, body } => ok(&content_type, body),
        Corruption::FormEncoded => ok("application/x-www-form-urlencoded", form(&body)),
        Corruption::Truncated => whole(parts, body.slice(..body.len() / 2)),
        Corruption::DuplicateKey(key, value) => {
            whole(parts, duplicated(&body, &key, &value).into())
        }
        Corruption::Trickle(every) => streamed(parts, trickle(body, every)),
        Corruption::CutAfter(count) => cut(parts, &body, count),
        _ => whole(parts, body),
    }
}

fn ok(content_type: &str, body: impl Into<Body>) -> Response {
    let mut answer = Response::new(body.into());
    if let Ok(value) = HeaderValue::from_str(content_type) {
        answer.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    answer
}

fn whole(mut parts: http::response::Parts, body: Bytes) -> Response {
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(body))
}

fn streamed(mut parts: http::response::Parts, body: Body) -> Response {
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, body)
}

/// Returns the same document with a long member more.
fn padded(body: &[u8]) -> String {
    let mut document = serde_json::from_slice(body).unwrap_or_else(|_| json!({}));
    if let Value::Object(members) = &mut document {
        members.insert("padding".to_owned(), Value::String("x".repeat(TOO_LARGE)));
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

/// Written by hand, since a JSON value cannot hold one name twice.
fn duplicated(body: &[u8], key: &str, value: &Value) -> String {
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

/// Promises the whole length, sends a part of it, and fails, whereupon the connection is cut.
fn cut(mut parts: http::response::Parts, body: &Bytes, count: usize) -> Response {
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let sent = body.slice(..count.min(body.len()));
    let end = stream::once(async {
        // The part must have left before the failure discards what is buffered.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    });
    let part = stream::iter((!sent.is_empty()).then_some(Ok::<_, io::Error>(sent)));
    Response::from_parts(parts, Body::from_stream(part.chain(end)))
}
