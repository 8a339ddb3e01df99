//! The status of a login: as text for users, and as one term for programs.

use std::time::{Duration, SystemTime};

use mcp_client_oauth::store::Record;

use crate::ui::{BAD, GOOD, WARN};

/// The status of a login.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Status {
    /// The access token is valid for this long; none if the server gave no expiry.
    Valid(Option<Duration>),
    /// The access token expired this long ago, and the next use gets a new one.
    Refreshable(Duration),
    /// The access token expired this long ago, and a login is needed for a new one.
    Expired(Duration),
}

impl Status {
    pub(crate) fn of(record: &Record, now: SystemTime) -> Self {
        Self::at(record.tokens.expires_at, record.is_refreshable(), now)
    }

    /// Returns the status of an access token that expires at `end`.
    pub(crate) fn at(end: Option<SystemTime>, is_refreshable: bool, now: SystemTime) -> Self {
        let Some(end) = end else {
            return Self::Valid(None);
        };
        match now.duration_since(end) {
            Err(left) => Self::Valid(Some(left.duration())),
            Ok(ago) if is_refreshable => Self::Refreshable(ago),
            Ok(ago) => Self::Expired(ago),
        }
    }

    /// Returns the status for programs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Valid(_) => "valid",
            Self::Refreshable(_) => "refreshable",
            Self::Expired(_) => "expired",
        }
    }

    /// Returns the status for users, without colour.
    pub(crate) fn words(self) -> String {
        match self {
            Self::Valid(None) => "valid, no expiry known".to_owned(),
            Self::Valid(Some(left)) => format!("valid for {}", words(left)),
            Self::Refreshable(ago) => format!("expired {} ago, refreshable", words(ago)),
            Self::Expired(ago) => format!("expired {} ago, login needed", words(ago)),
        }
    }

    /// Returns the status for users, with colour.
    pub(crate) fn colored(self) -> String {
        let style = match self {
            Self::Valid(_) => GOOD,
            Self::Refreshable(_) => WARN,
            Self::Expired(_) => BAD,
        };
        format!("{style}{}{style:#}", self.words())
    }
}

/// Formats a duration, to two units.
pub(crate) fn words(duration: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let mut rest = duration.as_secs();
    let mut parts = Vec::new();
    for (seconds, unit) in UNITS {
        let count = rest / seconds;
        rest %= seconds;
        if count > 0 || (unit == "s" && parts.is_empty()) {
            parts.push(format!("{count} {unit}"));
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    parts.join(" ")
}

/// Formats a time by RFC 3339, in UTC.
pub(crate) fn moment(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_status_says_whether_a_login_is_needed() {
        for (expires_at, refresh, words) in [
            (None, false, "valid, no expiry known"),
            (Some(1720), false, "valid for 12 min"),
            (Some(820), true, "expired 3 min ago, refreshable"),
            (Some(820), false, "expired 3 min ago, login needed"),
            (Some(1000), true, "expired 0 s ago, refreshable"),
        ] {
            assert_eq!(
                Status::at(expires_at.map(at), refresh, at(1000)).words(),
                words
            );
        }
    }

    #[test]
    fn a_duration_has_at_most_two_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (61, "1 min 1 s"),
            (3600, "1 h"),
            (3601, "1 h"),
            (7500, "2 h 5 min"),
            (90_061, "1 d 1 h"),
        ] {
            assert_eq!(words(Duration::from_secs(seconds)), text, "{seconds}");
        }
    }
}
