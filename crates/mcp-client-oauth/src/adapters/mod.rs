//! Where our tokens go into other people's HTTP: each file is one stack, behind a feature of its own.
//!
//! | module | for |
//! |---|---|
//! | `tower` | any client that is a `tower::Service` of `http::Request` |
//! | `reqwest_middleware` | a chain of `reqwest-middleware` |
//! | `websocket` | the opening handshake of `tokio-tungstenite` |
//! | `rmcp_credentials` | the `AuthorizationManager` of `rmcp`, over our stores |
//!
//! All of them send a token nowhere but to its resource (H90), get another one once when it is
//! refused, ask for a wider scope where the source can, and send a request again only if there is a
//! copy of it (H95). For a stack that is not here there is [`Authorized::send`](crate::Authorized::send).

#[cfg(feature = "reqwest-middleware")]
pub mod reqwest_middleware;
#[cfg(feature = "rmcp-credentials")]
pub mod rmcp_credentials;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "websocket")]
pub mod websocket;

#[cfg(any(feature = "reqwest-middleware", feature = "tower"))]
use crate::mutex::lock;

/// A request that is sent, and sent again as long as there was a copy of it.
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

    /// Returns what to send now, with a copy of it left behind if there can be one.
    fn take(&self) -> Option<T> {
        let mut next = lock(&self.next);
        let now = next.take()?;
        *next = (self.copy)(&now);
        Some(now)
    }

    /// Returns whether there is something to send again.
    fn are_left(&self) -> bool {
        lock(&self.next).is_some()
    }
}
