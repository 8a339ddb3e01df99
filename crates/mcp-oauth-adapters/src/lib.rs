//! The tokens of [`mcp_client_oauth`] for other HTTP stacks. Each module is one stack, behind its own feature.
//!
//! | module | feature | for |
//! |---|---|---|
//! | [`tower`] | `tower` | any client that is a `tower::Service` of `http::Request` |
//! | [`reqwest_middleware`] | `reqwest-middleware` | a chain of `reqwest-middleware` |
//! | [`websocket`] | `websocket` | the opening handshake of `tokio-tungstenite` |
//! | [`rmcp_credentials`] | `rmcp-credentials` | the `AuthorizationManager` of `rmcp`, over the stores of `mcp-client-oauth` |
//!
//! An adapter takes a [`Session`](mcp_client_oauth::Session), or any other
//! [`TokenSource`](mcp_client_oauth::adapters::TokenSource). It sends a token to its resource only (RFC 8707
//! §1), replaces it once if it is refused, requests a wider scope if the source can, and sends a request again
//! only if its body can be copied. For another stack use
//! [`Session::send`](mcp_client_oauth::Session::send). An [`EventStream`] reads the events of a streamed
//! response.

#[cfg(any(feature = "reqwest-middleware", feature = "tower"))]
mod copies;
mod event_stream;
#[cfg(any(test, fuzzing))]
pub mod fuzz_targets;
#[cfg(feature = "reqwest-middleware")]
pub mod reqwest_middleware;
#[cfg(feature = "rmcp-credentials")]
pub mod rmcp_credentials;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "websocket")]
pub mod websocket;

pub use event_stream::{Event, EventStream};
