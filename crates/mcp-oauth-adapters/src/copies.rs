//! The copies of a request that is sent again, and the response to one attempt.

use std::sync::Mutex;

use http::{HeaderMap, StatusCode};
use mcp_client_oauth::adapters::ResponseHead;
use mcp_oauth_support::mutex::lock;

/// A request, and copies of it for retries as long as it can be copied.
pub(crate) struct Copies<T, C> {
    next: Mutex<Option<T>>,
    copy: C,
}

impl<T, C: Fn(&T) -> Option<T>> Copies<T, C> {
    pub(crate) fn new(first: T, copy: C) -> Self {
        Self {
            next: Mutex::new(Some(first)),
            copy,
        }
    }

    /// Returns the request to send now, and keeps a copy of it if possible.
    pub(crate) fn take(&self) -> Option<T> {
        let mut next = lock(&self.next);
        let now = next.take()?;
        *next = (self.copy)(&now);
        Some(now)
    }

    /// Returns whether there is a copy to send again.
    pub(crate) fn has_copy(&self) -> bool {
        lock(&self.next).is_some()
    }
}

/// The response to one attempt.
pub(crate) struct Attempt<R> {
    pub(crate) response: R,
    /// Is true if there is a copy of the request to send again.
    pub(crate) has_copy: bool,
}

impl<R: ResponseHead> ResponseHead for Attempt<R> {
    fn status(&self) -> StatusCode {
        self.response.status()
    }

    fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    fn can_retry(&self) -> bool {
        self.has_copy
    }
}
