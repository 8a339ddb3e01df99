//! The `nonce` of an authorization request, and the ID token that repeats it (OpenID Connect Core
//! 1.0 §3.1.2.1, §3.1.3.7).
//!
//! The ID token is used for nothing else, and is not stored.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_oauth_support::Secret;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::pkce::{RandomError, random_text};
use crate::platform::Response;

/// 256 bits, as for `state`.
const NONCE_BYTES: usize = 32;
/// The longest ID token that is read.
const LONGEST_ID_TOKEN: usize = 64 << 10;

/// Binds an ID token to the login that requested it: 256 random bits. It is stored only with the
/// `state` of a login that ends in another request.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Nonce(Secret<String>);

impl Nonce {
    /// Generates a nonce for one login.
    ///
    /// # Errors
    /// [`RandomError`].
    pub(crate) fn generate() -> Result<Self, RandomError> {
        random_text::<NONCE_BYTES>().map(Self)
    }

    /// Returns the text to send.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// The result of comparing the ID token of a token response with the nonce that was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub(crate) enum NonceCheck {
    /// The ID token has the nonce that was sent.
    Matches,
    /// The ID token has another nonce: it belongs to another login.
    Differs,
    /// The response has no ID token.
    NoIdToken,
    /// The ID token has no nonce.
    NoNonce,
    /// The ID token cannot be read: it is encrypted, too long, or no JWT.
    Unreadable,
}

/// Compares the `nonce` in the ID token of a token response with the one that was sent.
///
/// The signature is not checked: the token comes from the token endpoint over TLS, which OpenID
/// Connect Core §3.1.3.7 (rule 6) allows instead.
pub(crate) fn check_nonce(response: &Response, expected: &Nonce) -> NonceCheck {
    let wire: Wire = match serde_json::from_slice(&response.body) {
        Ok(wire) => wire,
        Err(_) => return NonceCheck::Unreadable,
    };
    let Some(id_token) = wire.id_token else {
        return NonceCheck::NoIdToken;
    };
    match claims(id_token.expose()).map(|claims| claims.nonce) {
        None => NonceCheck::Unreadable,
        Some(None) => NonceCheck::NoNonce,
        Some(Some(nonce)) if nonce == expected.expose() => NonceCheck::Matches,
        Some(Some(_)) => NonceCheck::Differs,
    }
}

/// Decodes the payload of a signed JWT, which has three parts (RFC 7515 §7.1); an encrypted one has five.
fn claims(id_token: &str) -> Option<Claims> {
    if id_token.len() > LONGEST_ID_TOKEN {
        return None;
    }
    let mut parts = id_token.split('.');
    let (Some(_header), Some(payload), Some(_signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    // Claims identify the user, so they are wiped from memory like a secret.
    let payload = Secret::new(URL_SAFE_NO_PAD.decode(payload).ok()?);
    serde_json::from_slice(payload.expose()).ok()
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    id_token: Option<Secret<String>>,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    nonce: Option<Value>,
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn nonce() -> Nonce {
        Nonce(Secret::new("n-0S6_WzA2Mj".to_owned()))
    }

    fn check(body: &str) -> NonceCheck {
        let response = Response::new(StatusCode::OK, HeaderMap::new(), body.to_owned());
        check_nonce(&response, &nonce())
    }

    fn jwt(payload: &[u8]) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    fn check_claims(claims: &Value) -> NonceCheck {
        let id_token = jwt(claims.to_string().as_bytes());
        check(&json!({"access_token": "a", "id_token": id_token}).to_string())
    }

    #[test]
    fn only_the_nonce_that_was_sent_matches() {
        for (claims, expected) in [
            (json!({"nonce": "n-0S6_WzA2Mj"}), NonceCheck::Matches),
            (
                json!({"nonce": "n-0S6_WzA2Mj", "sub": "248289761001", "aud": ["s6BhdRkqt3"]}),
                NonceCheck::Matches,
            ),
            (json!({"nonce": "n-0S6_WzA2M"}), NonceCheck::Differs),
            (json!({"nonce": "N-0S6_WzA2Mj"}), NonceCheck::Differs),
            (json!({"nonce": ""}), NonceCheck::Differs),
            (json!({"nonce": 7}), NonceCheck::Differs),
            (json!({"nonce": ["n-0S6_WzA2Mj"]}), NonceCheck::Differs),
            (json!({"nonce": null}), NonceCheck::NoNonce),
            (json!({"sub": "248289761001"}), NonceCheck::NoNonce),
            (json!("n-0S6_WzA2Mj"), NonceCheck::Unreadable),
            // serde accepts a list as a struct. Its first element is compared like any other nonce.
            (json!(["other"]), NonceCheck::Differs),
        ] {
            assert_eq!(check_claims(&claims), expected, "{claims}");
        }
    }

    #[test]
    fn an_id_token_that_is_missing_or_cannot_be_read_is_no_mismatch() {
        let long = jwt(json!({"nonce": "x", "pad": "p".repeat(LONGEST_ID_TOKEN)})
            .to_string()
            .as_bytes());
        let twice = jwt(br#"{"nonce":"n-0S6_WzA2Mj","nonce":"other"}"#);
        for (body, expected) in [
            (json!({"access_token": "a"}), NonceCheck::NoIdToken),
            (json!({"id_token": null}), NonceCheck::NoIdToken),
            (json!({"id_token": 7}), NonceCheck::Unreadable),
            (json!({"id_token": ""}), NonceCheck::Unreadable),
            (json!({"id_token": "a.b"}), NonceCheck::Unreadable),
            (json!({"id_token": "a.!.c"}), NonceCheck::Unreadable),
            (json!({"id_token": "a.b.c.d.e"}), NonceCheck::Unreadable),
            (
                json!({"id_token": jwt(b"\xff\xfe")}),
                NonceCheck::Unreadable,
            ),
            (json!({"id_token": long}), NonceCheck::Unreadable),
            (json!({"id_token": twice}), NonceCheck::Unreadable),
        ] {
            assert_eq!(check(&body.to_string()), expected, "{body}");
        }
        assert_eq!(
            check("access_token=a&id_token=a.b.c"),
            NonceCheck::Unreadable
        );
    }

    #[test]
    fn no_two_nonces_are_alike_and_none_is_printed() {
        let (one, other) = (Nonce::generate().unwrap(), Nonce::generate().unwrap());
        assert_ne!(one.expose(), other.expose());
        // 256 bits as base64url.
        assert_eq!(one.expose().len(), 43);
        assert!(!format!("{one:?}").contains(one.expose()));
    }

    proptest! {
        /// Whatever the payload is, it matches only if it holds the nonce.
        #[test]
        fn no_payload_without_the_nonce_matches(payload in any::<Vec<u8>>(), other in ".{0,20}") {
            prop_assume!(other != nonce().expose());
            let body = json!({"id_token": jwt(&payload)}).to_string();
            prop_assert!(check(&body) != NonceCheck::Matches);
            prop_assert_eq!(check_claims(&json!({"nonce": other})), NonceCheck::Differs);
        }

        #[test]
        fn no_body_makes_the_check_panic(body in any::<Vec<u8>>()) {
            let response = Response::new(StatusCode::OK, HeaderMap::new(), body);
            prop_assert!(check_nonce(&response, &nonce()) != NonceCheck::Matches);
        }
    }
}
