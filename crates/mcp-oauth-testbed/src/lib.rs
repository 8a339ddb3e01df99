//! An OAuth 2.1 authorization server and an MCP server on loopback. They follow the specifications,
//! and a test can switch on faults.
//!
//! The testbed shares no code with the client: a field name that one of them misspells fails in the
//! other. It has one user, who decides on the consent page (in tests [`test_user`] does this); it keeps
//! everything in memory; and it listens only on 127.0.0.1.
//!
//! ```
//! use mcp_oauth_testbed::{Endpoint, Fault, Corruption, Testbed};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let testbed = Testbed::start().await?;
//! testbed.set_fault(Fault::Corrupt(Endpoint::ServerMetadata, Corruption::Html));
//! assert!(testbed.server_url().as_str().ends_with("/mcp"));
//! # Ok(())
//! # }
//! ```
//!
//! Use it for tests and demonstrations only. It has no TLS and no persistent store.
//!
//! | module | content |
//! |---|---|
//! | [`Fault`] | deviations from the specifications, for tests |
//! | `jose` | keys and signed tokens |
//! | [`RecordedRequest`] | the log of received requests |
//! | `settings` | the settings of a testbed |
//! | `state` | the state of the servers: clients, codes, tokens, nonces, sessions, streams |
//! | `dpop` | DPoP proofs, and their checks |
//! | `authorization_server` | metadata, registration, consent, tokens, revocation, further grants |
//! | `mcp_server` | challenge, metadata, all protocol revisions, four tools, REST route, WebSocket |
//! | `middleware` | the request log and the faults, for every request and response |
//! | [`Testbed`] | the running servers |
//! | [`Builder`] | the setup of a testbed |
//! | [`test_user`] | the user and the browser, over HTTP |
//!
//! A file uses only files of the rows above it; there are no cycles.

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
pub use request_log::{Peer, RecordedRequest};
pub use settings::forms::{Legacy, MetadataForm, PrmForm, ProtocolEra, ResponseForm};
pub use settings::grants::{ConfidentialClient, DpopPolicy};
pub use state::token_store::tokens::{IssuedToken, TokenFamily};
pub use testbed::Testbed;
