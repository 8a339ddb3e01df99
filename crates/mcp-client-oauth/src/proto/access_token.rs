//! An access token, in the form that requests send (RFC 6750 §2.1, RFC 9449 §7.1).

use std::{fmt, str::FromStr};

use bytes::Bytes;
use http::HeaderValue;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor},
    ser::SerializeMap as _,
};
use zeroize::Zeroizing;

use mcp_oauth_support::Secret;

/// The longest token that is accepted, in bytes (docs/hostile.md H79).
pub(super) const LONGEST_TOKEN: usize = 16 * 1024;
const BEARER: &str = "Bearer ";
const DPOP: &str = "DPoP ";

/// The authentication scheme of a token: its `token_type`, and the scheme of the `Authorization` header.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum AuthScheme {
    /// Anyone who has the token can use it (RFC 6750).
    #[default]
    Bearer,
    /// Each request needs a proof of possession of the key that the token is bound to (RFC 9449).
    DPoP,
}

impl AuthScheme {
    /// Returns the registered name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::DPoP => "DPoP",
        }
    }

    /// Returns the text before the token in the header.
    fn prefix(self) -> &'static str {
        match self {
            Self::Bearer => BEARER,
            Self::DPoP => DPOP,
        }
    }
}

/// Reports a name that is not the name of an [`AuthScheme`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown authentication scheme (known are Bearer and DPoP)")]
#[non_exhaustive]
#[expect(unnameable_types, reason = "only its message is for callers")]
pub struct UnknownSchemeError;

impl FromStr for AuthScheme {
    type Err = UnknownSchemeError;

    /// Parses the name of a scheme, in any case (RFC 9110 §11.1, RFC 6749 §5.1).
    fn from_str(name: &str) -> Result<Self, UnknownSchemeError> {
        [Self::Bearer, Self::DPoP]
            .into_iter()
            .find(|scheme| scheme.as_str().eq_ignore_ascii_case(name))
            .ok_or(UnknownSchemeError)
    }
}

impl fmt::Display for AuthScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An access token that is valid in a header: it was checked when it was parsed (RFC 6750 §2.1).
///
/// It is kept as the complete value of the `Authorization` header, so that a request copies only a
/// reference. Its memory is wiped when the last copy is dropped.
#[derive(Clone, Eq, PartialEq)]
pub struct AccessToken(HeaderValue);

impl AccessToken {
    /// Returns a bearer token: `b64token` characters (RFC 6750 §2.1), and other visible ASCII that
    /// servers use.
    pub fn new(token: &str) -> Option<Self> {
        Self::of(AuthScheme::Bearer, token)
    }

    /// Returns a token that is bound to a key; the same characters are accepted.
    pub(crate) fn dpop(token: &str) -> Option<Self> {
        Self::of(AuthScheme::DPoP, token)
    }

    /// Returns a token with this scheme.
    pub(crate) fn of(scheme: AuthScheme, token: &str) -> Option<Self> {
        let fits = (1..=LONGEST_TOKEN).contains(&token.len());
        if !fits || !token.bytes().all(|b| (0x21..=0x7e).contains(&b)) {
            return None;
        }
        let text = Zeroizing::new([scheme.prefix().as_bytes(), token.as_bytes()].concat());
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text)).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }

    /// Returns the token of an `Authorization` header, if its scheme is known.
    pub(crate) fn from_header(header: &HeaderValue) -> Option<Self> {
        let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
        Self::of(scheme.parse().ok()?, token)
    }

    /// Returns the scheme of the token.
    pub fn scheme(&self) -> AuthScheme {
        if self.0.as_bytes().starts_with(DPOP.as_bytes()) {
            AuthScheme::DPoP
        } else {
            AuthScheme::Bearer
        }
    }

    /// Returns the value of the `Authorization` header, marked sensitive.
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// Returns the token without its scheme. The name marks each place where the secret leaves its wrapper.
    pub fn expose(&self) -> &str {
        self.0
            .to_str()
            .ok()
            .and_then(|text| text.strip_prefix(self.scheme().prefix()))
            .unwrap_or_default()
    }

    /// Returns a short form to show; see [`Secret::redacted`].
    pub fn redacted(&self) -> String {
        Secret::new(self.expose().to_owned()).redacted()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken([redacted])")
    }
}

/// Writes a bearer token as its text, as in the records of every version, and a token that is bound to a
/// key as an object, `{"DPoP": text}`, so that an older version does not read it as a bearer token.
impl Serialize for AccessToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.scheme() {
            AuthScheme::Bearer => serializer.serialize_str(self.expose()),
            AuthScheme::DPoP => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(AuthScheme::DPoP.as_str(), self.expose())?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for AccessToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Stored)
    }
}

/// Reads a stored token; its errors never quote it.
struct Stored;

impl<'de> Visitor<'de> for Stored {
    type Value = AccessToken;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an access token")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<AccessToken, E> {
        AccessToken::new(text).ok_or_else(|| E::custom("not an access token"))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<AccessToken, E> {
        self.visit_str(&Zeroizing::new(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AccessToken, A::Error> {
        let wrong = || de::Error::custom("not an access token");
        let (scheme, token) = map
            .next_entry::<String, Secret<String>>()?
            .ok_or_else(wrong)?;
        if scheme != AuthScheme::DPoP.as_str() || map.next_key::<String>()?.is_some() {
            return Err(wrong());
        }
        AccessToken::dpop(token.expose()).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_has_its_scheme_in_the_header() {
        let (bearer, bound) = (
            AccessToken::new("at").unwrap(),
            AccessToken::dpop("at").unwrap(),
        );
        assert_eq!(
            (bearer.scheme(), bound.scheme()),
            (AuthScheme::Bearer, AuthScheme::DPoP)
        );
        assert_eq!((bearer.expose(), bound.expose()), ("at", "at"));
        assert_eq!(bearer.header(), "Bearer at");
        assert_eq!(bound.header(), "DPoP at");
        assert!(bound.header().is_sensitive());
        assert_ne!(bearer, bound);
    }

    #[test]
    fn a_bearer_token_is_stored_as_text_and_a_bound_one_as_an_object() {
        let (bearer, bound) = (
            AccessToken::new("at").unwrap(),
            AccessToken::dpop("at").unwrap(),
        );
        assert_eq!(serde_json::to_value(&bearer).unwrap(), json!("at"));
        assert_eq!(serde_json::to_value(&bound).unwrap(), json!({"DPoP": "at"}));
        for token in [bearer, bound] {
            let value = serde_json::to_value(&token).unwrap();
            assert_eq!(serde_json::from_value::<AccessToken>(value).unwrap(), token);
        }
        for bad in [
            json!({}),
            json!({"Bearer": "planted"}),
            json!({"DPoP": "planted", "x": 1}),
            json!({"DPoP": "planted\n"}),
            json!("planted\n"),
            json!(["planted"]),
            json!(null),
        ] {
            let error = serde_json::from_value::<AccessToken>(bad.clone()).unwrap_err();
            assert!(!error.to_string().contains("planted"), "{bad}: {error}");
        }
    }
}
