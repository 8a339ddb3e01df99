//! OAuth 2.1 for clients of the Model Context Protocol (MCP): give it a server URL, and send authorized
//! requests.
//!
//! ```no_run
//! # async fn run() -> Result<(), mcp_client_oauth::Error> {
//! use mcp_client_oauth::Client;
//!
//! let client = Client::new().await?;
//! let session = client.login("https://mcp.example.com/mcp").await?;   // a stored login, or the browser
//! let notes = session.get("notes").send().await?;                     // refreshes and retries on 401
//! # Ok(())
//! # }
//! ```
//!
//! | item | what it does |
//! |---|---|
//! | [`Client`] | logs in, opens stored logins, lists them, logs out |
//! | [`Login`] | the options of one login: account, scope, [`Grant`], client ID |
//! | [`Session`] | authorized requests, the header alone, a token |
//! | [`TokenStore`] | where tokens are stored; the crate `mcp-oauth-store` has the stores, and the trait of a store of your own |
//! | [`Error`], [`Remedy`] | what failed, and what to do about it |
//! | [`adapters`] | tokens for other HTTP stacks and `rmcp`; more in the crate `mcp-oauth-adapters` |
//! | [`platform`] | the interfaces to the outside: network, clock, interaction with the user |
//! | [`flow`] | each step of a login alone |
//!
//! # What it does not do
//!
//! It does not start or stop MCP servers, and it does not speak stdio. It works with any HTTP client:
//! [`Session::send`] takes a closure, and there are [`adapters`] for some clients.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `keychain` | yes | the system's keychain, for the key of encrypted files |
//! | `encrypted-file` | yes | encrypted files as a store |
//! | `reqwest` | yes | an HTTP client with the address policy |
//! | `browser` | yes | opens the user's browser |
//! | `mcp` | no | [`adapters`]: an `rmcp` client that sends tokens |
//!
//! The crate `mcp-oauth-testing` has test doubles of the clock, the network and the user interaction.
//! Without `reqwest` or `browser`, pass your own implementation: [`Client::with_platform`].

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod adapters;
mod authorized_client;
mod client;
mod client_registration;
mod discovery;
mod dpop;
pub mod error;
pub mod flow;
#[cfg(any(test, fuzzing))]
pub mod fuzz_targets;
mod grant;
mod login;
mod logout;
pub mod platform;
mod proto;
mod quirks;
mod server_url;
pub mod store;
mod stored_session;
mod token_request;
mod token_source;

pub use authorized_client::RequestBuilder;
#[cfg(all(feature = "reqwest", feature = "browser"))]
pub use client::ClientBuilder;
pub use client::{Client, Login, Session};
pub use error::{Error, Remedy};
pub use grant::{Grant, IdentityProvider};
pub use logout::{Logout, RevocationOutcome};
pub use mcp_oauth_support::Secret;
pub use platform::AssertionSource;
pub use server_url::ServerUrl;
pub use store::{LoginKey, TokenStore};
