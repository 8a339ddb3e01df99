//! Tokens for other HTTP stacks. Each module is one stack, behind its own feature.
//!
//! | module | for |
//! |---|---|
//! | `tower` | any client that is a `tower::Service` of `http::Request` |
//! | `reqwest_middleware` | a chain of `reqwest-middleware` |
//! | `websocket` | the opening handshake of `tokio-tungstenite` |
//! | `rmcp` | the official MCP client |
//! | `rmcp_credentials` | the `AuthorizationManager` of `rmcp`, over the stores of this crate |
//!
//! An adapter takes a [`Session`](crate::Session), or any other [`TokenSource`]. The HTTP adapters send a
//! token to its resource only (RFC 8707 §1), replace it once if it is refused, request a wider scope if the
//! source can, and send a request again only if its body can be copied. For another stack use
//! [`Session::send`](crate::Session::send). An [`EventStream`] reads the events of a streamed response.

mod event_stream;
#[cfg(feature = "reqwest-middleware")]
pub mod reqwest_middleware;
#[cfg(feature = "mcp")]
pub mod rmcp;
#[cfg(feature = "rmcp-credentials")]
pub mod rmcp_credentials;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "websocket")]
pub mod websocket;

pub use event_stream::EventStream;

pub use crate::{
    authorized_client::{AuthorizedClient, Credentials, ResponseHead},
    proto::event_stream::Event,
    token_source::TokenSource,
};

#[cfg(any(feature = "reqwest-middleware", feature = "tower"))]
use crate::mutex::lock;

/// A request, and copies of it for retries as long as it can be copied.
#[cfg(any(feature = "reqwest-middleware", feature = "tower"))]
struct Copies<T, C> {
    next: std::sync::Mutex<Option<T>>,
    copy: C,
}

#[cfg(any(feature = "reqwest-middleware", feature = "tower"))]
impl<T, C: Fn(&T) -> Option<T>> Copies<T, C> {
    fn new(first: T, copy: C) -> Self {
        Self {
            next: std::sync::Mutex::new(Some(first)),
            copy,
        }
    }

    /// Returns the request to send now, and keeps a copy of it if possible.
    fn take(&self) -> Option<T> {
        let mut next = lock(&self.next);
        let now = next.take()?;
        *next = (self.copy)(&now);
        Some(now)
    }

    /// Returns whether there is a copy to send again.
    fn has_copy(&self) -> bool {
        lock(&self.next).is_some()
    }
}
