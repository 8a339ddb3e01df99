//! The login, for the commands that log in: `login`, and `proxy` while it serves.

mod options;
mod resolve;

pub(crate) use options::options;
pub(crate) use resolve::resolve;
