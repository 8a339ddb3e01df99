//! The nonces that servers want to see in proofs (RFC 9449 §8, §9).

use http::{HeaderMap, HeaderName};

/// The header by which a server gives a nonce (RFC 9449 §8).
pub const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// The longest nonce that is taken. It comes back in every proof.
const LONGEST_NONCE: usize = 1024;

/// Holds what a server wants to see in the next proof, so that it knows that the proof is fresh. It goes
/// to the server that gave it and to no other (RFC 9449 §9).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DpopNonce(String);

impl DpopNonce {
    /// Takes what the syntax allows (RFC 9449 §8.1: `1*NQCHAR`), up to 1,024 characters.
    pub fn new(text: &str) -> Option<Self> {
        let legal = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        let fits = (1..=LONGEST_NONCE).contains(&text.len());
        (fits && text.bytes().all(legal)).then(|| Self(text.to_owned()))
    }

    /// Returns the nonce of an answer. Of two nobody knows which is meant, so neither counts.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(NONCE).iter();
        let only = values.next().filter(|_| values.next().is_none())?;
        Self::new(only.to_str().ok()?)
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_a_nonce_that_is_legal_and_bounded_is_taken() {
        for good in ["eyJ7S_zG.eyJH0-Z.HX4w-7v", "!", "~#[]", &"x".repeat(1024)] {
            assert_eq!(DpopNonce::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "a b",
            "a\"b",
            "a\\b",
            "a\tb",
            "a\u{1}b",
            "a\u{7f}",
            "é",
            &"x".repeat(1025),
        ] {
            assert_eq!(DpopNonce::new(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn two_nonces_are_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(DpopNonce::from_headers(&headers), None);
        headers.append(NONCE, HeaderValue::from_static("one"));
        assert_eq!(DpopNonce::from_headers(&headers), DpopNonce::new("one"));
        headers.append(NONCE, HeaderValue::from_static("two"));
        assert_eq!(DpopNonce::from_headers(&headers), None);
    }
}
