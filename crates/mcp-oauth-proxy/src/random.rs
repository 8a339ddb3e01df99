//! Random text for links and ids that must not be guessed.

use aws_lc_rs::rand;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// The number of random bytes: 128 bits, as RFC 6749 §10.10 requires of what an attacker must not guess.
const BYTES: usize = 16;

/// Returns a new random text for a URL; none if the system has no randomness.
pub(crate) fn random_text() -> Option<String> {
    let mut bytes = [0_u8; BYTES];
    rand::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_128_bits_and_differs_each_time() {
        let (one, other) = (random_text().unwrap(), random_text().unwrap());
        assert_eq!(URL_SAFE_NO_PAD.decode(&one).unwrap().len(), 16);
        assert_ne!(one, other);
    }
}
