//! The handling of each line that the client writes.
//!
//! [`state`] holds the client's side, [`lines`] handles a line, [`session`] opens the session, [`requests`]
//! sends a request and responds if the server does not, and [`log_in`] lets the client show a login.

mod lines;
mod log_in;
mod requests;
mod session;
mod state;

pub(crate) use state::McpClient;
