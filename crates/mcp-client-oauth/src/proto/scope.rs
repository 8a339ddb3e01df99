//! Scopes: `scope-token *( SP scope-token )` (RFC 6749 §3.3), and the selection of those to
//! request (MCP authorization, Scope Selection Strategy).

use std::{collections::HashSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The longest scope that is accepted from a server or a user, in bytes: some servers list a hundred
/// scopes and more (docs/hostile.md H70).
const LONGEST: usize = 16 * 1024;
/// The most scopes that are accepted from a server or a user.
pub(crate) const MOST_SCOPES: usize = 1024;
/// The scope that requests a refresh token (OpenID Connect Core §11).
pub(crate) const OFFLINE_ACCESS: &str = "offline_access";

/// A set of scope tokens that keeps the order in which they were named. Never empty: "no scope"
/// is `None`.
///
/// ```
/// use mcp_client_oauth::flow::Scope;
///
/// let scope: Scope = "notes:read notes:write notes:read".parse()?;
/// assert_eq!(scope.to_string(), "notes:read notes:write");
/// # Ok::<(), mcp_client_oauth::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope(Vec<String>);

/// Says why a text is not a valid scope.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(unnameable_types, reason = "callers show it, and do not match on it")]
pub enum ScopeError {
    /// No token in it.
    #[error("the scope is empty")]
    Empty,
    /// Quotes, backslashes, control characters or anything but ASCII.
    #[error("the scope has a character that RFC 6749 section 3.3 forbids")]
    Character,
    /// More than 16 KiB.
    #[error("the scope is longer than {LONGEST} bytes")]
    TooLong,
    /// More than 1,024 tokens.
    #[error("the scope has more than {MOST_SCOPES} tokens")]
    TooMany,
}

impl Scope {
    /// Creates a scope from tokens, such as the list `scopes_supported`; none if there is no valid one.
    pub(crate) fn from_tokens<I: IntoIterator<Item = S>, S: AsRef<str>>(tokens: I) -> Option<Self> {
        let mut known = HashSet::new();
        let mut own = Vec::new();
        for token in tokens {
            let token = token.as_ref();
            if is_token(token) && known.insert(token.to_owned()) {
                own.push(token.to_owned());
            }
        }
        (!own.is_empty()).then_some(Self(own))
    }

    /// Creates a scope from a server's list, in order: the first [`MOST_SCOPES`] tokens that fit into
    /// 16 KiB together. Also returns how many were left out.
    ///
    /// `offline_access` is never left out: without it there is no refresh token.
    pub(crate) fn within_limits<I: IntoIterator<Item = S>, S: AsRef<str>>(
        tokens: I,
    ) -> (Option<Self>, usize) {
        let Some(Self(mut listed)) = Self::from_tokens(tokens) else {
            return (None, 0);
        };
        let mut length = 0;
        let fitting = listed.iter().take(MOST_SCOPES).take_while(|token| {
            length += token.len() + 1;
            length <= LONGEST
        });
        let fitting = fitting.count();
        let mut left_out = listed.split_off(fitting);
        let offline = left_out.iter().position(|token| token == OFFLINE_ACCESS);
        listed.extend(offline.map(|at| left_out.swap_remove(at)));
        ((!listed.is_empty()).then_some(Self(listed)), left_out.len())
    }

    /// Returns the tokens, in order.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Returns whether `token` is one of them.
    pub(crate) fn contains(&self, token: &str) -> bool {
        self.0.iter().any(|own| own == token)
    }

    /// Returns these tokens and those of `other` (MCP authorization, Step-Up Authorization Flow).
    #[must_use]
    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.0.extend(
            other
                .tokens()
                .filter(|token| !self.contains(token))
                .map(str::to_owned),
        );
        all
    }

    /// Returns the tokens that `granted` lacks.
    pub fn missing_from(&self, granted: &Self) -> Option<Self> {
        Self::from_tokens(self.tokens().filter(|token| !granted.contains(token)))
    }

    /// Returns the tokens that a server did not grant, by the `scope` of its token response.
    ///
    /// For this comparison alone, a comma separates tokens too (GitHub and Slack respond with
    /// `repo,user`; RFC 6749 §3.3 requires spaces), and `…/.default` counts as granted: Microsoft Entra
    /// responds with the scopes that it stands for. An attacker gains nothing: the result is only reported
    /// to the user, and the server still refuses requests for which the granted scope is too small.
    pub(crate) fn not_granted_by(&self, granted: &Self) -> Option<Self> {
        let granted: HashSet<&str> = granted
            .tokens()
            .flat_map(|token| token.split(',').chain([token]))
            .collect();
        let is_missing = |token: &&str| !granted.contains(token) && !token.ends_with("/.default");
        Self::from_tokens(self.tokens().filter(is_missing))
    }

    /// Returns the union of two optional scopes.
    pub fn union_of(one: Option<&Self>, other: Option<&Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(one.union(other)),
            (one, other) => one.or(other).cloned(),
        }
    }
}

/// Selects the scope of the first request (MCP authorization, Scope Selection Strategy): the
/// `requested` one, else the one of the challenge, else all that the resource lists, else none.
/// `offline_access` is added only where the authorization server lists it and the challenge or the
/// resource has a scope (MCP authorization, Refresh Tokens).
pub(crate) fn select(
    requested: Option<&Scope>,
    challenged: Option<&Scope>,
    listed_by_resource: Option<&Scope>,
    listed_by_server: Option<&Scope>,
) -> Option<Scope> {
    if requested.is_some() {
        return requested.cloned();
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

    /// Parses a scope. Spaces may be doubled, and a token may occur twice: some servers send that.
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text.len() > LONGEST {
            return Err(ScopeError::TooLong);
        }
        let scope = read(text)?;
        if scope.0.len() > MOST_SCOPES {
            return Err(ScopeError::TooMany);
        }
        Ok(scope)
    }
}

fn read(text: &str) -> Result<Scope, ScopeError> {
    let tokens = || text.split(' ').filter(|token| !token.is_empty());
    if !tokens().all(is_token) {
        return Err(ScopeError::Character);
    }
    Scope::from_tokens(tokens()).ok_or(ScopeError::Empty)
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// Parses a stored scope, without the limits: the union of two scopes may exceed them, and its record
/// must stay readable.
impl TryFrom<&str> for Scope {
    type Error = ScopeError;

    fn try_from(text: &str) -> Result<Self, ScopeError> {
        text.parse()
    }
}

impl From<&Self> for Scope {
    fn from(scope: &Self) -> Self {
        scope.clone()
    }
}

impl TryFrom<String> for Scope {
    type Error = ScopeError;

    fn try_from(text: String) -> Result<Self, ScopeError> {
        read(&text)
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
        let selected =
            |requested: &Option<Scope>, challenged: &Option<Scope>, listed: &Option<Scope>| {
                select(
                    requested.as_ref(),
                    challenged.as_ref(),
                    listed.as_ref(),
                    None,
                )
                .map(|scope| scope.to_string())
            };
        assert_eq!(selected(&scope("w"), &a, &b).as_deref(), Some("w"));
        assert_eq!(selected(&None, &a, &b).as_deref(), Some("a"));
        assert_eq!(selected(&None, &None, &b).as_deref(), Some("b c"));
        assert_eq!(selected(&None, &None, &None), None);
    }

    #[test]
    fn offline_access_is_requested_only_where_the_server_lists_it() {
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
    fn a_text_past_the_limits_or_with_a_quote_is_no_scope() {
        assert_eq!("x ".repeat(9000).parse::<Scope>(), Err(ScopeError::TooLong));
        let many: Vec<String> = (0..=MOST_SCOPES).map(|n| n.to_string()).collect();
        assert_eq!(many.join(" ").parse::<Scope>(), Err(ScopeError::TooMany));
        assert!(many[1..].join(" ").parse::<Scope>().is_ok());
        for bad in ["a\"b", "a\\b", "a\tb", "é", "a\u{7f}"] {
            assert_eq!(bad.parse::<Scope>(), Err(ScopeError::Character), "{bad:?}");
        }
        assert_eq!("  ".parse::<Scope>(), Err(ScopeError::Empty));
    }

    #[test]
    fn a_list_past_the_limits_reports_the_number_of_scopes_left_out() {
        let named = |count: usize| (0..count).map(|n| format!("s{n:04}"));
        let (scope, left_out) = Scope::within_limits(named(MOST_SCOPES));
        assert_eq!(
            (scope.unwrap().tokens().count(), left_out),
            (MOST_SCOPES, 0)
        );
        let with_offline = named(MOST_SCOPES + 10).chain([OFFLINE_ACCESS.to_owned()]);
        let (scope, left_out) = Scope::within_limits(with_offline);
        let scope = scope.unwrap();
        assert_eq!((scope.tokens().count(), left_out), (MOST_SCOPES + 1, 10));
        assert!(scope.contains(OFFLINE_ACCESS));
        let (scope, left_out) = Scope::within_limits(named(300).map(|name| name + &"x".repeat(95)));
        let scope = scope.unwrap();
        assert!(scope.to_string().len() <= LONGEST);
        assert_eq!(scope.tokens().count() + left_out, 300);
        assert!(left_out > 0);
        assert_eq!(Scope::within_limits(["a\"b", "é"]), (None, 0));
    }

    #[test]
    fn a_union_past_the_limits_can_be_stored() {
        let one = Scope::within_limits((0..MOST_SCOPES).map(|n| format!("a{n:014}"))).0;
        let both = one.unwrap().union(&scope("b c").unwrap());
        let text = serde_json::to_string(&both).unwrap();
        assert!(text.len() > LONGEST);
        assert_eq!(serde_json::from_str::<Scope>(&text).unwrap(), both);
    }

    /// The responses of GitHub and Slack, and of Microsoft Entra for Azure DevOps.
    #[test]
    fn commas_and_the_default_scope_count_as_granted() {
        let missing = |requested: &str, granted: &str| {
            let (requested, granted) = (scope(requested).unwrap(), scope(granted).unwrap());
            requested
                .not_granted_by(&granted)
                .map(|scope| scope.to_string())
        };
        assert_eq!(missing("repo user", "repo,user,gist"), None);
        assert_eq!(missing("repo user", "repo,gist").as_deref(), Some("user"));
        assert_eq!(missing("a,b", "a,b"), None);
        let entra = "https://mcp.dev.azure.com/.default";
        assert_eq!(
            missing(entra, "https://mcp.dev.azure.com/Ado.Mcp.Tools"),
            None
        );
        assert_eq!(missing("api.default", "x").as_deref(), Some("api.default"));
    }

    #[test]
    fn scopes_that_were_not_granted_are_named() {
        let (requested, granted) = (scope("a b c").unwrap(), scope("c a x").unwrap());
        assert_eq!(requested.missing_from(&granted), scope("b"));
        assert_eq!(requested.missing_from(&requested), None);
    }
}
