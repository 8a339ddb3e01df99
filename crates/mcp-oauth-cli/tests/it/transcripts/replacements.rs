//! Replaces what differs from run to run, and makes long URLs short.

use regex::Regex;

use crate::support::Home;

/// A pattern, and its replacement.
const RULES: [(&str, &str); 13] = [
    // The ports of `demo`, and of a redirect.
    (r"http://127\.0\.0\.1:\d+/mcp", "http://127.0.0.1:8001/mcp"),
    (
        r"http://127\.0\.0\.1:\d+/callback",
        "http://127.0.0.1:8003/callback",
    ),
    (r"http://127\.0\.0\.1:\d{5}", "http://127.0.0.1:8002"),
    // The query is long.
    (r"/authorize\?[^\s\x1b]+", "/authorize?…"),
    // Random names, and redacted tokens.
    (r"client_[A-Za-z0-9_-]{20,}", "client_…"),
    (r"[A-Za-z0-9_-]{4}…[A-Za-z0-9_-]{4}", "uN4x…Wq7c"),
    (r"mcp-oauth-demo-\w{6}", "mcp-oauth-demo-7Kq2Xw"),
    (r"[a-z0-9]{26,}\.enc", "….enc"),
    // Times.
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "2026-01-31T12:00:00Z"),
    (r"\d+ min \d+ s", "59 min 59 s"),
    (r"valid for \d s", "valid for 2 s"),
    (r"expired \d s ago", "expired 0 s ago"),
    // The URL of the server is one character longer in the documentation, so its column is wider.
    (r"SERVER {3}", "SERVER    "),
];

/// The replacements in what one shell shows.
pub(super) struct Replacements {
    /// The origins of the testbed, and the home.
    names: Vec<(String, String)>,
    rules: Vec<(Regex, &'static str)>,
}

impl Replacements {
    pub(super) fn new(home: &Home, server: &str) -> Self {
        let origin = home.testbed.server_url().origin().ascii_serialization();
        let directory = home.path("").display().to_string();
        let directory = directory.trim_end_matches('/').to_owned();
        let names = [
            (origin, server),
            (home.testbed.issuer(), "https://auth.example.com"),
            (directory, "~"),
        ];
        let names = names.map(|(name, shown)| (name, shown.to_owned())).into();
        let rules = RULES.map(|(pattern, shown)| (Regex::new(pattern).unwrap(), shown));
        Self {
            names,
            rules: rules.into(),
        }
    }

    pub(super) fn apply(&self, text: &str) -> String {
        let names = self.names.iter();
        let text = names.fold(text.to_owned(), |text, (name, shown)| {
            text.replace(name, shown)
        });
        let rules = self.rules.iter();
        rules.fold(text, |text, (pattern, shown)| {
            pattern.replace_all(&text, *shown).into_owned()
        })
    }
}
