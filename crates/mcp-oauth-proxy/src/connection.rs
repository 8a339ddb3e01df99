//! The connection to the server. It sends each request with the token if there is one; where a login is
//! needed, it starts the login and reports it to the client.
//!
//! [`state`] holds the tokens and the login in progress, [`login`] runs a login, [`client_login`] requests
//! it through the client, and [`send`] sends requests.

mod client_login;
mod login;
mod login_state;
mod notifier;
mod other_login;
mod redact_body;
mod send;
mod state;
mod tracked_tokens;

pub(crate) use client_login::{Outcome, Step, Waiting};
pub(crate) use login_state::Opener;
pub(crate) use send::Outgoing;
pub(crate) use state::{ConnectionConfig, ServerConnection};
