//! The sources of the key of an encrypted store, and the keys.
//!
//! A store is encrypted with a random *master key* that never changes. `store.json` has it wrapped, which
//! means encrypted with the *wrapping key* from the source (`encrypted/key_wrapping.rs`). So a change of
//! the source wraps 32 bytes again, and changes no record.
//!
//! To add a source: a variant in [`KeySource`] and in [`KeyKind`], and an arm in
//! `encrypted/master_key.rs` that fetches the key. The only other file that knows the sources is
//! `auto_select.rs`.

use std::{fmt, num::NonZeroU32};

use aws_lc_rs::{error::Unspecified, hkdf, pbkdf2, rand};
use mcp_oauth_support::Secret;
use serde::{Deserialize, Serialize};

use crate::error::{RandomError, TokenStorageError};
use crate::hex::Hex;

/// The default service name of keychain entries.
pub(crate) const KEYCHAIN_SERVICE: &str = "mcp-client-oauth";

/// The number of bytes of the master key, of its wrapping key, of the key of one file, and of each salt.
pub(crate) const KEY_BYTES: usize = 32;

/// The number of iterations of a new store: that of the OWASP password storage cheat sheet for
/// PBKDF2-HMAC-SHA256.
const ITERATIONS: u32 = 600_000;
/// The numbers of iterations that are accepted in an existing store. In a forged file, fewer would make
/// guessing cheap, and more would take minutes (NIST SP 800-132).
const ACCEPTED_ITERATIONS: std::ops::RangeInclusive<u32> = 100_000..=10_000_000;
const PBKDF2: &str = "pbkdf2-hmac-sha256";

/// The source of the key that decrypts the master key of an encrypted store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum KeySource {
    /// The keychain of the system: macOS Keychain, Windows Credential Manager, or the Secret Service of
    /// Linux. The key is created on first use, stored once, and never overwritten.
    ///
    /// An attacker who can read only the files, from a backup or another account, cannot decrypt them.
    /// Other programs of the same user often can: only the keychain of macOS distinguishes programs.
    Keychain {
        /// The service name of the key of a new store, usually `mcp-client-oauth`. An existing store
        /// keeps its service name.
        service: String,
    },
    /// A password, by PBKDF2-HMAC-SHA256. An attacker who has the files must guess the password.
    Password(Secret<String>),
    /// The file `key` in the directory of the store, created on first use, readable by its owner only.
    ///
    /// This protects a record that is copied or backed up without the key, and detects corrupt, altered
    /// and swapped files. It does **not** protect against an attacker who can read the whole directory,
    /// because that has the key too.
    KeyFile,
    /// A key that the application stores itself.
    Provided(Secret<[u8; KEY_BYTES]>),
}

/// The kind of key of a store, without the key.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KeyKind {
    /// [`KeySource::Keychain`].
    Keychain,
    /// [`KeySource::Password`].
    Password,
    /// [`KeySource::KeyFile`].
    KeyFile,
    /// [`KeySource::Provided`].
    #[serde(rename = "given")]
    Provided,
}

impl KeySource {
    /// Returns the keychain with the default service name, `mcp-client-oauth`.
    pub fn keychain() -> Self {
        Self::Keychain {
            service: KEYCHAIN_SERVICE.to_owned(),
        }
    }

    /// Returns the kind of key.
    pub fn kind(&self) -> KeyKind {
        match self {
            Self::Keychain { .. } => KeyKind::Keychain,
            Self::Password(_) => KeyKind::Password,
            Self::KeyFile => KeyKind::KeyFile,
            Self::Provided(_) => KeyKind::Provided,
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keychain => "keychain",
            Self::Password => "password",
            Self::KeyFile => "key file",
            Self::Provided => "key of the application",
        })
    }
}

/// The derivation of a key from a password.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Kdf {
    name: String,
    iterations: u32,
    salt: Hex<KEY_BYTES>,
}

impl Kdf {
    /// Returns the derivation for a new store, with a fresh salt.
    pub(crate) fn fresh() -> Result<Self, TokenStorageError> {
        Ok(Self {
            name: PBKDF2.to_owned(),
            iterations: ITERATIONS,
            salt: Hex(random()?),
        })
    }

    /// Returns why these parameters must not be used, or `None`.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        if self.name != PBKDF2 {
            return Some("its key derivation is not supported");
        }
        if !ACCEPTED_ITERATIONS.contains(&self.iterations) {
            return Some("its key derivation has far too few or far too many iterations");
        }
        None
    }

    /// Derives the key. This takes a tenth of a second: it must not run on a thread of the runtime, and
    /// runs once for each store.
    pub(crate) fn derive(&self, password: &Secret<String>) -> Secret<[u8; KEY_BYTES]> {
        let mut key = Secret::new([0; KEY_BYTES]);
        // `fault` has checked the number: it is not zero.
        let rounds = NonZeroU32::new(self.iterations).unwrap_or(NonZeroU32::MAX);
        let password = password.expose().as_bytes();
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            rounds,
            &self.salt.0,
            password,
            key.expose_mut(),
        );
        // Tests count this line: the derivation is done once, however many records are read.
        tracing::debug!(
            iterations = self.iterations,
            "derived the key of a token store"
        );
        key
    }
}

/// The master key of a store, from which the key of each file is derived.
pub(crate) struct MasterKey(Secret<[u8; KEY_BYTES]>);

impl MasterKey {
    pub(crate) fn new(bytes: Secret<[u8; KEY_BYTES]>) -> Self {
        Self(bytes)
    }

    pub(crate) fn generate() -> Result<Self, TokenStorageError> {
        random_key().map(Self)
    }

    pub(crate) fn secret(&self) -> &Secret<[u8; KEY_BYTES]> {
        &self.0
    }

    /// Returns the key of one file.
    pub(crate) fn subkey(
        &self,
        salt: &[u8],
        purpose: &str,
    ) -> Result<Secret<[u8; KEY_BYTES]>, TokenStorageError> {
        subkey(&self.0, salt, purpose)
    }
}

/// Derives a key for one purpose and one salt by HKDF-SHA256 (RFC 5869).
pub(crate) fn subkey(
    key: &Secret<[u8; KEY_BYTES]>,
    salt: &[u8],
    purpose: &str,
) -> Result<Secret<[u8; KEY_BYTES]>, TokenStorageError> {
    let mut derived = Secret::new([0; KEY_BYTES]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(key.expose())
        .expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256)
        .and_then(|material| material.fill(derived.expose_mut()))
        .map_err(failed)?;
    Ok(derived)
}

pub(crate) fn random_key() -> Result<Secret<[u8; KEY_BYTES]>, TokenStorageError> {
    let mut key = Secret::new([0; KEY_BYTES]);
    rand::fill(key.expose_mut()).map_err(no_randomness)?;
    Ok(key)
}

/// Returns random bytes that are not secret: salts, nonces, numbers.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], TokenStorageError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(no_randomness)?;
    Ok(bytes)
}

fn no_randomness(_: Unspecified) -> TokenStorageError {
    TokenStorageError::of_files(RandomError)
}

/// Converts the error of the cryptographic library, which has no details.
pub(crate) fn failed(source: Unspecified) -> TokenStorageError {
    TokenStorageError::of_files(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kdf(name: &str, iterations: u32) -> Kdf {
        Kdf {
            name: name.to_owned(),
            iterations,
            salt: Hex([7; KEY_BYTES]),
        }
    }

    #[test]
    fn rounds_are_accepted_from_a_hundred_thousand_to_ten_million() {
        for (iterations, accepted) in [
            (0, false),
            (1, false),
            (99_999, false),
            (100_000, true),
            (600_000, true),
            (10_000_000, true),
            (10_000_001, false),
            (1 << 31, false),
        ] {
            assert_eq!(
                kdf(PBKDF2, iterations).fault().is_none(),
                accepted,
                "{iterations}"
            );
        }
        assert!(kdf("scrypt", 600_000).fault().is_some());
    }

    /// Computed by another implementation: Python's `hashlib.pbkdf2_hmac`.
    #[test]
    fn a_key_derived_from_a_password_equals_that_of_another_implementation() {
        let password = Secret::new("correct horse".to_owned());
        let key = kdf(PBKDF2, 100_000).derive(&password);
        assert_eq!(
            Hex(*key.expose()).to_string(),
            "6d2599c5d48caf5c0f9d07c9899b60424efc6f3f827f5045e7ad6961094d7dd2"
        );
    }

    /// Computed by another implementation: HKDF of RFC 5869 over Python's `hmac`.
    #[test]
    fn a_subkey_equals_that_of_another_implementation() {
        let key = MasterKey::new(Secret::new([1; KEY_BYTES]));
        let subkey = key.subkey(&[2; KEY_BYTES], "purpose").unwrap();
        assert_eq!(
            Hex(*subkey.expose()).to_string(),
            "220db098e40a3bf167de90886e6db2d48028c20423d15ef2e253b99f3b249114"
        );
    }

    #[test]
    fn another_purpose_or_salt_gives_another_key() {
        let key = MasterKey::generate().unwrap();
        let one = key.subkey(&[1; KEY_BYTES], "one").unwrap();
        assert!(one != key.subkey(&[1; KEY_BYTES], "two").unwrap());
        assert!(one != key.subkey(&[2; KEY_BYTES], "one").unwrap());
        assert!(one == key.subkey(&[1; KEY_BYTES], "one").unwrap());
    }

    #[test]
    fn a_source_prints_no_key() {
        let sources = [
            KeySource::Password(Secret::new("planted".to_owned())),
            KeySource::Provided(Secret::new([0xAB; KEY_BYTES])),
        ];
        let shown = format!("{sources:?}");
        assert!(
            !shown.contains("planted") && !shown.contains("171"),
            "{shown}"
        );
    }
}
