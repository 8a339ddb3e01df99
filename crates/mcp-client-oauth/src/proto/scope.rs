//! Scopes: `scope-token *( SP scope-token )` (RFC 6749 §3.3), and which of them to ask for
//! (spec-checklist G1-G4, H3).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The longest scope that is taken from a server or a person (H70).
const LONGEST: usize = 4096;
/// The scope that asks for a refresh token (OpenID Connect Core §11).
pub(crate) const OFFLINE_ACCESS: &str = "offline_access";

/// A set of scope tokens that keeps the order in which they were named. Never empty: "no scope"
/// is `None`.
///
/// ```
/// use mcp_client_oauth::proto::scope::Scope;
///
/// let scope: Scope = "notes:read notes:write notes:read".parse()?;
/// assert_eq!(scope.to_string(), "notes:read notes:write");
/// # Ok::<(), mcp_client_oauth::proto::scope::ScopeError>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope(Vec<String>);

/// Why a text is no scope.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeError {
    /// No token in it.
    #[error("the scope is empty")]
    Empty,
    /// Quotes, backslashes, control characters or anything but ASCII.
    #[error("the scope has a character that RFC 6749 section 3.3 forbids")]
    Character,
    /// More than 4 KiB.
    #[error("the scope is longer than {LONGEST} bytes")]
    TooLong,
}

impl Scope {
    /// A scope of given tokens, such as the list `scopes_supported`; none if there is no valid one.
    pub fn from_tokens<I: IntoIterator<Item = S>, S: AsRef<str>>(tokens: I) -> Option<Self> {
        let joined = tokens.into_iter().fold(String::new(), |mut text, token| {
            if is_token(token.as_ref()) {
                text.push_str(token.as_ref());
                text.push(' ');
            }
            text
        });
        joined.parse().ok()
    }

    /// The tokens, in order.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether `token` is one of them.
    pub fn contains(&self, token: &str) -> bool {
        self.0.iter().any(|own| own == token)
    }

    /// These tokens and those of `other` (spec-checklist G4).
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.0.extend(
            other
                .tokens()
                .filter(|token| !self.contains(token))
                .map(str::to_owned),
        );
        all
    }

    /// The tokens that `granted` lacks.
    pub fn missing_from(&self, granted: &Self) -> Option<Self> {
        Self::from_tokens(self.tokens().filter(|token| !granted.contains(token)))
    }

    /// The union of what may be there.
    pub fn union_of(one: Option<&Self>, other: Option<&Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(one.union(other)),
            (one, other) => one.or(other).cloned(),
        }
    }
}

/// What to ask for at first (spec-checklist G1): what the caller wants, else what the challenge
/// says, else all that the resource lists, else nothing. `offline_access` is added only where the
/// authorization server lists it and a scope is asked for at all (spec-checklist H3).
pub fn select(
    wanted: Option<&Scope>,
    challenged: Option<&Scope>,
    listed_by_resource: Option<&Scope>,
    listed_by_server: Option<&Scope>,
) -> Option<Scope> {
    if wanted.is_some() {
        return wanted.cloned();
    }
    let base = challenged.or(listed_by_resource)?;
    let offline = listed_by_server.is_some_and(|listed| listed.contains(OFFLINE_ACCESS));
    let offline = offline.then(|| Scope(vec![OFFLINE_ACCESS.to_owned()]));
    Scope::union_of(Some(base), offline.as_ref())
}

/// `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )`.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

impl FromStr for Scope {
    type Err = ScopeError;

    /// Spaces may be doubled, and a token may stand there twice: servers do that.
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text.len() > LONGEST {
            return Err(ScopeError::TooLong);
        }
        let mut tokens: Vec<String> = Vec::new();
        for token in text.split(' ').filter(|token| !token.is_empty()) {
            if !is_token(token) {
                return Err(ScopeError::Character);
            }
            if !tokens.iter().any(|known| known == token) {
                tokens.push(token.to_owned());
            }
        }
        if tokens.is_empty() {
            Err(ScopeError::Empty)
        } else {
            Ok(Self(tokens))
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

impl TryFrom<String> for Scope {
    type Error = ScopeError;

    fn try_from(text: String) -> Result<Self, ScopeError> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Option<Scope> {
        text.parse().ok()
    }

    #[test]
    fn the_challenge_decides_then_the_resource_then_nothing() {
        let (a, b) = (scope("a"), scope("b c"));
        let choose =
            |wanted: &Option<Scope>, challenged: &Option<Scope>, listed: &Option<Scope>| {
                select(wanted.as_ref(), challenged.as_ref(), listed.as_ref(), None)
                    .map(|scope| scope.to_string())
            };
        assert_eq!(choose(&scope("w"), &a, &b).as_deref(), Some("w"));
        assert_eq!(choose(&None, &a, &b).as_deref(), Some("a"));
        assert_eq!(choose(&None, &None, &b).as_deref(), Some("b c"));
        assert_eq!(choose(&None, &None, &None), None);
    }

    #[test]
    fn offline_access_is_asked_for_only_where_the_server_lists_it() {
        let listed = scope("a offline_access");
        let a = scope("a");
        assert_eq!(
            select(None, a.as_ref(), None, listed.as_ref()),
            scope("a offline_access")
        );
        assert_eq!(select(None, a.as_ref(), None, a.as_ref()), a);
        assert_eq!(select(None, None, None, listed.as_ref()), None);
    }

    #[test]
    fn a_bomb_or_a_quote_is_no_scope() {
        assert_eq!("x ".repeat(3000).parse::<Scope>(), Err(ScopeError::TooLong));
        for bad in ["a\"b", "a\\b", "a\tb", "é", "a\u{7f}"] {
            assert_eq!(bad.parse::<Scope>(), Err(ScopeError::Character), "{bad:?}");
        }
        assert_eq!("  ".parse::<Scope>(), Err(ScopeError::Empty));
    }

    #[test]
    fn what_was_not_granted_is_named() {
        let (asked, granted) = (scope("a b c").unwrap(), scope("c a x").unwrap());
        assert_eq!(asked.missing_from(&granted), scope("b"));
        assert_eq!(asked.missing_from(&asked), None);
    }
}
