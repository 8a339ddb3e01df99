//! Untrusted text, made safe to show (CWE-150, CWE-117): all text of a server becomes this type before it
//! reaches a terminal, a log or an error message.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::redact::Redactor;

/// The number of characters that are kept of an untrusted text.
const SHOWN: usize = 256;
/// Replaces the text that was cut off.
const CUT: char = '…';

/// A text of a third party. `Display` escapes control and direction-changing characters, and a text of more
/// than 256 characters is cut when it is wrapped.
///
/// ```
/// use mcp_oauth_support::UntrustedText;
///
/// assert_eq!(UntrustedText::new("no \u{1b}[2Jway").to_string(), "no \\u{1b}[2Jway");
/// ```
#[derive(Clone, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(from = "String", into = "String")]
pub struct UntrustedText(String);

impl UntrustedText {
    /// Wraps a text, cut to 256 characters.
    pub fn new(text: &str) -> Self {
        let mut kept: String = text.chars().take(SHOWN).collect();
        if kept.len() < text.len() {
            kept.push(CUT);
        }
        Self(kept)
    }

    /// Returns the received text (cut, not escaped), for comparisons. Never show it.
    pub fn as_raw(&self) -> &str {
        &self.0
    }

    /// Redacts `secrets`: some servers echo the request (CWE-532).
    #[must_use]
    pub fn redact(&self, secrets: &[&str]) -> Self {
        let redactor = Redactor::new(secrets);
        match self.0.strip_suffix(CUT) {
            Some(beginning) => Self::new(&format!("{}{CUT}", redactor.redact_cut(beginning))),
            None => Self::new(&redactor.redact(&self.0)),
        }
    }

    /// Escapes a text of several lines as `Display` does, but does not cut it. Lines stay lines.
    ///
    /// ```
    /// use mcp_oauth_support::UntrustedText;
    ///
    /// assert_eq!(UntrustedText::escape_lines("a\u{1b}[2J\r\nb"), "a\\u{1b}[2J\nb");
    /// ```
    pub fn escape_lines(text: &str) -> String {
        let lines: Vec<String> = text.lines().map(escape).collect();
        lines.join("\n")
    }

    /// Returns whether `c` is safe to show: it cannot move the cursor, hide text or change its direction.
    pub fn is_safe(c: char) -> bool {
        let is_dangerous = c.is_control()
            || matches!(c,
                '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{061c}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
        !is_dangerous
    }
}

fn escape(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if UntrustedText::is_safe(c) {
            shown.push(c);
        } else {
            shown.extend(c.escape_unicode());
        }
    }
    shown
}

impl fmt::Display for UntrustedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.0))
    }
}

impl fmt::Debug for UntrustedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl From<String> for UntrustedText {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<UntrustedText> for String {
    fn from(text: UntrustedText) -> Self {
        text.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_that_moves_the_cursor_is_shown() {
        let hostile =
            "\u{1b}]8;;http://evil\u{7}click\u{1b}]8;;\u{7}\r\n\u{8}\u{9b}2J\u{202e}x\u{feff}";
        let shown = UntrustedText::new(hostile).to_string();
        assert!(shown.chars().all(UntrustedText::is_safe), "{shown}");
        assert!(shown.contains("click"));
    }

    #[test]
    fn control_characters_are_escaped_and_lines_stay_lines() {
        let long = "x".repeat(600);
        let text = UntrustedText::escape_lines(&format!("a\u{1b}[2J\nb\r\n{long}"));
        assert!(!text.contains('\u{1b}') && !text.contains('\r'));
        assert!(text.starts_with("a\\u{1b}[2J\nb\n") && text.ends_with(&long));
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(
            UntrustedText::new(&"x".repeat(10_000))
                .to_string()
                .chars()
                .count(),
            SHOWN + 1
        );
    }

    #[test]
    fn a_secret_is_redacted_even_where_it_was_cut() {
        let secret = "planted-refresh-token-0123456789";
        let clean = |text: &str| {
            UntrustedText::new(text)
                .redact(&["abc", secret])
                .to_string()
        };
        assert_eq!(
            clean(&format!("abc {secret} is spent")),
            "abc [redacted] is spent"
        );
        let cut = format!("{}{secret}", "x".repeat(240));
        assert!(!clean(&cut).contains("planted-"));
    }
}
