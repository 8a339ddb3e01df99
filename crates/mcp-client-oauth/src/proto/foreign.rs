//! Text that a stranger wrote, made safe to show (H156-H158): the one way from a server's words to
//! a terminal, a log or an error message.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How many characters of a stranger's text are kept.
const SHOWN: usize = 256;

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
}
