//! Proof key for code exchange (RFC 7636), S256 only.

use aws_lc_rs::{digest, rand};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use mcp_oauth_support::Secret;

/// 96 random bytes are 128 characters of base64url: the longest verifier that RFC 7636 §4.1 allows.
const VERIFIER_BYTES: usize = 96;

/// The code verifier. The exchange of the code consumes it. It is in memory only, except in a login that ends
/// in another request: there it is encrypted by the store, until the callback arrives.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct CodeVerifier(Secret<String>);

/// The random number generator of the operating system failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
#[non_exhaustive]
#[expect(unnameable_types, reason = "callers show it, and do not match on it")]
pub struct RandomError;

impl CodeVerifier {
    /// Generates a verifier of 128 characters.
    pub(crate) fn generate() -> Result<Self, RandomError> {
        random_text::<VERIFIER_BYTES>().map(Self)
    }

    /// Returns the code challenge for the authorization request: base64url(SHA-256(verifier)), RFC 7636
    /// §4.2.
    pub(crate) fn challenge(&self) -> String {
        sha256(self.expose())
    }

    /// Returns the verifier itself, for the token request.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// Returns base64url(SHA-256(text)).
pub(crate) fn sha256(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

/// Returns the source of randomness for signatures.
pub(super) fn random_source() -> rand::SystemRandom {
    rand::SystemRandom::new()
}

/// Returns `N` random bytes as base64url text.
pub(super) fn random_text<const N: usize>() -> Result<Secret<String>, RandomError> {
    let mut bytes = Zeroizing::new([0_u8; N]);
    rand::fill(bytes.as_mut()).map_err(|_| RandomError)?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(bytes.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_has_128_unreserved_characters() {
        let verifier = CodeVerifier::generate().unwrap();
        assert_eq!(verifier.expose().len(), 128);
        assert!(
            verifier
                .expose()
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
        );
    }

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        let text = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned();
        let verifier = CodeVerifier(Secret::new(text));
        assert_eq!(
            verifier.challenge(),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn no_two_verifiers_are_alike_and_none_is_printed() {
        let (one, other) = (
            CodeVerifier::generate().unwrap(),
            CodeVerifier::generate().unwrap(),
        );
        assert_ne!(one.expose(), other.expose());
        assert!(!format!("{one:?}").contains(one.expose()));
    }
}
