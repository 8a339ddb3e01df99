//! Tokens for other HTTP stacks.
//!
//! [`send`] authorizes the requests of any HTTP client, and [`rmcp`] is an MCP client. The crate
//! `mcp-oauth-adapters` has more: tower, `reqwest-middleware`, `WebSockets`, the credentials of `rmcp`, and the
//! events of a streamed response.
//!
//! An adapter takes a [`Session`](crate::Session), or any other [`TokenSource`]. It sends a token to its
//! resource only (RFC 8707 §1), replaces it once if it is refused, requests a wider scope if the source can,
//! and sends a request again only if its body can be copied.

#[cfg(feature = "mcp")]
pub mod rmcp;

pub use crate::{
    authorized_client::{Credentials, ResponseHead, send},
    token_source::TokenSource,
};
