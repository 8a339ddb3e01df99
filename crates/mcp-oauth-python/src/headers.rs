//! HTTP headers, methods, URLs and time limits, as Python passes them.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use pyo3::prelude::*;
use url::Url;

use crate::errors::invalid;

/// The header with the nonce for the next proof (RFC 9449 §8.1).
pub(crate) const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// The headers of a request or a response: names and values, a name perhaps several times.
pub(crate) type HeaderList = Vec<(String, String)>;

/// Parses headers.
pub(crate) fn parse(headers: HeaderList) -> PyResult<HeaderMap> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        // The value may be a secret: it is not part of the error.
        let parsed: HeaderName = name
            .parse()
            .map_err(|error| invalid("header name", error))?;
        let value = HeaderValue::from_str(&value)
            .map_err(|error| invalid(&format!("value of the header {name}"), error))?;
        map.append(parsed, value);
    }
    Ok(map)
}

/// Parses the headers that say why a request was refused: a challenge, and the nonce for the next proof. Values
/// of others may be invalid.
pub(crate) fn challenge(all: HeaderList) -> PyResult<HeaderMap> {
    let read = [header::WWW_AUTHENTICATE, NONCE];
    let is_read = |name: &str| {
        read.iter()
            .any(|read| name.eq_ignore_ascii_case(read.as_str()))
    };
    parse(all.into_iter().filter(|(name, _)| is_read(name)).collect())
}

/// Returns headers as a list. A byte that is not ASCII becomes the character of the same number (RFC 9110
/// §5.5: ISO-8859-1).
pub(crate) fn list(headers: &HeaderMap) -> HeaderList {
    let text = |value: &HeaderValue| {
        value
            .as_bytes()
            .iter()
            .map(|&byte| char::from(byte))
            .collect()
    };
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect()
}

/// Returns a header value as text.
pub(crate) fn text(value: &HeaderValue) -> PyResult<&str> {
    value.to_str().map_err(|error| invalid("header", error))
}

/// Parses a method.
pub(crate) fn method(method: &str) -> PyResult<Method> {
    method.parse().map_err(|error| invalid("method", error))
}

/// Parses a URL argument.
pub(crate) fn url(name: &str, url: &str) -> PyResult<Url> {
    url.parse().map_err(|error| invalid(name, error))
}

/// Parses a time limit.
pub(crate) fn seconds(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|error| invalid("timeout", error))
}
