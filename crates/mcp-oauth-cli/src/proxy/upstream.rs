//! The server's side: the session that the client has there, and what is done when it ends, the server
//! restarts, or the network is gone.
//!
//! [`state`] holds how far the client has come, and [`http`] carries one message there and back.
//! [`notification`] sends a message that gets no response, and [`retry`] says how often. [`initialize`]
//! begins a session, [`event_stream`] opens its stream, and [`session`] leads it from its begin to its
//! end. [`request`] is a request with its response, [`stream`] what the server says of its own accord.

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
