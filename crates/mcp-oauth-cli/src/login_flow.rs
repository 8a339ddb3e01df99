//! Logins, for the commands that log in: `login` itself, and `proxy` beside the calls.

mod flow;
mod options;
mod resolve;

pub(crate) use flow::{DEVICE_CODE, LoginFlow};
pub(crate) use options::{options, prepared};
pub(crate) use resolve::meant;
