//! The key of a login, and the proofs that it signs (RFC 9449 §4.2).
//!
//! `aws-lc-rs`, which is a dependency anyway, creates the signatures. No JWT crate is needed for a JWS in
//! the compact form (three texts, separated by dots), and here the key is parsed only once, and not for
//! the proof of each request.

use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    digest::{self, SHA256},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderValue, Method};
use mcp_oauth_support::Secret;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use url::Url;
use zeroize::Zeroizing;

use super::nonce::DpopNonce;
use crate::proto::{pkce::random_text, token::AccessToken};

/// The signature algorithm, as servers list it in `dpop_signing_alg_values_supported`.
pub(crate) const ALGORITHM: &str = "ES256";
/// 128 random bits, so that no two proofs have the same `jti`; RFC 9449 §4.2 considers 96 enough.
const JTI_BYTES: usize = 16;
/// The length of one coordinate of a point of P-256, in bytes.
const COORDINATE: usize = 32;

/// Says why there is no key, or no proof.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(unnameable_types, reason = "callers show it, and do not match on it")]
pub enum DpopError {
    /// The cryptography library failed to generate a key, a signature or random bytes.
    #[error("cannot make a key, a signature or random bytes for a proof of possession")]
    System,
    /// The text is not a DPoP key.
    #[error("not a key for proofs of possession")]
    NotAKey,
}

/// The P-256 key that the tokens of a login are bound to. Cloning shares it; it is never printed.
#[derive(Clone)]
pub struct DpopKey(Arc<Inner>);

struct Inner {
    pair: EcdsaKeyPair,
    /// PKCS#8, as it is stored.
    private: Secret<Vec<u8>>,
    public: Jwk,
}

/// The public half (RFC 7518 §6.2.1). The members stand in the order that RFC 7638 §3.3 requires.
#[derive(Serialize)]
struct Jwk {
    crv: &'static str,
    kty: &'static str,
    x: String,
    y: String,
}

#[derive(Serialize)]
struct Header<'a> {
    typ: &'static str,
    alg: &'static str,
    jwk: &'a Jwk,
}

#[derive(Serialize)]
struct Claims<'a> {
    jti: &'a str,
    htm: &'a str,
    htu: &'a str,
    iat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ath: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
}

impl DpopKey {
    /// Generates a key.
    pub fn generate() -> Result<Self, DpopError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .map_err(|_| DpopError::System)?;
        let document = pair.to_pkcs8v1().map_err(|_| DpopError::System)?;
        Self::of(pair, Secret::new(document.as_ref().to_vec()))
    }

    fn from_pkcs8(private: Secret<Vec<u8>>) -> Result<Self, DpopError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private.expose())
            .map_err(|_| DpopError::NotAKey)?;
        Self::of(pair, private)
    }

    fn of(pair: EcdsaKeyPair, private: Secret<Vec<u8>>) -> Result<Self, DpopError> {
        // An uncompressed point: the byte 4, then x and y.
        let point = pair.public_key().as_ref();
        let (x, y) = point
            .get(1..)
            .filter(|coordinates| coordinates.len() == 2 * COORDINATE)
            .ok_or(DpopError::NotAKey)?
            .split_at(COORDINATE);
        let public = Jwk {
            crv: "P-256",
            kty: "EC",
            x: URL_SAFE_NO_PAD.encode(x),
            y: URL_SAFE_NO_PAD.encode(y),
        };
        Ok(Self(Arc::new(Inner {
            pair,
            private,
            public,
        })))
    }

    /// Returns the thumbprint of its public half: `dpop_jkt` in an authorization request (RFC 9449
    /// §10), and `cnf.jkt` in tokens (RFC 7638).
    pub fn thumbprint(&self) -> String {
        hash(&serde_json::to_vec(&self.0.public).unwrap_or_default())
    }

    /// Returns a proof for one request: its method, its URL without query and fragment, a `jti` that no
    /// other proof has, and the nonce of the server. `token` is the access token of the request, if it
    /// is sent to a resource (RFC 9449 §7).
    pub(crate) fn proof(
        &self,
        method: &Method,
        url: &Url,
        now: SystemTime,
        nonce: Option<&DpopNonce>,
        token: Option<&AccessToken>,
    ) -> Result<HeaderValue, DpopError> {
        let mut target = url.clone();
        target.set_query(None);
        target.set_fragment(None);
        let jti = random_text::<JTI_BYTES>().map_err(|_| DpopError::System)?;
        let header = Header {
            typ: "dpop+jwt",
            alg: ALGORITHM,
            jwk: &self.0.public,
        };
        let claims = Claims {
            jti: jti.expose(),
            htm: method.as_str(),
            htu: target.as_str(),
            iat: now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            ath: token.map(|token| hash(token.expose().as_bytes())),
            nonce: nonce.map(DpopNonce::as_str),
        };
        let mut value =
            HeaderValue::try_from(self.sign(&header, &claims)?).map_err(|_| DpopError::System)?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Returns a JWS in the compact form (RFC 7515 §7.1).
    fn sign(&self, header: &Header<'_>, claims: &Claims<'_>) -> Result<String, DpopError> {
        let mut text = format!("{}.{}", part(header)?, part(claims)?);
        let digest = digest::digest(&SHA256, text.as_bytes());
        let signature = self.0.pair.sign_digest(&digest);
        let signature = signature.map_err(|_| DpopError::System)?;
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut text);
        Ok(text)
    }
}

fn part(content: &impl Serialize) -> Result<String, DpopError> {
    let json = serde_json::to_vec(content).map_err(|_| DpopError::System)?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

fn hash(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&SHA256, bytes))
}

impl PartialEq for DpopKey {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.private == other.0.private
    }
}

impl Eq for DpopKey {}

impl fmt::Debug for DpopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DpopKey([redacted])")
    }
}

impl Serialize for DpopKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(self.0.private.expose()));
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for DpopKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        // The text is a secret: the error must not quote it.
        let bytes = URL_SAFE_NO_PAD.decode(text.as_bytes());
        let bytes = bytes.map_err(|_| de::Error::custom(DpopError::NotAKey))?;
        Self::from_pkcs8(Secret::new(bytes)).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Duration};

    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use serde_json::{Value, json};

    use super::*;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn url() -> Url {
        "https://mcp.example/mcp?a=secret#f".parse().unwrap()
    }

    fn decoded(part: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(part).unwrap()
    }

    /// Returns header and claims of a proof, if the key in its header made the signature.
    fn verified(proof: &HeaderValue) -> (Value, Value) {
        let text = proof.to_str().unwrap();
        let [header, claims, signature] = text.split('.').collect::<Vec<_>>()[..] else {
            panic!("{text}");
        };
        let json = |part| serde_json::from_slice::<Value>(&decoded(part)).unwrap();
        let (head, body) = (json(header), json(claims));
        let coordinate = |name: &str| decoded(head["jwk"][name].as_str().unwrap());
        let point = [vec![4], coordinate("x"), coordinate("y")].concat();
        let signed = format!("{header}.{claims}");
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(signed.as_bytes(), &decoded(signature))
            .unwrap();
        (head, body)
    }

    #[test]
    fn a_proof_without_a_token_contains_only_the_request() {
        let key = DpopKey::generate().unwrap();
        let proof = key.proof(&Method::POST, &url(), now(), None, None).unwrap();
        assert!(proof.is_sensitive());
        let (head, body) = verified(&proof);
        assert_eq!(
            (&head["typ"], &head["alg"]),
            (&json!("dpop+jwt"), &json!("ES256"))
        );
        let members: Vec<_> = head["jwk"].as_object().unwrap().keys().collect();
        assert_eq!(members, ["crv", "kty", "x", "y"], "no private member");
        let jti = body["jti"].clone();
        assert_eq!(
            body,
            json!({"jti": jti, "htm": "POST", "htu": "https://mcp.example/mcp", "iat": 1_800_000_000})
        );
    }

    #[test]
    fn a_proof_for_a_resource_has_the_hash_of_the_token_and_the_nonce() {
        let key = DpopKey::generate().unwrap();
        // The token and its hash of RFC 9449 §7.1.
        let token = AccessToken::dpop("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU").unwrap();
        let nonce = DpopNonce::new("eyJ7S_zG.eyJH0-Z.HX4w-7v").unwrap();
        let proof = key.proof(&Method::GET, &url(), now(), Some(&nonce), Some(&token));
        let (_, body) = verified(&proof.unwrap());
        assert_eq!(body["ath"], "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
        assert_eq!(body["nonce"], "eyJ7S_zG.eyJH0-Z.HX4w-7v");
    }

    #[test]
    fn no_two_proofs_are_alike() {
        let key = DpopKey::generate().unwrap();
        let jtis = (0..100).map(|_| {
            let proof = key.proof(&Method::GET, &url(), now(), None, None).unwrap();
            verified(&proof).1["jti"].as_str().unwrap().to_owned()
        });
        assert_eq!(jtis.collect::<HashSet<_>>().len(), 100);
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_9449() {
        // The key of RFC 9449 §4.2 and the `jkt` of its §6.1.
        let jwk = Jwk {
            crv: "P-256",
            kty: "EC",
            x: "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs".to_owned(),
            y: "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA".to_owned(),
        };
        assert_eq!(
            hash(&serde_json::to_vec(&jwk).unwrap()),
            "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
        );
    }

    #[test]
    fn a_key_survives_json_and_is_not_printed() {
        let key = DpopKey::generate().unwrap();
        let text = serde_json::to_string(&key).unwrap();
        let again: DpopKey = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&again, again.thumbprint()),
            (&key, key.thumbprint()),
            "{key:?}"
        );
        assert_ne!(key, DpopKey::generate().unwrap());
        assert_eq!(format!("{key:?}"), "DpopKey([redacted])");
        for bad in ["\"\"", "\"planted\"", "\"!\"", "7"] {
            let error = serde_json::from_str::<DpopKey>(bad).unwrap_err();
            assert!(!error.to_string().contains("planted"));
        }
    }
}
