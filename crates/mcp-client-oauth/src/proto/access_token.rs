//! An access token, as requests carry it (RFC 6750 §2.1).

use std::fmt;

use bytes::Bytes;
use http::HeaderValue;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// The longest token that is taken (H79).
pub(super) const LONGEST_TOKEN: usize = 16 * 1024;
const BEARER: &str = "Bearer ";

/// An access token that can go into a header as it is: it was checked when it came (H78).
///
/// It is kept as the ready `Authorization` value, so that using it costs a reference count; its
/// memory is wiped with the last copy.
#[derive(Clone, Eq, PartialEq)]
pub struct AccessToken(HeaderValue);

impl AccessToken {
    /// Takes `b64token` characters (RFC 6750 §2.1), and other visible ASCII that servers use.
    pub fn new(token: &str) -> Option<Self> {
        let fits = (1..=LONGEST_TOKEN).contains(&token.len());
        if !fits || !token.bytes().all(|b| (0x21..=0x7e).contains(&b)) {
            return None;
        }
        let text = Zeroizing::new([BEARER.as_bytes(), token.as_bytes()].concat());
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text)).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }

    /// The value of the `Authorization` header, marked sensitive.
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// Marks the place where the bare token leaves its wrapper.
    pub fn expose(&self) -> &str {
        self.0
            .to_str()
            .ok()
            .and_then(|text| text.strip_prefix(BEARER))
            .unwrap_or_default()
    }

    /// A hint for people; see [`Secret::redacted`].
    pub fn redacted(&self) -> String {
        Secret::new(self.expose().to_owned()).redacted()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken([redacted])")
    }
}

impl Serialize for AccessToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for AccessToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        Self::new(&text).ok_or_else(|| de::Error::custom("not an access token"))
    }
}
