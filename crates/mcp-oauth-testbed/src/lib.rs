//! An OAuth 2.1 authorization server and an MCP server on loopback, true to the specifications,
//! with faults by value.
//!
//! The testbed shares no code with the client: a field that one side misspells cannot pass on both.
//! It has one user, who approves what a person (or [`person`], playing one) approves on the consent
//! page; it keeps everything in memory; and it listens on 127.0.0.1 alone.
//!
//! ```
//! use mcp_oauth_testbed::{Endpoint, Fault, Corruption, Testbed};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let testbed = Testbed::start().await?;
//! testbed.set_fault(Fault::Corruption(Endpoint::ServerMetadata, Corruption::Html));
//! assert!(testbed.server_url().as_str().ends_with("/mcp"));
//! # Ok(())
//! # }
//! ```
//!
//! What it is not: a server for anything but tests and demonstrations. It has no TLS and no store.
//!
//! | module | what it holds |
//! |---|---|
//! | `authorization_server` | metadata, registration, consent, tokens, revocation, further grants |
//! | `jose`, `dpop` | keys, signed tokens, proofs of possession |
//! | `mcp_server` | the challenge, its metadata, both wires, four tools, a REST route, a WebSocket |
//! | [`Fault`] | what they do wrong on command |
//! | [`Recorded`] | what they saw |
//! | [`person`] | the person and the browser, over HTTP |

mod authorization_server;
mod builder;
mod clock;
mod corruption;
mod dpop;
mod faults;
mod identities;
mod jose;
mod mcp_server;
mod middleware;
mod random;
mod request_log;
mod serve;
mod settings;
mod state;
pub mod test_user;
mod testbed;

pub use builder::Builder;
pub use dpop::proof::DpopProof;
pub use faults::{Corruption, Endpoint, Fault};
pub use jose::key::{Algorithm, KeyError, KeyPair, PublicKey};
pub use request_log::{Peer, Recorded};
pub use settings::forms::{Answers, Legacy, MetadataForm, PrmForm, Wire};
pub use settings::grants::{DpopPolicy, Machine};
pub use state::token_store::tokens::{IssuedToken, TokenFamily};
pub use testbed::Testbed;
