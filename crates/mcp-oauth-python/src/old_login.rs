//! Reads what `chuk-mcp-client-oauth` 0.4 has stored: a Fernet token in a file, or an entry of the keychain.
//!
//! A Fernet token is the URL-safe base64 of `0x80 | time (8) | IV (16) | AES-128-CBC | HMAC-SHA256 (32)`
//! (<https://github.com/fernet/spec>). Its key is derived from a password with PBKDF2.

use std::num::NonZeroU32;

use aws_lc_rs::{
    cipher::{AES_128, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey},
    hmac, pbkdf2,
};
use data_encoding::BASE64URL;
use mcp_client_oauth::Secret;
use pyo3::{exceptions::PyValueError, prelude::*};
use zeroize::Zeroizing;

use crate::{errors::storage, operation::Operation};

const ROUNDS: NonZeroU32 = match NonZeroU32::new(480_000) {
    Some(rounds) => rounds,
    None => NonZeroU32::MIN,
};
const SALT_BYTES: usize = 16;
const VERSION: u8 = 0x80;
/// The parts of a token before its ciphertext: version and time, then the IV.
const TIME_END: usize = 9;
const IV_END: usize = 25;
const MAC_BYTES: usize = 32;

/// The key of a directory of files.
#[pyclass(frozen, module = "mcp_client_oauth._native")]
pub(crate) struct OldKey(Zeroizing<[u8; 32]>);

#[pymethods]
impl OldKey {
    /// Derives the key from a password, which takes a tenth of a second.
    #[new]
    fn new(py: Python<'_>, password: String, salt: &[u8]) -> PyResult<Self> {
        if salt.len() != SALT_BYTES {
            return Err(PyValueError::new_err("the file .salt is corrupt"));
        }
        let password = Secret::new(password);
        let mut key = Zeroizing::new([0; 32]);
        py.detach(|| {
            let password = password.expose().as_bytes();
            pbkdf2::derive(
                pbkdf2::PBKDF2_HMAC_SHA256,
                ROUNDS,
                salt,
                password,
                &mut *key,
            );
        });
        Ok(Self(key))
    }

    /// Decrypts the Fernet token in a file. Raises `ValueError`, without any part of the content.
    fn decrypt(&self, token: &[u8]) -> PyResult<String> {
        let text = open_fernet(&self.0, token).and_then(|bytes| {
            let text = std::str::from_utf8(&bytes).map_err(|_| "its content is no text")?;
            Ok(text.to_owned())
        });
        text.map_err(PyValueError::new_err)
    }
}

/// Reads an entry of the keychain, if there is one.
#[pyfunction]
pub(crate) fn read_keychain(service: String, account: String) -> Operation {
    Operation::new(async move {
        let read = move || mcp_oauth_store::read_keychain_entry(&service, &account);
        let entry = tokio::task::spawn_blocking(read).await;
        let entry = entry.map_err(|error| storage(format!("cannot read the keychain: {error}")))?;
        match entry {
            Ok(text) => Ok(text.map(|text| text.expose().clone())),
            Err(error) => Err(storage(format!("cannot read the keychain: {error}"))),
        }
    })
}

/// Checks and decrypts a Fernet token. The MAC is checked before anything else of it is used.
fn open_fernet(key: &[u8; 32], token: &[u8]) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    const NO_TOKEN: &str = "it is not a file of chuk-mcp-client-oauth";
    let (mac_key, cipher_key) = key.split_at(16);
    let raw = BASE64URL.decode(token.trim_ascii()).map_err(|_| NO_TOKEN)?;
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
