//! Textual encodings of keys (RFC 7468).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

const LINE: usize = 64;

/// The text of a document with this label.
pub(super) fn encode(label: &str, der: &[u8]) -> String {
    let encoded = BASE64_STANDARD.encode(der);
    let mut lines = vec![format!("-----BEGIN {label}-----")];
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, remaining) = rest.split_at(LINE.min(rest.len()));
        lines.push(line.to_owned());
        rest = remaining;
    }
    lines.push(format!("-----END {label}-----\n"));
    lines.join("\n")
}

/// The first document with this label.
pub(super) fn decode(label: &str, text: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (inside, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let encoded: String = inside.split_whitespace().collect();
    BASE64_STANDARD.decode(encoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_again() {
        let der: Vec<u8> = (0..=255).collect();
        let text = encode("PUBLIC KEY", &der);
        assert!(text.lines().all(|line| line.len() <= LINE));
        assert_eq!(decode("PUBLIC KEY", &text), Some(der));
        assert_eq!(decode("PRIVATE KEY", &text), None);
    }
}
