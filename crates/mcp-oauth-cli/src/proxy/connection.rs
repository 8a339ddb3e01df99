//! The connection to the server: every request goes out with the token if there is one; where the user
//! must log in, that login is begun, and the client is told.
//!
//! [`state`] holds the tokens and the login in progress, [`login`] runs a login, and [`send`] sends.

mod login;
mod login_state;
mod redact_body;
mod send;
mod state;
mod tracked_tokens;

pub(crate) use send::Outgoing;
pub(crate) use state::{ConnectionConfig, ServerConnection};
