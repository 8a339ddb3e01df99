//! The secret that binds a login which ends in another request to the browser that began it (RFC 9700
//! §4.7.1: `state` must be bound to the user agent).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_oauth_support::Secret;
use serde::{Deserialize, Serialize};

use super::pkce::{RandomError, random_text, sha256};

/// 256 bits, as for `state`.
const SECRET_BYTES: usize = 32;
/// Separates the random text from the account. It is not in the alphabet of base64url.
const SEPARATOR: char = '.';

/// The text in the cookie of the browser: 256 random bits, and the name of the account, if there is one.
///
/// The account is part of it because it is part of the name of the stored login, and the callback does not
/// say which login it ends. Every character may stand in a cookie (RFC 6265 §4.1.1).
#[derive(Clone, Debug)]
pub(crate) struct BrowserSecret<'a>(&'a Secret<String>);

/// The hash of a browser secret, which is stored instead of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct BrowserSecretHash(String);

/// Generates the secret of a login of `account`.
///
/// # Errors
/// [`RandomError`].
pub(crate) fn generate(account: Option<&str>) -> Result<Secret<String>, RandomError> {
    let mut secret = random_text::<SECRET_BYTES>()?;
    if let Some(account) = account {
        let text = secret.expose();
        let encoded = URL_SAFE_NO_PAD.encode(account);
        secret = Secret::new(format!("{text}{SEPARATOR}{encoded}"));
    }
    Ok(secret)
}

impl<'a> BrowserSecret<'a> {
    /// Wraps the text of a cookie, which may be any text.
    pub(crate) fn new(text: &'a Secret<String>) -> Self {
        Self(text)
    }

    /// Returns the account in it; none too if that part cannot be read.
    pub(crate) fn account(&self) -> Option<String> {
        let (_random, encoded) = self.0.expose().split_once(SEPARATOR)?;
        String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
    }

    /// Returns the hash to store.
    pub(crate) fn hash(&self) -> BrowserSecretHash {
        BrowserSecretHash(sha256(self.0.expose()))
    }
}

impl BrowserSecretHash {
    /// Returns whether it is the hash of `secret`, in constant time.
    pub(crate) fn is_of(&self, secret: &BrowserSecret<'_>) -> bool {
        let given = secret.hash();
        verify_slices_are_equal(self.0.as_bytes(), given.0.as_bytes()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_whole_secret_has_its_hash() {
        let secret = generate(Some("work")).unwrap();
        let hash = BrowserSecret::new(&secret).hash();
        assert!(hash.is_of(&BrowserSecret::new(&secret)));
        let text = secret.expose();
        for other in [
            String::new(),
            text.split('.').next().unwrap().to_owned(),
            format!("{text}x"),
            generate(Some("work")).unwrap().expose().clone(),
        ] {
            let other = Secret::new(other);
            assert!(!hash.is_of(&BrowserSecret::new(&other)));
        }
        assert!(!format!("{hash:?} {secret:?}").contains(text.as_str()));
    }

    proptest! {
        #[test]
        fn the_account_returns_from_characters_that_a_cookie_may_have(account in any::<String>()) {
            let secret = generate(Some(&account)).unwrap();
            prop_assert_eq!(BrowserSecret::new(&secret).account(), Some(account));
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            prop_assert!(secret.expose().bytes().all(is_plain));
        }

        #[test]
        fn no_cookie_makes_it_panic(text in any::<String>()) {
            let text = Secret::new(text);
            let _account = BrowserSecret::new(&text).account();
        }
    }

    #[test]
    fn a_login_without_an_account_has_none_in_its_secret() {
        let secret = generate(None).unwrap();
        assert_eq!(BrowserSecret::new(&secret).account(), None);
    }
}
