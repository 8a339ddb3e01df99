//! Tokens, codes and identifiers that cannot be guessed.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// Returns 256 random bits with a prefix that names their type.
pub(crate) fn random(prefix: &str) -> String {
    let mut bytes = [0_u8; 32];
    // The generator fails only if the operating system has no randomness; a predictable token would
    // be worse than none.
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        std::process::abort();
    }
    format!("{prefix}_{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
}
