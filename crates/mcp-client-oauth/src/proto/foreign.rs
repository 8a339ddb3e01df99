//! Text that a stranger wrote, made safe to show (H156-H158): the one way from a server's words to
//! a terminal, a log or an error message.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// How many characters of a stranger's text are kept.
const SHOWN: usize = 256;
/// What stands for a secret that a stranger has echoed.
const BLOT: &str = "[redacted]";
/// A shorter secret stands in other words, and protects nothing.
const SHORTEST_SECRET: usize = 4;
/// A shorter beginning of a secret gives nothing away.
const SHORTEST_PREFIX: usize = 8;

/// A stranger's text. `Display` escapes control and direction-changing characters, and what is
/// longer than 256 characters was cut when it was made.
///
/// ```
/// use mcp_client_oauth::proto::foreign::Foreign;
///
/// assert_eq!(Foreign::new("no \u{1b}[2Jway").to_string(), "no \\u{1b}[2Jway");
/// ```
#[derive(Clone, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(from = "String", into = "String")]
pub struct Foreign(String);

impl Foreign {
    /// Takes what a stranger wrote.
    pub fn new(text: &str) -> Self {
        let mut kept: String = text.chars().take(SHOWN).collect();
        if kept.len() < text.len() {
            kept.push('…');
        }
        Self(kept)
    }

    /// The text as it came (cut, not escaped): for comparison, never for showing.
    pub fn as_raw(&self) -> &str {
        &self.0
    }

    /// The same, with every occurrence of `secrets` blotted out: some servers echo what they were
    /// sent (H160).
    #[must_use]
    pub fn without(&self, secrets: &[&str]) -> Self {
        let mut clean = Zeroizing::new(self.0.clone());
        for secret in secrets.iter().filter(|it| it.len() >= SHORTEST_SECRET) {
            clean = Zeroizing::new(clean.replace(secret, BLOT));
            // The text was cut when it was made, so the secret may be there without its end.
            if let Some(start) = cut_at_the_end(&clean, secret) {
                clean.truncate(start);
                clean.push_str(BLOT);
            }
        }
        Self::new(&clean)
    }
}

/// Where a prefix of `secret` ends a text that was cut.
fn cut_at_the_end(text: &str, secret: &str) -> Option<usize> {
    let body = text.strip_suffix('…')?;
    let lengths = (SHORTEST_PREFIX..secret.len()).rev();
    let mut prefixes = lengths.filter_map(|length| secret.get(..length));
    let prefix = prefixes.find(|prefix| body.ends_with(prefix))?;
    Some(body.len() - prefix.len())
}

/// Characters that move the cursor, hide text or turn its direction.
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{061c}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if is_dangerous(c) {
                write!(f, "{}", c.escape_unicode())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl From<String> for Foreign {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<Foreign> for String {
    fn from(text: Foreign) -> Self {
        text.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_a_cursor_is_shown() {
        let hostile =
            "\u{1b}]8;;http://evil\u{7}click\u{1b}]8;;\u{7}\r\n\u{8}\u{9b}2J\u{202e}x\u{feff}";
        let shown = Foreign::new(hostile).to_string();
        assert!(shown.chars().all(|c| !is_dangerous(c)), "{shown}");
        assert!(shown.contains("click"));
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(
            Foreign::new(&"x".repeat(10_000))
                .to_string()
                .chars()
                .count(),
            SHOWN + 1
        );
    }

    #[test]
    fn a_secret_is_blotted_out_even_where_it_was_cut() {
        let secret = "planted-refresh-token-0123456789";
        let clean = |text: &str| Foreign::new(text).without(&["abc", secret]).to_string();
        assert_eq!(
            clean(&format!("abc {secret} is spent")),
            "abc [redacted] is spent"
        );
        let cut = format!("{}{secret}", "x".repeat(240));
        assert!(!clean(&cut).contains("planted-"));
    }
}
