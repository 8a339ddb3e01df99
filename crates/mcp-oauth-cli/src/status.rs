//! How tokens are at a moment: in words for people, in one word for programs.

use std::time::{Duration, SystemTime};

use mcp_client_oauth::store::Record;

use crate::ui::{BAD, GOOD, WARN};

/// Says how a login is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Status {
    /// The access token is good for so long; none if the server named no end.
    Valid(Option<Duration>),
    /// The access token has ended so long ago, and the next use gets a new one.
    Refreshable(Duration),
    /// The access token has ended so long ago, and there is nothing to get a new one with.
    Expired(Duration),
}

impl Status {
    pub(crate) fn of(record: &Record, now: SystemTime) -> Self {
        Self::at(record.tokens.expires_at, record.is_refreshable(), now)
    }

    /// Of an access token that ends then.
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

    /// For programs.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Valid(_) => "valid",
            Self::Refreshable(_) => "refreshable",
            Self::Expired(_) => "expired",
        }
    }

    /// For people, without colour.
    pub(crate) fn words(self) -> String {
        match self {
            Self::Valid(None) => "valid, no end known".to_owned(),
            Self::Valid(Some(left)) => format!("valid for {}", words(left)),
            Self::Refreshable(ago) => format!("expired {} ago, refreshable", words(ago)),
            Self::Expired(ago) => format!("expired {} ago, login needed", words(ago)),
        }
    }

    /// For people.
    pub(crate) fn colored(self) -> String {
        let style = match self {
            Self::Valid(_) => GOOD,
            Self::Refreshable(_) => WARN,
            Self::Expired(_) => BAD,
        };
        format!("{style}{}{style:#}", self.words())
    }
}

/// Returns a length of time, to two units.
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

/// Returns a moment as RFC 3339 has it, in UTC.
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
    fn the_words_tell_what_will_happen() {
        for (expires_at, refresh, words) in [
            (None, false, "valid, no end known"),
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
    fn a_length_of_time_has_two_units() {
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
