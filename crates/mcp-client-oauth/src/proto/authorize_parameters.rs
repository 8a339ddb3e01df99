//! Parameters that some authorization servers want besides those of the specifications
//! (RFC 6749 §3.1: "unrecognized request parameters" are ignored, so they harm no other server).

use std::collections::{BTreeMap, btree_map};

use serde::{Deserialize, Serialize};

use super::untrusted_text::UntrustedText;

/// Holds what is ours to say (H69), and what would let somebody else say it: a request object (RFC 9101)
/// goes before everything in the query, and another response mode leads past our listener.
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

/// A nonce is fresh for each login (OpenID Connect Core §15.5.2), so none is remembered. Earlier
/// versions remembered one: it is passed over where it is read, so that a stored login still opens.
const NONCE: &str = "nonce";

/// More parameters of the authorization request, each there once. None of them is one of ours.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(
    try_from = "BTreeMap<String, String>",
    into = "BTreeMap<String, String>"
)]
pub struct AuthorizeParameters(BTreeMap<String, String>);

/// Says why a parameter cannot be added.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorizeParameterError {
    /// Holds what each login says by itself.
    #[error("the parameter `{0}` is not yours to set")]
    Reserved(UntrustedText),
    /// No name, or one with a control character in it or its value.
    #[error("`{0}` cannot be a parameter: it has no name, or control characters")]
    Unusable(UntrustedText),
}

impl AuthorizeParameters {
    /// Adds a parameter, in the place of one of the same name. One without a value is not sent
    /// (RFC 6749 §3.1), so that it takes back what a provider is known to want.
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
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns what is sent.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let sent = self.0.iter().filter(|(_, value)| !value.is_empty());
        sent.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns whether this says something of `name`, be it that it is not sent.
    pub(super) fn names(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// These, and those of `other` that are not named here.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
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
    fn what_is_ours_cannot_be_said_by_anybody_else() {
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
    fn a_nonce_that_was_remembered_is_passed_over() {
        let written = serde_json::json!({ "nonce": "old", "Nonce": "old", "audience": "a" });
        let read: AuthorizeParameters = serde_json::from_value(written).unwrap();
        let sent: Vec<_> = read.iter().collect();
        assert_eq!(sent, [("audience", "a")]);
    }

    #[test]
    fn a_parameter_without_a_value_takes_back_what_is_known() {
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
