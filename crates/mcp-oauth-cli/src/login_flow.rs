//! The login, for the commands that log in: `login`, and `proxy` while it serves.

mod flow;
mod options;
mod resolve;

pub(crate) use flow::{DEVICE_CODE, LoginFlow, with_fitting_grant};
pub(crate) use options::{options, resolve_with_options};
pub(crate) use resolve::resolve;
