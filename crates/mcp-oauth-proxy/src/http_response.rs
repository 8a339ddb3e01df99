//! The responses of the endpoint itself.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use mcp_client_oauth::platform::Body;

pub(crate) fn json_response(status: StatusCode, line: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(line));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

pub(crate) fn text_response(status: StatusCode, why: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from_static(why.as_bytes())));
    *response.status_mut() = status;
    response
}
