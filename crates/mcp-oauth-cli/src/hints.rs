//! What to do about a failure: the exact command where there is one.

mod errors;
mod general;
mod machine;
mod proposal;
mod similar;
mod storage;
mod subject;
mod typed;

pub(crate) use errors::{forced_login, hint_of, login_with, unknown_name_hint};
pub(crate) use similar::similar;
pub(crate) use subject::Subject;
