//! Fernet tokens (<https://github.com/fernet/spec>): the URL-safe base64 of
//! `0x80 | time (8) | IV (16) | AES-128-CBC | HMAC-SHA256 (32)`.

use aws_lc_rs::{
    cipher::{AES_128, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey},
    hmac,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use zeroize::Zeroizing;

const VERSION: u8 = 0x80;
/// The parts of a token before its ciphertext: version and time, then the IV.
const TIME_END: usize = 9;
const IV_END: usize = 25;
const MAC_BYTES: usize = 32;

/// Checks and decrypts a token. The MAC is checked before anything else of it is used.
///
/// # Errors
/// A text without any part of the token.
pub(crate) fn decrypt(key: &[u8; 32], token: &[u8]) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    const NO_TOKEN: &str = "it is not a file of chuk-mcp-client-oauth";
    let (mac_key, cipher_key) = key.split_at(16);
    let raw = URL_SAFE.decode(token.trim_ascii()).map_err(|_| NO_TOKEN)?;
    let length = raw.len().checked_sub(MAC_BYTES).ok_or(NO_TOKEN)?;
    let (body, mac) = raw.split_at(length);
    let (Some(&VERSION), Some(iv), Some(ciphertext)) =
        (body.first(), body.get(TIME_END..IV_END), body.get(IV_END..))
    else {
        return Err(NO_TOKEN);
    };
    let mac_key = hmac::Key::new(hmac::HMAC_SHA256, mac_key);
    hmac::verify(&mac_key, body, mac)
        .map_err(|_| "the password is wrong, or the file is corrupt")?;
    let iv: [u8; 16] = iv.try_into().map_err(|_| NO_TOKEN)?;
    let mut data = Zeroizing::new(ciphertext.to_vec());
    let opened = UnboundCipherKey::new(&AES_128, cipher_key)
        .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
        .and_then(|key| {
            let plain = key.decrypt(&mut data, DecryptionContext::Iv128((&iv).into()))?;
            Ok(Zeroizing::new(plain.to_vec()))
        });
    opened.map_err(|_| NO_TOKEN)
}
