//! Reads what `chuk-mcp-client-oauth` 0.4 has stored: a Fernet token in a file, by a key that is derived from
//! a password, or an entry of the keychain.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;
use mcp_client_oauth::Secret;
use pyo3::{exceptions::PyValueError, prelude::*};
use zeroize::Zeroizing;

use crate::{errors::storage, fernet, operation::Operation};

const ROUNDS: NonZeroU32 = match NonZeroU32::new(480_000) {
    Some(rounds) => rounds,
    None => NonZeroU32::MIN,
};
const SALT_BYTES: usize = 16;

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
        let text = fernet::decrypt(&self.0, token).and_then(|bytes| {
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
