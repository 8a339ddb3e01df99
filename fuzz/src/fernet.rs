//! A file that another library has stored, which may be corrupt or forged.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE};

// The Python module has this file, and a program in Rust cannot be linked with that.
#[path = "../../crates/mcp-oauth-python/src/fernet.rs"]
mod reader;

const KEY: [u8; 32] = [7; 32];

/// Any bytes instead of a Fernet token, and instead of what an authentic one has after its MAC was checked.
/// No bytes are authentic, and a ciphertext is longer than its content.
pub fn fernet(input: &[u8]) {
    assert!(reader::decrypt(&KEY, input).is_err());
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &KEY[..16]), input);
    let token = URL_SAFE.encode([input, mac.as_ref()].concat());
    if let Ok(content) = reader::decrypt(&KEY, token.as_bytes()) {
        assert!(content.len() < input.len());
    }
}
