//! The hint of a failure: the exact command to run, where there is one.

mod errors;
mod general;
mod non_interactive;
mod proposal;
mod similar;
mod storage;
mod subject;
mod typed;

pub(crate) use errors::{forced_login, hint_of, login_with, unknown_name_hint};
pub(crate) use similar::similar;
pub(crate) use subject::Subject;
