//! The way to the server: every request goes out with the token if there is one; where a person must
//! log in, that is begun, and said.

mod blot;
mod login;
mod login_state;
mod send;
mod state;
mod tracked_tokens;

pub(crate) use send::Outgoing;
pub(crate) use state::{Door, Terms};
