//! Where the key to a sealed store comes from, and the keys that are made.
//!
//! A store is sealed with a random *master key* that never changes. `store.json` holds it wrapped:
//! sealed itself, under the *wrapping key* that the source gives (`sealed/wrapping.rs`). So a store
//! gets another source by wrapping 32 bytes anew, and no record is touched.
//!
//! To add a place for the key: a variant in [`KeySource`] and in [`KeyKind`], and an arm in
//! `sealed/master.rs` that fetches it. Beside these only `auto.rs` knows the sources.

use std::{fmt, num::NonZeroU32, sync::Arc};

use aws_lc_rs::{error::Unspecified, hkdf, pbkdf2, rand};
use serde::{Deserialize, Serialize};

use super::hex::Hex;
use crate::{error::TokenStorageError, proto::pkce::RandomError, secret::Secret};

/// Holds what our entries in a keychain are filed under, unless the application says otherwise.
pub const KEYCHAIN_SERVICE: &str = "mcp-client-oauth";

/// Bytes in the master key, in the key that wraps it, in the key of one file, and in each salt.
pub(super) const KEY_BYTES: usize = 32;

/// Rounds for a new store: the figure of the OWASP password storage cheat sheet for
/// PBKDF2-HMAC-SHA256.
const ITERATIONS: u32 = 600_000;
/// Holds what is accepted in an existing store: fewer would make guessing cheap for whoever tampers with
/// the file, more would keep us busy for minutes (H146).
const ACCEPTED_ITERATIONS: std::ops::RangeInclusive<u32> = 100_000..=10_000_000;
const PBKDF2: &str = "pbkdf2-hmac-sha256";

/// Says where the key comes from that opens the master key of a sealed store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum KeySource {
    /// From the keychain of the system: macOS Keychain, Windows Credential Manager, or the Secret
    /// Service of Linux. The key is made on first use, kept there once, and never written again.
    ///
    /// Whoever can read the files only, from a backup or another account, cannot open them. Other
    /// programs of the same user often can: no keychain but that of macOS tells programs apart.
    Keychain {
        /// Holds what a new store files its key under, usually [`KEYCHAIN_SERVICE`]. A store that is
        /// there remembers what it was filed under.
        service: String,
    },
    /// From a password, by PBKDF2-HMAC-SHA256. Whoever has the files must guess the password.
    Password(Secret<String>),
    /// From the file `key` in the directory of the store, made on first use, readable by its owner
    /// only.
    ///
    /// This protects a record that is copied or backed up without the key, and finds damaged,
    /// altered and swapped files. It does **not** protect against somebody who can read the whole
    /// directory: the key lies beside what it opens.
    KeyFile,
    /// From the application, which keeps it where it likes.
    Provided(Secret<[u8; KEY_BYTES]>),
}

/// The kind of key that a store was made with, without the key.
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
    Provided,
}

impl KeySource {
    /// From the keychain, filed under [`KEYCHAIN_SERVICE`].
    pub fn keychain() -> Self {
        Self::Keychain {
            service: KEYCHAIN_SERVICE.to_owned(),
        }
    }

    /// Returns which kind of key this is.
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

/// Says how a password becomes a key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Kdf {
    name: String,
    iterations: u32,
    salt: Hex<KEY_BYTES>,
}

impl Kdf {
    /// Returns what a new store uses: a fresh salt.
    pub(super) fn fresh() -> Result<Self, TokenStorageError> {
        Ok(Self {
            name: PBKDF2.to_owned(),
            iterations: ITERATIONS,
            salt: Hex(random()?),
        })
    }

    /// Returns why these parameters must not be used, if so.
    pub(super) fn fault(&self) -> Option<&'static str> {
        if self.name != PBKDF2 {
            return Some("its key derivation is none that we know");
        }
        if !ACCEPTED_ITERATIONS.contains(&self.iterations) {
            return Some("its key derivation is far too cheap or far too costly");
        }
        None
    }

    /// Returns a tenth of a second of work: never on a thread of the runtime, and once for each store.
    pub(super) fn derive(&self, password: &Secret<String>) -> Secret<[u8; KEY_BYTES]> {
        let mut key = Secret::new([0; KEY_BYTES]);
        // `fault` has seen the number: it is not zero.
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

/// The key of a store, of which the key of each file is made.
pub(super) struct MasterKey(Secret<[u8; KEY_BYTES]>);

impl MasterKey {
    pub(super) fn new(bytes: Secret<[u8; KEY_BYTES]>) -> Self {
        Self(bytes)
    }

    pub(super) fn generate() -> Result<Self, TokenStorageError> {
        random_key().map(Self)
    }

    pub(super) fn secret(&self) -> &Secret<[u8; KEY_BYTES]> {
        &self.0
    }

    /// Returns the key of one file.
    pub(super) fn subkey(
        &self,
        salt: &[u8],
        purpose: &str,
    ) -> Result<Secret<[u8; KEY_BYTES]>, TokenStorageError> {
        subkey(&self.0, salt, purpose)
    }
}

/// HKDF-SHA256 (RFC 5869): a key for one purpose and one salt.
pub(super) fn subkey(
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

pub(super) fn random_key() -> Result<Secret<[u8; KEY_BYTES]>, TokenStorageError> {
    let mut key = Secret::new([0; KEY_BYTES]);
    rand::fill(key.expose_mut()).map_err(no_randomness)?;
    Ok(key)
}

/// Fresh random bytes that are not secret: salts, nonces, numbers.
pub(super) fn random<const N: usize>() -> Result<[u8; N], TokenStorageError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(no_randomness)?;
    Ok(bytes)
}

fn no_randomness(_: Unspecified) -> TokenStorageError {
    TokenStorageError::Backend {
        name: "file",
        source: Arc::new(RandomError),
    }
}

/// Returns the cryptographic library refused arguments of ours.
pub(super) fn failed(source: Unspecified) -> TokenStorageError {
    TokenStorageError::Backend {
        name: "file",
        source: Arc::new(source),
    }
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
    fn a_password_becomes_the_key_that_others_compute() {
        let password = Secret::new("correct horse".to_owned());
        let key = kdf(PBKDF2, 100_000).derive(&password);
        assert_eq!(
            Hex(*key.expose()).to_string(),
            "6d2599c5d48caf5c0f9d07c9899b60424efc6f3f827f5045e7ad6961094d7dd2"
        );
    }

    /// Computed by another implementation: HKDF of RFC 5869 over Python's `hmac`.
    #[test]
    fn a_subkey_is_the_one_that_others_compute() {
        let key = MasterKey::new(Secret::new([1; KEY_BYTES]));
        let subkey = key.subkey(&[2; KEY_BYTES], "purpose").unwrap();
        assert_eq!(
            Hex(*subkey.expose()).to_string(),
            "220db098e40a3bf167de90886e6db2d48028c20423d15ef2e253b99f3b249114"
        );
    }

    #[test]
    fn another_purpose_or_salt_is_another_key() {
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
