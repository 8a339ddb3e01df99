//! The path of the application that a login returns to.

use mcp_oauth_support::UntrustedText;
use serde::{Deserialize, Serialize};

use crate::error::AuthorizationError;

/// The longest path that is accepted, in bytes.
const LONGEST: usize = 2048;

/// A path within the origin of the application. A redirect to any other text could lead the user to another
/// site after the login (CWE-601; RFC 9700 §4.11).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String")]
pub(crate) struct ReturnPath(String);

impl ReturnPath {
    /// Returns the path, which may be sent in a `Location` header.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ReturnPath {
    type Error = AuthorizationError;

    /// Parses a path with one `/` at its start, and maybe a query and a fragment. Browsers read `//` and `\` as
    /// the start of a host, and skip control characters (WHATWG URL §4.4). Other characters than those of
    /// RFC 3986 §2 cannot stand in a `Location` header.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let path = text.split(['?', '#']).next().unwrap_or_default();
        let is_path = path.starts_with('/') && !path.contains("//");
        let is_encoded = text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
        if is_path && is_encoded && text.len() <= LONGEST {
            return Ok(Self(text));
        }
        Err(AuthorizationError::ReturnPath(UntrustedText::new(&text)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    fn parse(text: &str) -> Option<ReturnPath> {
        ReturnPath::try_from(text.to_owned()).ok()
    }

    #[test]
    fn only_a_path_of_the_same_origin_is_accepted() {
        for good in [
            "/",
            "/settings",
            "/a/b?c=d#e",
            "/search?from=https://other.example/",
            "/a%2f%2fb",
            "/caf%C3%A9",
        ] {
            assert_eq!(parse(good).as_ref().map(ReturnPath::as_str), Some(good));
        }
        for bad in [
            "",
            "settings",
            "//evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "/a\r\nSet-Cookie: b",
            "/..//evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            " /settings",
            "?a",
            "#a",
            "/\u{0}",
            "/\u{85}",
            "/caf\u{e9}",
            "/a b",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
        assert_eq!(parse(&format!("/{}", "x".repeat(LONGEST))), None);
    }

    proptest! {
        /// Whatever is accepted stays within the origin, as a browser resolves it.
        #[test]
        fn an_accepted_path_stays_within_the_origin(
            text in "[/\\\\]{0,3}[a-z/\\\\.:@?#%\t\n\r \u{0}]{0,12}|\\PC{0,12}"
        ) {
            let base = Url::parse("https://app.example/callback").unwrap();
            if let Some(path) = parse(&text) {
                let target = base.join(path.as_str()).unwrap();
                prop_assert_eq!(target.origin(), base.origin());
            }
        }

        #[test]
        fn what_is_stored_is_checked_again(text in "[/\\\\a\t]{0,4}") {
            let stored = serde_json::to_string(&text).unwrap();
            let read: Result<ReturnPath, _> = serde_json::from_str(&stored);
            prop_assert_eq!(read.ok(), parse(&text));
        }
    }
}
