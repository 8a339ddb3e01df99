//! The part of a response that says whether its request was refused.

use http::{HeaderMap, StatusCode};

/// A response of any HTTP client: its status and its headers are read, to see whether the server refused the
/// token.
pub trait ResponseHead {
    /// Returns the status.
    fn status(&self) -> StatusCode;

    /// Returns the headers.
    fn headers(&self) -> &HeaderMap;

    /// Returns whether the request can be sent again: false if its body was sent and there is no copy of it.
    fn can_retry(&self) -> bool {
        true
    }
}

impl<B> ResponseHead for http::Response<B> {
    fn status(&self) -> StatusCode {
        self.status()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }
}

#[cfg(feature = "reqwest")]
impl ResponseHead for reqwest::Response {
    fn status(&self) -> StatusCode {
        self.status()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }
}
