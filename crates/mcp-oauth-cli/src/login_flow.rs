//! The login, for the commands that log in: `login`, and `proxy` while it serves.

mod options;
mod resolve;

pub(crate) use options::{LoginOptions, options};
pub(crate) use resolve::resolve;
