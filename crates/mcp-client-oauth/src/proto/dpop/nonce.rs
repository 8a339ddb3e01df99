//! The nonces that servers require in proofs (RFC 9449 §8, §9).

use http::{HeaderMap, HeaderName};

/// The header in which a server sends a nonce (RFC 9449 §8).
pub(crate) const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// The longest nonce that is accepted. It is sent back in every proof.
const LONGEST_NONCE: usize = 1024;

/// A nonce that a server requires in the next proof, so that it knows that the proof is fresh. It is
/// sent to the server that issued it and to no other (RFC 9449 §9).
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    unnameable_types,
    reason = "callers pass it on within a challenge and do not read it"
)]
pub struct DpopNonce(String);

impl DpopNonce {
    /// Accepts a valid nonce (RFC 9449 §8.1: `1*NQCHAR`) of up to 1,024 characters.
    pub fn new(text: &str) -> Option<Self> {
        let is_valid = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        let fits = (1..=LONGEST_NONCE).contains(&text.len());
        (fits && text.bytes().all(is_valid)).then(|| Self(text.to_owned()))
    }

    /// Returns the nonce of a response. Two are ambiguous, so neither counts.
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
    fn only_a_valid_nonce_of_bounded_length_is_accepted() {
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
    fn two_nonces_in_one_response_are_ignored() {
        let mut headers = HeaderMap::new();
        assert_eq!(DpopNonce::from_headers(&headers), None);
        headers.append(NONCE, HeaderValue::from_static("one"));
        assert_eq!(DpopNonce::from_headers(&headers), DpopNonce::new("one"));
        headers.append(NONCE, HeaderValue::from_static("two"));
        assert_eq!(DpopNonce::from_headers(&headers), None);
    }
}
