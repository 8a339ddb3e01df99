//! A signed token as it was received; its signature is checked after parsing.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::key::PublicKey;

/// The allowed clock difference, in seconds.
const SKEW: f64 = 30.0;

/// A JWT in compact serialization (RFC 7515 §7.1), not yet verified.
#[derive(Debug, Clone)]
pub(crate) struct Jwt {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    signed: String,
    signature: String,
}

impl Jwt {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        Some(Self {
            header: object(header)?,
            claims: object(claims)?,
            signed: signed.to_owned(),
            signature: signature.to_owned(),
        })
    }

    /// Returns whether one of these keys signed it. The key decides the algorithm and `alg` must match
    /// it: the token itself must not select the algorithm (RFC 8725 §3.1).
    pub(crate) fn is_signed_by(&self, keys: &[PublicKey]) -> bool {
        let alg = self.header("alg");
        keys.iter()
            .filter(|key| alg == Some(key.algorithm().name()))
            .any(|key| key.verifies(&self.signed, &self.signature))
    }

    /// Returns a member of the header that is a string.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.header.get(name)?.as_str()
    }

    /// Returns the key that the header carries.
    pub(crate) fn jwk(&self) -> Option<&Value> {
        self.header.get("jwk")
    }

    /// Returns a claim that is a non-empty string.
    pub(crate) fn claim(&self, name: &str) -> Option<&str> {
        let text = self.claims.get(name)?.as_str()?;
        (!text.is_empty()).then_some(text)
    }

    /// Returns a `NumericDate` (RFC 7519 §2), which may have a fraction.
    pub(crate) fn date(&self, name: &str) -> Option<f64> {
        self.claims.get(name)?.as_f64()
    }

    /// Returns whether `aud` is or holds this audience (RFC 7519 §4.1.3).
    pub(crate) fn is_for(&self, audience: &str) -> bool {
        match self.claims.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(several)) => several.iter().any(|one| one == audience),
            _ => false,
        }
    }

    /// Checks the dates by RFC 7523 §3: `exp` is required and not past; `nbf` and `iat`, if present,
    /// are not in the future.
    pub(crate) fn check_dates(&self, now: Duration) -> Result<(), &'static str> {
        let now = now.as_secs_f64();
        match self.date("exp") {
            None => return Err("exp is missing"),
            Some(expires) if expires <= now => return Err("exp is past"),
            Some(_) => {}
        }
        let early = |name| self.date(name).is_some_and(|date| date > now + SKEW);
        if early("nbf") || early("iat") {
            return Err("nbf or iat is in the future");
        }
        Ok(())
    }
}

fn object(encoded: &str) -> Option<Map<String, Value>> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(encoded).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jose::key::{Algorithm, KeyPair};

    fn signed(claims: &Value) -> Jwt {
        let pair = KeyPair::generate(Algorithm::EdDsa).unwrap();
        Jwt::parse(&pair.jwt(Map::new(), claims).unwrap()).unwrap()
    }

    #[test]
    fn only_the_key_that_signed_verifies_and_alg_must_be_its_own() {
        let pair = KeyPair::generate(Algorithm::Es256).unwrap();
        let other = KeyPair::generate(Algorithm::Es256).unwrap();
        let good = Jwt::parse(&pair.jwt(Map::new(), &json!({})).unwrap()).unwrap();
        assert!(good.is_signed_by(&[other.public(), pair.public()]));
        assert!(!good.is_signed_by(&[other.public()]));
        for alg in ["none", "RS256"] {
            let header = Map::from_iter([("alg".to_owned(), json!(alg))]);
            let mismatched = Jwt::parse(&pair.jwt(header, &json!({})).unwrap()).unwrap();
            assert!(!mismatched.is_signed_by(&[pair.public()]), "{alg}");
        }
    }

    #[test]
    fn an_audience_is_one_or_one_of_several() {
        assert!(signed(&json!({ "aud": "a" })).is_for("a"));
        assert!(signed(&json!({ "aud": ["b", "a"] })).is_for("a"));
        assert!(!signed(&json!({ "aud": ["b"] })).is_for("a"));
        assert!(!signed(&json!({})).is_for("a"));
    }

    #[test]
    fn dates_are_compared_with_the_given_clock() {
        let now = Duration::from_secs(1000);
        for (claims, good) in [
            (json!({ "exp": 1001 }), true),
            (json!({ "exp": 1000.5, "iat": 1020, "nbf": 1020 }), true),
            (json!({ "exp": 1000 }), false),
            (json!({ "exp": "1001" }), false),
            (json!({ "exp": 2000, "iat": 1031 }), false),
            (json!({ "exp": 2000, "nbf": 1031 }), false),
        ] {
            assert_eq!(signed(&claims).check_dates(now).is_ok(), good, "{claims}");
        }
    }
}
