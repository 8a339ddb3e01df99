//! OAuth 2.1 for clients of the Model Context Protocol (MCP): give it a server URL, and send authorized
//! requests.
//!
//! ```no_run
//! use std::sync::Arc;
//! use mcp_client_oauth::{Authorized, LoginOptions, ServerUrl, TokenStore, login, platform::Platform};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let platform = Platform::system();
//! let store = TokenStore::open("file:")?;                       // encrypted files
//! let server: ServerUrl = "https://mcp.example.com/mcp".parse()?;
//!
//! let session = login(&platform, &store, &server, &LoginOptions::default()).await?;
//!
//! let mcp = Authorized::new(platform, Arc::new(session));       // refreshes by itself
//! let response = mcp.get("https://mcp.example.com/mcp/notes".parse()?).send().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Steps
//!
//! | step | item | result |
//! |---|---|---|
//! | 1 | [`discover`] | the authorization server of this MCP server: [`Discovery`] |
//! | 2 | [`identify`] | the client that is registered there: [`ClientIdentity`] |
//! | 3-4 | [`grant::select`], [`grant::Grant::request_tokens`] | [`TokenSet`](proto::token::TokenSet) |
//! | 5 | [`TokenStore`] | a [`Record`](store::Record) that survives crashes and concurrent processes |
//! | 6 | [`Session`] | a valid token; [`InteractiveSession`] logs in again when that is necessary |
//! | 7 | [`Authorized`] | requests with the token |
//!
//! [`login()`] runs steps 1 to 5: read it first. [`Client`] manages the sessions of several servers. Each
//! step can be used alone, and so can the pure functions of [`proto`].
//!
//! # What it does not do
//!
//! It does not start or stop MCP servers, and it does not speak stdio. It works with any HTTP client:
//! [`Authorized::send`] takes a closure, and there are [`adapters`] for some clients.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `keychain` | yes | the system's keychain, for the key of encrypted files |
//! | `encrypted-file` | yes | encrypted files as a store |
//! | `reqwest` | yes | an HTTP client with the address policy |
//! | `browser` | yes | opens the user's browser |
//! | `mcp` | no | `mcp`: an `rmcp` client that sends tokens |
//! | `reqwest-middleware` | no | [`adapters`]: tokens for a chain of `reqwest-middleware` |
//! | `rmcp-credentials` | no | [`adapters`]: the credentials of `rmcp` in the stores of this crate |
//! | `testing` | no | `testing`: test doubles of the clock, the network and the user interaction |
//! | `tower` | no | [`adapters`]: tokens for any client that is a `tower::Service` |
//! | `websocket` | no | [`adapters`]: tokens for the sockets of `tokio-tungstenite` |
//!
//! Without `reqwest` or `browser`, pass your own implementation to [`platform::Platform::new`].

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod adapters;
mod authorized;
mod client;
mod client_registration;
mod discovery;
mod dpop;
pub mod error;
pub mod grant;
mod interactive;
mod login;
mod logout;
#[cfg(feature = "mcp")]
pub mod mcp;
mod mutex;
mod non_interactive;
pub mod platform;
pub mod proto;
mod quirks;
pub mod redact;
mod response;
mod secret;
mod server_url;
mod session;
pub mod store;
mod system_time;
#[cfg(feature = "testing")]
pub mod testing;
mod token_request;

pub use authorized::{Authorized, AuthorizedRequest, Credentials};
pub use client::{Client, Ensured};
pub use client_registration::{
    CLIENT_NAME, ClientIdentity, IdentityOptions, PreregisteredClient, RegisteredClient,
    RegisteredScope, identify, identify_non_interactive, register,
};
pub use discovery::{Discovery, DiscoveryOptions, DiscoverySource, discover};
pub use dpop::{DpopProof, ProofGenerator};
pub use error::{Error, Remedy};
pub use interactive::InteractiveSession;
pub use login::{DpopPolicy, LoginOptions, login};
pub use logout::{Logout, RevocationOutcome, logout, revoke};
pub use non_interactive::{
    IdentityProvider, NonInteractiveGrant, RecordedGrant, RecordedIdentityProvider,
};
pub use quirks::{IssuerAlias, Quirks, ResourceParameter};
pub use response::{
    EventStream, McpBody, McpResponse, McpResponseError, RESPONSE_DEADLINE, RESPONSE_LIMIT,
    reconnect_delay,
};
pub use secret::Secret;
pub use server_url::ServerUrl;
pub use session::{Session, TokenSource, refresh};
pub use store::TokenStore;

/// Compiles the program in the README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// Compiles the programs in the guide.
#[cfg(all(
    doctest,
    feature = "mcp",
    feature = "reqwest-middleware",
    feature = "tower",
    feature = "websocket"
))]
#[doc = include_str!("../../../docs/guide.md")]
struct Guide;
