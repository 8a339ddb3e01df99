//! The master key of a store as it is in `store.json`: encrypted with AES-256-GCM with the key from the
//! source. The rest of the file is the associated data, so that decryption fails for a wrong key and for
//! an altered file alike (docs/hostile.md H145, H146).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use mcp_oauth_support::Secret;
use serde::{Deserialize, Serialize};

use crate::{
    error::TokenStorageError,
    hex::Hex,
    key::{KEY_BYTES, Kdf, MasterKey, failed, random, random_key, subkey},
};

const CIPHER: &str = "aes-256-gcm";
const PURPOSE: &str = "mcp-oauth wrapped master key";
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// The key from the source of a store. It decrypts the master key, and nothing else.
pub(super) struct WrappingKey(Secret<[u8; KEY_BYTES]>);

/// A master key, encrypted with its wrapping key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct WrappedKey {
    cipher: String,
    nonce: Hex<NONCE_BYTES>,
    #[serde(rename = "sealed")]
    ciphertext: Hex<{ KEY_BYTES + TAG_BYTES }>,
}

impl WrappingKey {
    pub(super) fn new(bytes: Secret<[u8; KEY_BYTES]>) -> Self {
        Self(bytes)
    }

    pub(super) fn generate() -> Result<Self, TokenStorageError> {
        random_key().map(Self)
    }

    pub(super) fn derive(password: &Secret<String>, kdf: &Kdf) -> Self {
        Self(kdf.derive(password))
    }

    pub(super) fn secret(&self) -> &Secret<[u8; KEY_BYTES]> {
        &self.0
    }

    /// Encrypts `master` for the store `id` with these `parameters`.
    pub(super) fn wrap(
        &self,
        master: &MasterKey,
        id: &[u8],
        parameters: &[u8],
    ) -> Result<WrappedKey, TokenStorageError> {
        let nonce = random()?;
        let mut ciphertext = [0; KEY_BYTES + TAG_BYTES];
        let (key, tag) = ciphertext.split_at_mut(KEY_BYTES);
        key.copy_from_slice(master.secret().expose());
        let found = self.cipher(id)?.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(parameters),
            key,
        );
        tag.copy_from_slice(found.map_err(failed)?.as_ref());
        Ok(WrappedKey {
            cipher: CIPHER.to_owned(),
            nonce: Hex(nonce),
            ciphertext: Hex(ciphertext),
        })
    }

    /// Returns the master key, or `None` if it was wrapped with another key or other `parameters`.
    pub(super) fn open(
        &self,
        wrapped: &WrappedKey,
        id: &[u8],
        parameters: &[u8],
    ) -> Result<Option<MasterKey>, TokenStorageError> {
        let mut ciphertext = Secret::new(wrapped.ciphertext.0);
        let nonce = Nonce::assume_unique_for_key(wrapped.nonce.0);
        let cipher = self.cipher(id)?;
        let opened = cipher.open_in_place(nonce, Aad::from(parameters), ciphertext.expose_mut());
        let Ok(key) = opened else {
            return Ok(None);
        };
        let mut master = Secret::new([0; KEY_BYTES]);
        master.expose_mut().copy_from_slice(key);
        Ok(Some(MasterKey::new(master)))
    }

    /// Returns the cipher with a key for this purpose only: an application may give the same key to several
    /// stores, and use it for something else.
    fn cipher(&self, id: &[u8]) -> Result<LessSafeKey, TokenStorageError> {
        let key = subkey(&self.0, id, PURPOSE)?;
        UnboundKey::new(&AES_256_GCM, key.expose())
            .map(LessSafeKey::new)
            .map_err(failed)
    }
}

impl WrappedKey {
    /// Returns why no key can decrypt this, or `None`.
    pub(super) fn fault(&self) -> Option<&'static str> {
        (self.cipher != CIPHER).then_some("its key is encrypted with an unsupported cipher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapping(byte: u8) -> WrappingKey {
        WrappingKey::new(Secret::new([byte; KEY_BYTES]))
    }

    #[test]
    fn only_the_same_key_id_and_parameters_decrypt_it() {
        let master = MasterKey::generate().unwrap();
        let wrapped = wrapping(1).wrap(&master, b"id", b"parameters").unwrap();
        let opened = |key: u8, id: &[u8], parameters: &[u8]| {
            let found = wrapping(key).open(&wrapped, id, parameters).unwrap();
            found.map(|found| found.secret() == master.secret())
        };
        assert_eq!(opened(1, b"id", b"parameters"), Some(true));
        assert_eq!(opened(2, b"id", b"parameters"), None);
        assert_eq!(opened(1, b"other", b"parameters"), None);
        assert_eq!(opened(1, b"id", b"other"), None);
    }

    #[test]
    fn each_flipped_bit_is_detected() {
        let master = MasterKey::generate().unwrap();
        let genuine = wrapping(1).wrap(&master, b"id", b"").unwrap();
        let opens = |wrapped: &WrappedKey| {
            let found = wrapping(1).open(wrapped, b"id", b"").unwrap();
            found.is_some()
        };
        assert!(opens(&genuine));
        for bit in 0..(KEY_BYTES + TAG_BYTES) * 8 {
            let mut altered = genuine.clone();
            altered.ciphertext.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!opens(&altered), "bit {bit} of the ciphertext");
        }
        for bit in 0..NONCE_BYTES * 8 {
            let mut altered = genuine.clone();
            altered.nonce.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!opens(&altered), "bit {bit} of the nonce");
        }
    }

    #[test]
    fn the_written_form_shows_no_key_and_differs_each_time() {
        let master = MasterKey::new(Secret::new([0xAB; KEY_BYTES]));
        let one = wrapping(1).wrap(&master, b"id", b"").unwrap();
        let text = serde_json::to_string(&one).unwrap();
        assert!(!text.contains("abab") && !text.contains("0101"), "{text}");
        assert_ne!(one, wrapping(1).wrap(&master, b"id", b"").unwrap());
    }

    /// Computed with Python's `cryptography`: HKDF-SHA256, then AES-256-GCM.
    const KNOWN: &str = r#"{"cipher":"aes-256-gcm","nonce":"040404040404040404040404",
        "sealed":"ca8a1813651e52dbf8c917120a8d81e5c51a788d53189b9572fc3aec08ea00ea3e9c67ea2e62d886dfd3341f9fa490c0"}"#;

    #[test]
    fn a_key_that_another_implementation_wrapped_is_unwrapped() {
        let wrapped: WrappedKey = serde_json::from_str(KNOWN).unwrap();
        let master = wrapping(1).open(&wrapped, &[2; 16], b"parameters").unwrap();
        assert!(*master.unwrap().secret() == Secret::new([3; KEY_BYTES]));
    }
}
