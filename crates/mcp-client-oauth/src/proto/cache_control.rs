//! The freshness lifetime of a response (RFC 9111 §4.2, §5.2), at most a day.

use std::time::Duration;

use http::{HeaderMap, header};

/// Metadata is requested again after a day, even if the server allows more.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns how long the response with these headers is fresh: zero unless a header allows more.
pub(crate) fn lifetime(headers: &HeaderMap) -> Duration {
    let directives: Vec<String> = headers
        .get_all(header::CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|directive| directive.trim().to_ascii_lowercase())
        .collect();
    if directives
        .iter()
        .any(|directive| directive == "no-store" || directive == "no-cache")
    {
        return Duration::ZERO;
    }
    let max_age = directives
        .iter()
        .find_map(|directive| directive.strip_prefix("max-age="));
    let Some(max_age) = max_age.map(seconds) else {
        return Duration::ZERO;
    };
    let age = headers
        .get(header::AGE)
        .and_then(|value| value.to_str().ok())
        .map_or(0, seconds);
    Duration::from_secs(max_age.saturating_sub(age)).min(LONGEST)
}

/// Parses digits, perhaps quoted; a number that is too large is `u64::MAX`, and any other text is 0.
fn seconds(text: &str) -> u64 {
    let text = text.trim().trim_matches('"');
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return 0;
    }
    text.parse().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_that_of_the_headers_and_at_most_a_day() {
        for (cache_control, age, expected) in [
            ("max-age=60", "", 60),
            ("public, Max-Age=\"60\"", "20", 40),
            ("max-age=60", "90", 0),
            ("max-age=99999999999999999999", "", 86_400),
            ("max-age=1e12", "", 0),
            ("max-age=-1", "", 0),
            ("no-store, max-age=60", "", 0),
            ("", "", 0),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CACHE_CONTROL, cache_control.parse().unwrap());
            if !age.is_empty() {
                headers.insert(header::AGE, age.parse().unwrap());
            }
            assert_eq!(
                lifetime(&headers).as_secs(),
                expected,
                "{cache_control} / {age}"
            );
        }
    }
}
