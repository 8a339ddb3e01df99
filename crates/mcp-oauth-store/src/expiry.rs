//! The time when an entry expires, by the clock of this system.

use std::time::{Duration, SystemTime};

use mcp_oauth_support::system_time;

/// The time when an entry expires, or never.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Expiry(Option<SystemTime>);

impl Expiry {
    /// Returns the end of a lifetime that begins now. A time that the system cannot represent is never.
    pub(crate) fn after(lifetime: Option<Duration>) -> Self {
        Self(lifetime.and_then(|lifetime| system_time::now().checked_add(lifetime)))
    }

    /// Returns the expiry with this number of milliseconds since 1970.
    pub(crate) fn from_millis(millis: Option<u64>) -> Self {
        let time = |millis| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
        Self(millis.and_then(time))
    }

    /// Returns the number of milliseconds since 1970.
    pub(crate) fn as_millis(self) -> Option<u64> {
        let since = self.0?.duration_since(SystemTime::UNIX_EPOCH);
        let millis = since.unwrap_or_default().as_millis();
        Some(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    /// Returns whether the entry expires at all.
    pub(crate) fn is_limited(self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn is_over(self) -> bool {
        self.0.is_some_and(|end| end <= system_time::now())
    }

    /// Returns the time that is left; `None` if it never expires.
    pub(crate) fn remaining(self) -> Option<Duration> {
        let end = self.0?;
        Some(end.duration_since(system_time::now()).unwrap_or_default())
    }
}
