//! `private_key_jwt`: a client authenticates by a signature (RFC 7523 §2.2, §3).
//!
//! `aws-lc-rs` creates the signatures directly. A general JWT crate would select its cryptography library by
//! the features that the whole program enables, and panic if these conflict.

use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use mcp_oauth_support::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    pkce::{self, RandomError},
    server_metadata::Issuer,
};

mod jwk;

/// The lifetime of an assertion, which is created for one request and sent at once.
const LIFE: Duration = Duration::from_secs(60);
/// Longer than the PEM of an RSA key of 8192 bits, the largest that is supported.
const LONGEST_PEM: usize = 16 * 1024;
/// The length of a random `jti`: 16 bytes make a collision negligible (RFC 7519 §4.1.7).
const ID_BYTES: usize = 16;

/// Says why the key of a client could not sign.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(unnameable_types, reason = "callers show it, and do not match on it")]
pub enum SigningError {
    /// No random numbers.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The cryptography failed.
    #[error("the private key of the client could not sign")]
    Failed,
}

/// A signature algorithm of RFC 7518 §3.1 and RFC 8037 §3.1. The type of a key has exactly one.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum SigningAlgorithm {
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// Ed25519.
    EdDsa,
}

impl SigningAlgorithm {
    /// Returns the registered name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// A private key for client authentication. It is never printed, and wiped from memory when it is
/// dropped.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct PrivateKey {
    pkcs8: Secret<Vec<u8>>,
    algorithm: SigningAlgorithm,
    key_id: Option<String>,
}

/// Says why a key cannot be used. It never quotes the key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(unnameable_types, reason = "callers show it, and do not match on it")]
pub enum PrivateKeyError {
    /// Not the PEM text of a PKCS#8 key.
    #[error(
        "it is not the PEM text of an unencrypted PKCS#8 key (`-----BEGIN PRIVATE KEY-----`); \
         `openssl pkcs8 -topk8 -nocrypt` makes one"
    )]
    NotPkcs8,
    /// A key that no supported algorithm uses.
    #[error("it is neither a P-256, nor an Ed25519, nor an RSA key of 2048 to 8192 bits")]
    Unsupported,
}

/// The `jti` of one assertion.
#[derive(Clone, Debug)]
pub(crate) struct JwtId(String);

impl JwtId {
    /// Generates a unique id.
    ///
    /// # Errors
    /// [`RandomError`].
    pub(crate) fn generate() -> Result<Self, RandomError> {
        let text = pkce::random_text::<ID_BYTES>()?;
        Ok(Self(text.expose().clone()))
    }
}

impl PrivateKey {
    /// Reads the PEM text of an unencrypted PKCS#8 key.
    ///
    /// # Errors
    /// Fails if it is something else, or a key that no supported algorithm uses.
    pub fn from_pem(text: &str) -> Result<Self, PrivateKeyError> {
        const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
        const END: &str = "-----END PRIVATE KEY-----";
        if text.len() > LONGEST_PEM {
            return Err(PrivateKeyError::NotPkcs8);
        }
        let body = text.split_once(BEGIN).and_then(|(_, rest)| {
            let (body, _) = rest.split_once(END)?;
            Some(body)
        });
        Self::from_base64(body.ok_or(PrivateKeyError::NotPkcs8)?)
    }

    /// Names the key in each assertion (`kid`), for a client that registered several.
    #[must_use]
    pub fn with_key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    /// Returns the algorithm of the key.
    pub(crate) fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// Returns the assertion of `client_id` for `audience`: the issuer, and not one of its endpoints
    /// (SEP-1046). It is valid for one request that is sent at `now`.
    ///
    /// # Errors
    /// [`SigningError`] if the cryptography fails.
    pub(crate) fn client_assertion(
        &self,
        client_id: &str,
        audience: &Issuer,
        now: SystemTime,
        id: &JwtId,
    ) -> Result<Secret<String>, SigningError> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap_or_default();
        let claims = json!({
            "iss": client_id,
            "sub": client_id,
            "aud": audience.as_str(),
            "iat": now.as_secs(),
            "exp": (now + LIFE).as_secs(),
            "jti": id.0,
        });
        let message = format!("{}.{}", encoded(&self.header()), encoded(&claims));
        let signature = self.sign(message.as_bytes()).ok_or(SigningError::Failed)?;
        let signature = URL_SAFE_NO_PAD.encode(signature);
        Ok(Secret::new(format!("{message}.{signature}")))
    }

    fn header(&self) -> Value {
        let mut header = json!({ "typ": "JWT", "alg": self.algorithm.as_str() });
        if let Some(key_id) = &self.key_id {
            header["kid"] = key_id.as_str().into();
        }
        header
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let (pkcs8, random) = (self.pkcs8.expose(), pkce::random_source());
        match self.algorithm {
            SigningAlgorithm::Es256 => {
                let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).ok()?;
                Some(key.sign(&random, message).ok()?.as_ref().to_vec())
            }
            SigningAlgorithm::EdDsa => {
                let key = Ed25519KeyPair::from_pkcs8(pkcs8).ok()?;
                Some(key.try_sign(message).ok()?.as_ref().to_vec())
            }
            SigningAlgorithm::Rs256 => {
                let key = RsaKeyPair::from_pkcs8(pkcs8).ok()?;
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .ok()?;
                Some(signature)
            }
        }
    }

    fn from_base64(text: &str) -> Result<Self, PrivateKeyError> {
        let mut compact = Zeroizing::new(String::with_capacity(text.len()));
        compact.extend(text.chars().filter(|c| !c.is_ascii_whitespace()));
        let pkcs8 = STANDARD.decode(compact.as_bytes());
        let pkcs8 = Secret::new(pkcs8.map_err(|_| PrivateKeyError::NotPkcs8)?);
        let algorithm = algorithm_of(pkcs8.expose()).ok_or(PrivateKeyError::Unsupported)?;
        Ok(Self {
            pkcs8,
            algorithm,
            key_id: None,
        })
    }
}

/// Returns the algorithm of a key: that of the only parser that accepts it.
fn algorithm_of(pkcs8: &[u8]) -> Option<SigningAlgorithm> {
    if EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).is_ok() {
        Some(SigningAlgorithm::Es256)
    } else if Ed25519KeyPair::from_pkcs8(pkcs8).is_ok() {
        Some(SigningAlgorithm::EdDsa)
    } else if RsaKeyPair::from_pkcs8(pkcs8).is_ok() {
        Some(SigningAlgorithm::Rs256)
    } else {
        None
    }
}

fn encoded(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

/// The key as it is stored with a client.
#[derive(Deserialize, Serialize)]
struct Wire {
    pkcs8: Secret<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
}

impl From<PrivateKey> for Wire {
    fn from(key: PrivateKey) -> Self {
        Self {
            pkcs8: Secret::new(STANDARD.encode(key.pkcs8.expose())),
            key_id: key.key_id,
        }
    }
}

impl TryFrom<Wire> for PrivateKey {
    type Error = PrivateKeyError;

    fn try_from(wire: Wire) -> Result<Self, PrivateKeyError> {
        let key = Self::from_base64(wire.pkcs8.expose())?;
        let key_id = wire.key_id;
        Ok(Self { key_id, ..key })
    }
}

#[cfg(test)]
mod tests;
