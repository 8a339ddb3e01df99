//! Our own tokens, blotted out of what a server sends: a debugging page may echo them (H160).

use std::cell::Cell;

use mcp_client_oauth::{Secret, Session};
use serde_json::Value;

const BLOT: &[u8] = b"[redacted]";

/// Blots tokens out, and remembers whether there were any.
pub(super) struct Blotter {
    secrets: Vec<Secret<String>>,
    has_blotted: Cell<bool>,
}

impl Blotter {
    /// For the tokens that the session has now.
    pub(super) fn of(session: &Session) -> Self {
        let tokens = session.record().tokens;
        let access = Secret::new(tokens.access_token.expose().to_owned());
        Self::new(std::iter::once(access).chain(tokens.refresh_token))
    }

    fn new(secrets: impl IntoIterator<Item = Secret<String>>) -> Self {
        let secrets = secrets.into_iter();
        Self {
            secrets: secrets
                .filter(|secret| !secret.expose().is_empty())
                .collect(),
            has_blotted: Cell::new(false),
        }
    }

    /// Whether something was blotted out.
    pub(super) fn has_blotted(&self) -> bool {
        self.has_blotted.get()
    }

    pub(super) fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let mut kept = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let Some((&first, next)) = rest.split_first() {
            if let Some(after) = self.after_secret(rest) {
                kept.extend_from_slice(BLOT);
                rest = after;
            } else {
                kept.push(first);
                rest = next;
            }
        }
        kept
    }

    fn after_secret<'a>(&self, text: &'a [u8]) -> Option<&'a [u8]> {
        let secrets = self.secrets.iter();
        let after = secrets
            .filter_map(|secret| text.strip_prefix(secret.expose().as_bytes()))
            .min_by_key(|after| after.len());
        if after.is_some() {
            self.has_blotted.set(true);
        }
        after
    }

    pub(super) fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }

    /// Every string of the value, and every name: in the document itself a token may be spelt with
    /// escapes.
    pub(super) fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => self.text(&text).into(),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(members) => members
                .into_iter()
                .map(|(name, value)| (self.text(&name), self.value(value)))
                .collect(),
            plain => plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn blotter(secrets: &[&str]) -> Blotter {
        Blotter::new(secrets.iter().map(|text| Secret::new((*text).to_owned())))
    }

    #[test]
    fn a_token_in_a_body_is_blotted_out() {
        let blotter = blotter(&["SECRET", "SECRET-LONGER", ""]);
        assert_eq!(blotter.bytes(b"abc"), b"abc");
        assert!(!blotter.has_blotted());
        assert_eq!(
            blotter.text("a SECRET b SECRET-LONGER"),
            "a [redacted] b [redacted]"
        );
        assert!(blotter.has_blotted());
    }

    #[test]
    fn a_token_that_is_spelt_with_escapes_is_blotted_out() {
        let body = br#"{"SEC\u0052ET":["\u0053ECRET",{"a":"x SECRET"}],"n":1}"#;
        let value = serde_json::from_slice(body).unwrap();
        assert_eq!(
            blotter(&["SECRET"]).value(value),
            json!({ "[redacted]": ["[redacted]", { "a": "x [redacted]" }], "n": 1 })
        );
    }
}
