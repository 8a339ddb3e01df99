//! Key pairs that sign, and public keys as JWK (RFC 7517, 8037).

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{
    AlgorithmParameters, CommonParameters, EllipticCurve, Jwk, ThumbprintHash,
};
use jsonwebtoken::{DecodingKey, EncodingKey, crypto};
use serde_json::{Map, Value, json};

/// The algorithms that the servers support: asymmetric ones, and never `none`.
pub(crate) const ALGORITHMS: [Algorithm; 3] =
    [Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa];

/// The bytes before the `RSAPrivateKey` in the PKCS #8 of an RSA key of 2048 bits (RFC 5208 §5):
/// the header of the sequence, the version, the algorithm, and the header of the octet string.
const RSA_PKCS8_HEADER: usize = 26;

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
    /// Returns its name in a JWT's `alg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
        }
    }

    fn jws(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

/// The reason why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The key cannot be read, or is of a type that the servers do not support.
    #[error("the key is not a P-256, RSA or Ed25519 key")]
    Unreadable,
    /// The testbed was built without the issuer that owns the key.
    #[error("the testbed was built without the issuer that owns the key")]
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

impl From<jsonwebtoken::errors::Error> for KeyError {
    fn from(_: jsonwebtoken::errors::Error) -> Self {
        Self::Failed
    }
}

/// A private key and its public key, for tests to sign with.
pub struct KeyPair {
    algorithm: Algorithm,
    pkcs8: Vec<u8>,
    key: EncodingKey,
    public: PublicKey,
}

impl KeyPair {
    /// Generates a key pair.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        let (pkcs8, key) = match algorithm {
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
                let der = pair.to_pkcs8v1()?.as_ref().to_vec();
                let key = EncodingKey::from_ec_der(&der);
                (der, key)
            }
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
                let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair)?.as_ref().to_vec();
                let pkcs1 = der.get(RSA_PKCS8_HEADER..).ok_or(KeyError::Failed)?;
                let key = EncodingKey::from_rsa_der(pkcs1);
                (der, key)
            }
            Algorithm::EdDsa => {
                let der = Ed25519KeyPair::generate()?.to_pkcs8v1()?.as_ref().to_vec();
                let key = EncodingKey::from_ed_der(&der);
                (der, key)
            }
        };
        let mut jwk = Jwk::from_encoding_key(&key, algorithm.jws())?;
        jwk.common = CommonParameters::default();
        let public = PublicKey { algorithm, jwk };
        Ok(Self {
            algorithm,
            pkcs8,
            key,
            public,
        })
    }

    /// Returns the private key as PKCS #8 in PEM (RFC 7468), to configure a client with.
    pub fn private_pem(&self) -> String {
        let encoded = BASE64_STANDARD.encode(&self.pkcs8);
        let mut pem = "-----BEGIN PRIVATE KEY-----\n".to_owned();
        for (index, character) in encoded.chars().enumerate() {
            // RFC 7468 §2: lines of 64 characters.
            if index > 0 && index % 64 == 0 {
                pem.push('\n');
            }
            pem.push(character);
        }
        pem.push_str("\n-----END PRIVATE KEY-----\n");
        pem
    }

    /// Returns the public key as a JWK.
    pub fn public_jwk(&self) -> Value {
        json!(self.public.jwk)
    }

    /// Returns the public key.
    pub fn public(&self) -> PublicKey {
        self.public.clone()
    }

    /// Returns the algorithm that it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Signs a JWT with these members in its header, and `alg` unless they have one, and with these
    /// claims.
    pub fn jwt(&self, mut header: Map<String, Value>, claims: &Value) -> Result<String, KeyError> {
        header
            .entry("alg")
            .or_insert_with(|| json!(self.algorithm.name()));
        let header = Value::Object(header).to_string();
        let [header, claims] =
            [header, claims.to_string()].map(|text| BASE64_URL_SAFE_NO_PAD.encode(text));
        let signed = format!("{header}.{claims}");
        let signature = crypto::sign(signed.as_bytes(), &self.key, self.algorithm.jws())?;
        Ok(format!("{signed}.{signature}"))
    }
}

/// Shows the public key alone.
impl fmt::Debug for KeyPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let public = &self.public;
        formatter.debug_tuple("KeyPair").field(public).finish()
    }
}

/// A public key that a server verifies with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: Algorithm,
    jwk: Jwk,
}

impl PublicKey {
    /// Reads the key of a JWK; members that a public key does not need are ignored.
    pub fn from_jwk(jwk: &Value) -> Result<Self, KeyError> {
        let jwk: Jwk = serde_json::from_value(jwk.clone()).map_err(|_| KeyError::Unreadable)?;
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                Algorithm::Es256
            }
            AlgorithmParameters::RSA(_) => Algorithm::Rs256,
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                Algorithm::EdDsa
            }
            _ => return Err(KeyError::Unreadable),
        };
        DecodingKey::from_jwk(&jwk).map_err(|_| KeyError::Unreadable)?;
        Ok(Self { algorithm, jwk })
    }

    /// Returns the algorithm that its signatures have.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Computes the SHA-256 thumbprint (RFC 7638 §3).
    pub fn thumbprint(&self) -> Result<String, KeyError> {
        Ok(self.jwk.thumbprint(ThumbprintHash::SHA256)?)
    }

    /// Returns whether this is the signature of the message by this key, encoded as in a JWT.
    pub(super) fn verifies(&self, message: &str, signature: &str) -> bool {
        DecodingKey::from_jwk(&self.jwk).is_ok_and(|key| {
            crypto::verify(signature, message.as_bytes(), &key, self.algorithm.jws())
                .unwrap_or_default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_matches_rfc_7638() {
        // RFC 7638 §3.1.
        let jwk = json!({
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7\
                  aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXA\
                  rwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7\
                  d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6W\
                  eZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            "e": "AQAB",
            "alg": "RS256",
            "kid": "2011-04-29"
        });
        let expected = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
        let key = PublicKey::from_jwk(&jwk).unwrap();
        assert_eq!(key.thumbprint().as_deref(), Ok(expected));
    }

    #[test]
    fn a_public_key_is_read_from_its_jwk_and_verifies() {
        for algorithm in ALGORITHMS {
            let pair = KeyPair::generate(algorithm).unwrap();
            let jwt = pair.jwt(Map::new(), &json!({})).unwrap();
            let (message, signature) = jwt.rsplit_once('.').unwrap();
            for key in [
                pair.public(),
                PublicKey::from_jwk(&pair.public_jwk()).unwrap(),
            ] {
                assert_eq!(key.algorithm(), algorithm);
                assert!(key.verifies(message, signature), "{algorithm:?}");
                assert!(!key.verifies("other", signature), "{algorithm:?}");
            }
        }
    }

    #[test]
    fn a_private_key_is_pkcs_8_in_lines_of_64_characters() {
        for algorithm in ALGORITHMS {
            let pem = KeyPair::generate(algorithm).unwrap().private_pem();
            assert!(pem.lines().all(|line| line.len() <= 64));
            let encoded: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
            let der = BASE64_STANDARD.decode(encoded).unwrap();
            let read = match algorithm {
                Algorithm::Es256 => {
                    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).is_ok()
                }
                Algorithm::Rs256 => RsaKeyPair::from_pkcs8(&der).is_ok(),
                Algorithm::EdDsa => Ed25519KeyPair::from_pkcs8(&der).is_ok(),
            };
            assert!(read, "{algorithm:?}");
        }
    }

    #[test]
    fn the_ed25519_signature_of_rfc_8037_verifies() {
        // RFC 8037 appendix A.4.
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
        let signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt\
                         9g7sVvpAr_MuM0KAg";
        let key = PublicKey::from_jwk(&key).unwrap();
        assert!(key.verifies(signed, signature));
    }

    #[test]
    fn a_malformed_key_is_refused_or_verifies_nothing() {
        for jwk in [
            json!({}),
            json!({ "kty": "oct", "k": "AAAA" }),
            json!({ "kty": "EC", "crv": "P-384", "x": "AAAA", "y": "AAAA" }),
            json!({ "kty": "EC", "crv": "P-256", "x": "!", "y": "AAAA" }),
            json!({ "kty": "OKP", "crv": "Ed25519" }),
        ] {
            assert_eq!(
                PublicKey::from_jwk(&jwk),
                Err(KeyError::Unreadable),
                "{jwk}"
            );
        }
        let pair = KeyPair::generate(Algorithm::Es256).unwrap();
        let jwt = pair.jwt(Map::new(), &json!({})).unwrap();
        let (message, signature) = jwt.rsplit_once('.').unwrap();
        for jwk in [
            json!({ "kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA" }),
            json!({ "kty": "RSA", "n": "", "e": "AQAB" }),
        ] {
            let key = PublicKey::from_jwk(&jwk).unwrap();
            assert!(!key.verifies(message, signature), "{jwk}");
        }
    }
}
