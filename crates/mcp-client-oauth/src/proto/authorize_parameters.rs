//! Parameters that some authorization servers require besides those of the specifications
//! (RFC 6749 §3.1: "unrecognized request parameters" are ignored, so other servers accept them too).

use std::collections::{BTreeMap, btree_map};

use serde::{Deserialize, Serialize};

use mcp_oauth_support::UntrustedText;

/// The parameters that each login sets itself, and those that would replace them: a request object (RFC
/// 9101) overrides the query, and with another response mode the response does not reach the listener.
const RESERVED: &[&str] = &[
    "response_type",
    "client_id",
    "redirect_uri",
    "code_challenge",
    "code_challenge_method",
    "state",
    "resource",
    "scope",
    "dpop_jkt",
    NONCE,
    "request",
    "request_uri",
    "response_mode",
    "code",
    "code_verifier",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
];

/// A nonce is new for each login (OpenID Connect Core §15.5.2), so none is stored. Earlier versions
/// stored one: it is ignored when a record is read, so that a stored login can still be read.
const NONCE: &str = "nonce";

/// Extra parameters of the authorization request. Each occurs once, and none of them is reserved.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(
    try_from = "BTreeMap<String, String>",
    into = "BTreeMap<String, String>"
)]
#[expect(unnameable_types, reason = "callers fill the field of the quirks")]
pub struct AuthorizeParameters(BTreeMap<String, String>);

/// Says why a parameter cannot be added.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(unnameable_types, reason = "callers show it, and do not match on it")]
pub enum AuthorizeParameterError {
    /// A parameter that each login sets itself.
    #[error("the parameter `{0}` is reserved")]
    Reserved(UntrustedText),
    /// The name is empty, or a control character is in the name or the value.
    #[error("`{0}` cannot be a parameter: it has no name, or control characters")]
    Unusable(UntrustedText),
}

impl AuthorizeParameters {
    /// Adds a parameter, and replaces one of the same name. A parameter with an empty value is not sent
    /// (RFC 6749 §3.1); it removes one of the same name that is a known quirk of the provider.
    ///
    /// # Errors
    /// [`AuthorizeParameterError`].
    pub fn insert(
        &mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<(), AuthorizeParameterError> {
        let (name, value) = (name.into(), value.into());
        let is_control = |text: &str| text.chars().any(char::is_control);
        if name.is_empty() || is_control(&name) || is_control(&value) {
            return Err(AuthorizeParameterError::Unusable(UntrustedText::new(&name)));
        }
        if RESERVED.iter().any(|own| own.eq_ignore_ascii_case(&name)) {
            return Err(AuthorizeParameterError::Reserved(UntrustedText::new(&name)));
        }
        self.0.insert(name, value);
        Ok(())
    }

    /// Returns whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the parameters that are sent.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let sent = self.0.iter().filter(|(_, value)| !value.is_empty());
        sent.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns whether `name` is set here, also if its value is empty.
    pub(super) fn names(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns these parameters, and those of `other` that are not set here.
    #[must_use]
    pub(crate) fn or(mut self, other: Self) -> Self {
        for (name, value) in other.0 {
            if let btree_map::Entry::Vacant(free) = self.0.entry(name) {
                free.insert(value);
            }
        }
        self
    }
}

impl TryFrom<BTreeMap<String, String>> for AuthorizeParameters {
    type Error = AuthorizeParameterError;

    fn try_from(pairs: BTreeMap<String, String>) -> Result<Self, Self::Error> {
        let mut parameters = Self::default();
        let kept = |(name, _): &(String, String)| !name.eq_ignore_ascii_case(NONCE);
        for (name, value) in pairs.into_iter().filter(kept) {
            parameters.insert(name, value)?;
        }
        Ok(parameters)
    }
}

impl From<AuthorizeParameters> for BTreeMap<String, String> {
    fn from(parameters: AuthorizeParameters) -> Self {
        parameters.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_and_malformed_parameters_are_refused() {
        let mut parameters = AuthorizeParameters::default();
        for name in RESERVED.iter().copied().chain(["STATE", "", "a\nb"]) {
            assert!(parameters.insert(name, "x").is_err(), "{name}");
            let written = serde_json::json!({ name: "x" });
            let read: Result<AuthorizeParameters, _> = serde_json::from_value(written);
            assert!(read.is_err() || name == NONCE, "{name}");
        }
        assert!(parameters.insert("audience", "a\u{0}").is_err());
        assert!(parameters.is_empty());
    }

    #[test]
    fn a_stored_nonce_is_ignored() {
        let written = serde_json::json!({ "nonce": "old", "Nonce": "old", "audience": "a" });
        let read: AuthorizeParameters = serde_json::from_value(written).unwrap();
        let sent: Vec<_> = read.iter().collect();
        assert_eq!(sent, [("audience", "a")]);
    }

    #[test]
    fn a_parameter_without_a_value_removes_the_known_one() {
        let of = |pairs: &[(&str, &str)]| {
            let mut parameters = AuthorizeParameters::default();
            for (name, value) in pairs {
                parameters.insert(*name, *value).unwrap();
            }
            parameters
        };
        let own = of(&[("prompt", ""), ("audience", "a")]);
        let both = own.or(of(&[("prompt", "consent"), ("access_type", "offline")]));
        let sent: Vec<_> = both.iter().collect();
        assert_eq!(sent, [("access_type", "offline"), ("audience", "a")]);
        let written = serde_json::to_string(&both).unwrap();
        assert_eq!(
            serde_json::from_str::<AuthorizeParameters>(&written).unwrap(),
            both
        );
    }
}
