//! The side of the server: the client's session with it, and the recovery when the session ends, the
//! server restarts, or the network fails.
//!
//! [`state`] holds the state of the session, and [`http`] sends one message and reads the response.
//! [`notification`] sends a message without a response, and [`retry`] limits the retries. [`initialize`]
//! starts a session, [`event_stream`] opens its stream, and [`session`] manages it to its end. [`request`]
//! sends a request and waits for its response; [`stream`] receives the messages that the server sends on
//! its own.

mod event_stream;
mod http;
mod initialize;
mod notification;
mod request;
mod retry;
mod session;
mod state;
mod stream;

pub(crate) use http::SESSION;
pub(crate) use state::{InitializedAction, Upstream};
