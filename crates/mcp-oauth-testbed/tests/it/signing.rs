//! Assertions that are signed with the testbed's own keys.

use mcp_oauth_testbed::{KeyPair, Testbed};
use serde_json::{Map, Value, json};

pub(crate) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Returns the current time for claims.
#[allow(
    clippy::disallowed_methods,
    reason = "the testbed's clock starts at the system time"
)]
pub(crate) fn now() -> u64 {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// Returns a valid client assertion with some claims replaced; `null` leaves one out.
pub(crate) fn assertion(testbed: &Testbed, pair: &KeyPair, client: &str, other: &Value) -> String {
    let claims = json!({
        "iss": client,
        "sub": client,
        "aud": testbed.issuer(),
        "exp": now() + 60,
        "iat": now(),
        "jti": "one",
    });
    pair.jwt(Map::new(), &merged(claims, other)).unwrap()
}

pub(crate) fn merged(mut claims: Value, other: &Value) -> Value {
    for (name, value) in other.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    claims
}

/// Returns a unique `jti`.
pub(crate) fn unique() -> String {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    format!("jti {number}")
}
