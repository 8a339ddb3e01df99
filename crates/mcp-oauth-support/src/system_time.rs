//! The time of the operating system: the only file that reads it.

use std::time::SystemTime;

/// Returns the current time.
#[expect(
    clippy::disallowed_methods,
    reason = "`SystemClock` and the lifetimes of stored entries are based on this"
)]
pub fn now() -> SystemTime {
    SystemTime::now()
}
