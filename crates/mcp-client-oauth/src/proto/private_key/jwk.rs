//! The public key as a JWK (RFC 7517 §4; RFC 7518 §6; RFC 8037 §2).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{PrivateKey, SigningAlgorithm};

/// The length of one coordinate of a point of P-256, in bytes.
const COORDINATE: usize = 32;

impl PrivateKey {
    /// Returns the public key as a JWK, for the `jwks` of a client metadata document or a registration;
    /// with `alg` and `use`, and with the key id if there is one. It contains no secret.
    pub fn public_jwk(&self) -> Value {
        let mut jwk = self.public_members().unwrap_or_else(|| json!({}));
        jwk["alg"] = self.algorithm.as_str().into();
        jwk["use"] = "sig".into();
        if let Some(key_id) = &self.key_id {
            jwk["kid"] = key_id.as_str().into();
        }
        jwk
    }

    /// Returns the members of the public key; never none, because the same parser has accepted the key
    /// before.
    fn public_members(&self) -> Option<Value> {
        let pkcs8 = self.pkcs8.expose();
        match self.algorithm {
            SigningAlgorithm::Es256 => {
                let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).ok()?;
                // An uncompressed point: the byte 4, then x and y.
                let (_, point) = key.public_key().as_ref().split_first()?;
                let (x, y) = point.split_at_checked(COORDINATE)?;
                Some(json!({ "kty": "EC", "crv": "P-256", "x": encoded(x), "y": encoded(y) }))
            }
            SigningAlgorithm::EdDsa => {
                let key = Ed25519KeyPair::from_pkcs8(pkcs8).ok()?;
                let x = encoded(key.public_key().as_ref());
                Some(json!({ "kty": "OKP", "crv": "Ed25519", "x": x }))
            }
            SigningAlgorithm::Rs256 => {
                let key = RsaKeyPair::from_pkcs8(pkcs8).ok()?;
                let (n, e) = modulus_and_exponent(key.public_key().as_ref())?;
                Some(json!({ "kty": "RSA", "n": encoded(n), "e": encoded(e) }))
            }
        }
    }
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Parses `RSAPublicKey`: a sequence of two positive integers (RFC 8017 §A.1.1), as `aws-lc-rs` writes
/// it.
fn modulus_and_exponent(der: &[u8]) -> Option<(&[u8], &[u8])> {
    const SEQUENCE: u8 = 0x30;
    let (integers, _) = element(der, SEQUENCE)?;
    let (modulus, rest) = unsigned(integers)?;
    let (exponent, _) = unsigned(rest)?;
    Some((modulus, exponent))
}

/// Returns an integer without the zero that keeps it positive (RFC 7518 §6.3.1.1), and the rest after
/// it.
fn unsigned(der: &[u8]) -> Option<(&[u8], &[u8])> {
    const INTEGER: u8 = 0x02;
    let (digits, rest) = element(der, INTEGER)?;
    Some((digits.strip_prefix(&[0]).unwrap_or(digits), rest))
}

/// Returns the content of the first element, and the rest after it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    const LONG_FORM: u8 = 0x80;
    let (first, rest) = der.split_first()?;
    let (length, rest) = rest.split_first().filter(|_| *first == tag)?;
    if *length < LONG_FORM {
        return rest.split_at_checked((*length).into());
    }
    // In the long form, this is the number of bytes that hold the length.
    let (length, rest) = rest.split_at_checked((length - LONG_FORM).into())?;
    let length = length.iter().try_fold(0_usize, |length, byte| {
        length.checked_mul(256)?.checked_add((*byte).into())
    })?;
    rest.split_at_checked(length)
}
