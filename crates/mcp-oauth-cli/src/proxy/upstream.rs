//! The server's side: the session that the client has there, and what is done when it ends, the server
//! restarts, or the network is gone.
//!
//! [`state`] is how far the client has come, [`session`] what brings it further; [`initialize`] begins a
//! session, [`request`] is a request to its answer, [`notification`] a message without one, [`stream`]
//! what the server says of its own accord, [`http`] one message there and back.

mod event_stream;
mod http;
mod initialize;
mod notification;
mod request;
mod retry;
mod session;
mod state;
mod stream;

pub(super) use state::{Confirmation, Upstream};
