//! Listing the names of a store, in pages.
//!
//! ```text
//! login <server URL>             a login; the only account at that server
//! login <server URL>#<account>   a login of one of several accounts
//! client <issuer>                a client registration
//! pending <hash>#<account>       a login that waits for its callback
//! ```
//! Other names have the same form: a kind, a space, an identifier without `#`, and `#` with the account if
//! the entry belongs to one.

use mcp_oauth_support::UntrustedText;

/// The start of the name of a login, of that of a client registration, and of that of a pending login.
const LOGIN: &str = "login ";
const CLIENT: &str = "client ";
const PENDING: &str = "pending ";
/// The number of names that are requested from a store at a time.
const PAGE: u32 = 500;

/// Returns the account that the entry `name` belongs to: the text after the first `#`.
///
/// A store with a query language keeps it in a column of its own, to select by it in
/// [`Backend::names`](super::Backend::names).
///
/// ```
/// use mcp_oauth_store::account_of;
///
/// assert_eq!(account_of("login https://mcp.example.com/mcp#work"), Some("work"));
/// assert_eq!(account_of("login https://mcp.example.com/mcp"), None);
/// ```
pub fn account_of(name: &str) -> Option<&str> {
    name.split_once('#').map(|(_, account)| account)
}

/// A query for the names in a store.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct NameQuery {
    /// The account that the names must belong to ([`account_of`]), or `None` for all names.
    pub account: Option<String>,
    /// The page to return: [`NamePage::next`] of the page before, or `None` for the first one.
    pub after: Option<String>,
    /// The largest number of names to return; at least one.
    pub limit: u32,
}

impl Default for NameQuery {
    /// Selects the first page of all names.
    fn default() -> Self {
        Self::new(PAGE)
    }
}

impl NameQuery {
    /// Selects the first `limit` names, of any account.
    pub fn new(limit: u32) -> Self {
        Self {
            account: None,
            after: None,
            limit: limit.max(1),
        }
    }

    /// Returns the page out of `names`, all names of a store in any order. The cursor is the last name.
    pub fn page(&self, names: impl IntoIterator<Item = String>) -> NamePage {
        let is_after = |name: &String| self.after.as_ref().is_none_or(|after| name > after);
        let mut found: Vec<String> = names.into_iter().filter(is_after).collect();
        found.retain(|name| self.selects(name));
        found.sort_unstable();
        let more = found.len() > self.limit();
        found.truncate(self.limit());
        let next = found.last().filter(|_| more).cloned();
        NamePage::new(found, next)
    }

    /// Returns whether `name` belongs to the account.
    pub(crate) fn selects(&self, name: &str) -> bool {
        self.account.is_none() || account_of(name) == self.account.as_deref()
    }

    pub(crate) fn limit(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }
}

/// Some names of a store.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct NamePage {
    /// The names, in any order. A page may have fewer than the limit, or none, although others follow.
    pub names: Vec<String>,
    /// A text of the store that selects the next page, or `None` if this is the last one.
    pub next: Option<String>,
}

impl NamePage {
    /// Creates a page.
    pub fn new(names: Vec<String>, next: Option<String>) -> Self {
        Self { names, next }
    }
}

pub(crate) fn is_login(name: &str) -> bool {
    name.starts_with(LOGIN)
}

pub(crate) fn is_registration(name: &str) -> bool {
    name.starts_with(CLIENT)
}

/// Describes the login or registration that a name is for.
pub(crate) fn describe(name: &str) -> String {
    if let Some(issuer) = name.strip_prefix(CLIENT) {
        return format!("the client at {}", UntrustedText::new(issuer));
    }
    if name.starts_with(PENDING) {
        return "a login that waits for its callback".to_owned();
    }
    let login = name.strip_prefix(LOGIN).unwrap_or(name);
    match login.split_once('#') {
        Some((server, account)) => UntrustedText::new(&format!("{server} ({account})")),
        None => UntrustedText::new(login),
    }
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_a_list_cover_each_name_of_the_account_once() {
        let all = [
            "login c#a",
            "login a#b",
            "login b#a",
            "login d#a",
            "client a",
        ];
        let mut query = NameQuery::new(2);
        query.account = Some("a".to_owned());
        let mut pages = Vec::new();
        loop {
            let page = query.page(all.map(str::to_owned));
            pages.push(page.names);
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        let expected = [&["login b#a", "login c#a"][..], &["login d#a"]];
        assert_eq!(pages, expected);
    }
}
