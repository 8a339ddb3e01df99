//! Key pairs that sign, and public keys as JWK (RFC 7517, 8037) or PEM (RFC 7468).

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
    RsaPublicKeyComponents, VerificationAlgorithm,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::{der, pem};

/// The algorithms that the servers know: all of them asymmetric, and never `none`.
pub(crate) const ALGORITHMS: [Algorithm; 3] =
    [Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa];

/// A signature algorithm (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSA PKCS #1 v1.5 with SHA-256; keys of 2048 bits.
    Rs256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// Its name in a JWT's `alg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
        }
    }

    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Es256 => &ECDSA_P256_SHA256_FIXED,
            Self::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::EdDsa => &ED25519,
        }
    }
}

/// Why a key is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The key cannot be read, or is of a kind that the servers do not know.
    #[error("the key is not a P-256, RSA or Ed25519 key: {0}")]
    Unreadable(&'static str),
    /// The testbed was built without the party whose key it is.
    #[error("the testbed was built without the party whose key it is")]
    Absent,
    /// The cryptographic library failed.
    #[error("the cryptographic library failed")]
    Failed,
}

impl From<aws_lc_rs::error::Unspecified> for KeyError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Failed
    }
}

/// A private key and its public key, for tests to sign with.
pub struct KeyPair(Pair);

enum Pair {
    Es256(EcdsaKeyPair),
    Rs256(Box<RsaKeyPair>),
    EdDsa(Ed25519KeyPair),
}

impl KeyPair {
    /// A new key pair.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        let pair = match algorithm {
            Algorithm::Es256 => {
                Pair::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?)
            }
            Algorithm::Rs256 => Pair::Rs256(Box::new(RsaKeyPair::generate(KeySize::Rsa2048)?)),
            Algorithm::EdDsa => Pair::EdDsa(Ed25519KeyPair::generate()?),
        };
        Ok(Self(pair))
    }

    /// The private key as PKCS #8 in PEM: what a client is configured with.
    pub fn private_pem(&self) -> Result<String, KeyError> {
        let der = match &self.0 {
            Pair::Es256(pair) => pair.to_pkcs8v1()?.as_ref().to_vec(),
            Pair::Rs256(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(&**pair)?.as_ref().to_vec(),
            Pair::EdDsa(pair) => pair.to_pkcs8v1()?.as_ref().to_vec(),
        };
        Ok(pem::encode("PRIVATE KEY", &der))
    }

    /// The public key as `SubjectPublicKeyInfo` in PEM.
    pub fn public_pem(&self) -> Result<String, KeyError> {
        let der = match &self.0 {
            Pair::Es256(pair) => AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key())?,
            Pair::Rs256(pair) => AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key())?,
            Pair::EdDsa(pair) => AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key())?,
        };
        Ok(pem::encode("PUBLIC KEY", der.as_ref()))
    }

    /// The public key as a JWK.
    pub fn public_jwk(&self) -> Value {
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        match &self.0 {
            Pair::Es256(pair) => {
                // 0x04, and two coordinates of 32 bytes (SEC 1 §2.3.3).
                let point = pair.public_key().as_ref();
                let (x, y) = point.get(1..).unwrap_or_default().split_at(point.len() / 2);
                json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) })
            }
            Pair::Rs256(pair) => {
                let key = der::rsa_public_key(pair.public_key().as_ref());
                let (n, e) = key.unwrap_or_default();
                json!({ "kty": "RSA", "n": encode(n), "e": encode(e) })
            }
            Pair::EdDsa(pair) => {
                let x = encode(pair.public_key().as_ref());
                json!({ "kty": "OKP", "crv": "Ed25519", "x": x })
            }
        }
    }

    /// The public key.
    pub fn public(&self) -> Result<PublicKey, KeyError> {
        PublicKey::from_jwk(&self.public_jwk())
    }

    /// The algorithm that it signs with.
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Pair::Es256(_) => Algorithm::Es256,
            Pair::Rs256(_) => Algorithm::Rs256,
            Pair::EdDsa(_) => Algorithm::EdDsa,
        }
    }

    /// A signed JWT with these members in its header, and `alg` unless they have one, and with
    /// these claims.
    pub fn jwt(&self, mut header: Map<String, Value>, claims: &Value) -> Result<String, KeyError> {
        header
            .entry("alg")
            .or_insert_with(|| json!(self.algorithm().name()));
        let header = Value::Object(header).to_string();
        let [header, claims] =
            [header, claims.to_string()].map(|text| BASE64_URL_SAFE_NO_PAD.encode(text));
        let signed = format!("{header}.{claims}");
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.sign(signed.as_bytes())?);
        Ok(format!("{signed}.{signature}"))
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let random = SystemRandom::new();
        match &self.0 {
            Pair::Es256(pair) => Ok(pair.sign(&random, message)?.as_ref().to_vec()),
            Pair::EdDsa(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)?;
                Ok(signature)
            }
        }
    }
}

/// Its private half is not shown.
impl fmt::Debug for KeyPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let public = self.public_jwk();
        formatter.debug_tuple("KeyPair").field(&public).finish()
    }
}

/// A public key that a server verifies with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: Algorithm,
    /// `SubjectPublicKeyInfo`, or what stands for it: an uncompressed point, or the 32 bytes of
    /// Ed25519.
    bytes: Vec<u8>,
}

impl PublicKey {
    /// A key of a JWK; members that a public key does not need are ignored.
    pub fn from_jwk(jwk: &Value) -> Result<Self, KeyError> {
        let member = |name| jwk.get(name).and_then(Value::as_str).unwrap_or_default();
        let bytes = |name| {
            BASE64_URL_SAFE_NO_PAD
                .decode(member(name))
                .map_err(|_| KeyError::Unreadable("a member is not base64url"))
        };
        match (member("kty"), member("crv")) {
            ("EC", "P-256") => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                let point = [&[4_u8], x.as_slice(), y.as_slice()].concat();
                Self::checked(Algorithm::Es256, point)
            }
            ("OKP", "Ed25519") => Self::checked(Algorithm::EdDsa, bytes("x")?),
            ("RSA", _) => {
                let (n, e) = (bytes("n")?, bytes("e")?);
                let der = AsDer::<PublicKeyX509Der<'_>>::as_der(&RsaPublicKeyComponents { n, e })?;
                Self::checked(Algorithm::Rs256, der.as_ref().to_vec())
            }
            _ => Err(KeyError::Unreadable("an unknown kty or crv")),
        }
    }

    /// A key of a `PUBLIC KEY` in PEM.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let der = pem::decode("PUBLIC KEY", text)
            .ok_or(KeyError::Unreadable("there is no PUBLIC KEY in the PEM"))?;
        ALGORITHMS
            .into_iter()
            .find_map(|algorithm| Self::checked(algorithm, der.clone()).ok())
            .ok_or(KeyError::Unreadable("an unknown algorithm"))
    }

    /// The algorithm that its signatures have.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The SHA-256 thumbprint of a JWK (RFC 7638 §3): of its required members alone, in the order
    /// of their names.
    pub fn thumbprint(jwk: &Value) -> Option<String> {
        let names: &[&str] = match jwk.get("kty")?.as_str()? {
            "EC" => &["crv", "kty", "x", "y"],
            "OKP" => &["crv", "kty", "x"],
            "RSA" => &["e", "kty", "n"],
            _ => return None,
        };
        let members: Option<Vec<String>> = names
            .iter()
            .map(|name| {
                Some(format!(
                    "\"{name}\":{}",
                    Value::from(jwk.get(*name)?.as_str()?)
                ))
            })
            .collect();
        let canonical = format!("{{{}}}", members?.join(","));
        let hash = digest::digest(&digest::SHA256, canonical.as_bytes());
        Some(BASE64_URL_SAFE_NO_PAD.encode(hash.as_ref()))
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        ParsedPublicKey::new(self.algorithm.verification(), &self.bytes)
            .is_ok_and(|key| key.verify_sig(message, signature).is_ok())
    }

    fn checked(algorithm: Algorithm, bytes: Vec<u8>) -> Result<Self, KeyError> {
        ParsedPublicKey::new(algorithm.verification(), &bytes)
            .map_err(|_| KeyError::Unreadable("the key itself is malformed"))?;
        Ok(Self { algorithm, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_is_that_of_rfc_7638() {
        // RFC 7638 §3.1.
        let jwk = json!({
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7\
                  aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXA\
                  rwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7\
                  d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lF\
                  d2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            "e": "AQAB",
            "alg": "RS256",
            "kid": "2011-04-29"
        });
        let expected = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
        assert_eq!(PublicKey::thumbprint(&jwk).as_deref(), Some(expected));
    }

    #[test]
    fn a_public_key_is_read_from_jwk_and_pem_and_verifies() {
        for algorithm in ALGORITHMS {
            let pair = KeyPair::generate(algorithm).unwrap();
            let signature = pair.sign(b"message").unwrap();
            let from_pem = PublicKey::from_pem(&pair.public_pem().unwrap()).unwrap();
            for key in [pair.public().unwrap(), from_pem] {
                assert_eq!(key.algorithm(), algorithm);
                assert!(key.verifies(b"message", &signature), "{algorithm:?}");
                assert!(!key.verifies(b"massage", &signature), "{algorithm:?}");
            }
        }
    }

    #[test]
    fn a_private_key_is_pkcs_8() {
        for algorithm in ALGORITHMS {
            let pair = KeyPair::generate(algorithm).unwrap();
            let der = pem::decode("PRIVATE KEY", &pair.private_pem().unwrap()).unwrap();
            let signature = match algorithm {
                Algorithm::Es256 => {
                    let curve = &ECDSA_P256_SHA256_FIXED_SIGNING;
                    KeyPair(Pair::Es256(EcdsaKeyPair::from_pkcs8(curve, &der).unwrap()))
                }
                Algorithm::Rs256 => {
                    KeyPair(Pair::Rs256(Box::new(RsaKeyPair::from_pkcs8(&der).unwrap())))
                }
                Algorithm::EdDsa => KeyPair(Pair::EdDsa(
                    Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).unwrap(),
                )),
            }
            .sign(b"message")
            .unwrap();
            assert!(pair.public().unwrap().verifies(b"message", &signature));
        }
    }

    #[test]
    fn an_ed25519_signature_is_that_of_rfc_8037() {
        // RFC 8037 appendix A.4.
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
        let signed = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt\
                         9g7sVvpAr_MuM0KAg";
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
        let key = PublicKey::from_jwk(&key).unwrap();
        assert!(key.verifies(signed, &signature));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for jwk in [
            json!({}),
            json!({ "kty": "oct", "k": "AAAA" }),
            json!({ "kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA" }),
            json!({ "kty": "RSA", "n": "", "e": "AQAB" }),
        ] {
            assert!(PublicKey::from_jwk(&jwk).is_err(), "{jwk}");
        }
        assert!(PublicKey::from_pem("no key").is_err());
    }
}
