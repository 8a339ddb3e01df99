//! The authorization layer for clients of the Model Context Protocol (MCP): server URL in,
//! authorized requests out.
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
//! let answer = mcp.get("https://mcp.example.com/mcp/notes".parse()?).send().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # One way through
//!
//! | step | function | brings |
//! |---|---|---|
//! | 1 | [`discover`] | who issues tokens for this server: [`Discovery`] |
//! | 2 | [`identify`] | who we are there: [`ClientIdentity`] |
//! | 3-4 | [`grant::choose`], [`grant::Grant::obtain`] | [`TokenSet`](proto::token::TokenSet) |
//! | 5 | [`TokenStore`] | a [`Record`](store::Record) that survives crashes and other processes |
//! | 6 | [`Session`] | a token that is good now; [`InteractiveSession`] asks a person where it must |
//! | 7 | [`Authorized`] | requests that carry it |
//!
//! [`login()`] is all of it in a dozen lines: read it first. [`Client`] is the front door for
//! several servers. Each step can be used alone, and so can the pure functions of [`proto`].
//!
//! # What it does not do
//!
//! It does not start or stop MCP servers, does not speak stdio, and has no opinion on which HTTP
//! client an application uses: [`Authorized::send`] works with any, and [`adapters`] are for some.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `keychain` | yes | the keychain of the system as the place of the key of encrypted files |
//! | `sealed-file` | yes | encrypted files as a store |
//! | `reqwest` | yes | an HTTP client with the network policy |
//! | `browser` | yes | the person's own browser |
//! | `mcp` | no | `mcp`: an `rmcp` client over authorized requests |
//! | `reqwest-middleware` | no | [`adapters`]: tokens for a chain of `reqwest-middleware` |
//! | `rmcp-credentials` | no | [`adapters`]: the credentials of `rmcp` in our stores |
//! | `testing` | no | `testing`: a clock, a network and a person for tests |
//! | `tower` | no | [`adapters`]: tokens for any client that is a `tower::Service` |
//! | `websocket` | no | [`adapters`]: tokens for the sockets of `tokio-tungstenite` |
//! | `vault` | no | HashiCorp Vault or OpenBao as a store that several hosts share |
//!
//! Without `reqwest` or `browser`, give [`platform::Platform::new`] your own.

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
    ANSWER_DEADLINE, ANSWER_LIMIT, EventStream, McpBody, McpResponse, McpResponseError,
    reconnect_delay,
};
pub use secret::Secret;
pub use server_url::ServerUrl;
pub use session::{Session, TokenSource, refresh};
pub use store::TokenStore;

/// The program in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// So do those in the guide.
#[cfg(all(
    doctest,
    feature = "mcp",
    feature = "reqwest-middleware",
    feature = "tower",
    feature = "websocket"
))]
#[doc = include_str!("../../../docs/guide.md")]
struct Guide;
