//! The calls of a back end; an error ends the check with a message.

use std::fmt;

use mcp_client_oauth::{Secret, error::TokenStorageError};
use mcp_oauth_store::{Backend, Entry, NameQuery, Revision, StoredEntry};

/// More pages than any check needs, also with empty ones.
const MOST_PAGES: usize = 1000;

pub(super) fn entry(bytes: &[u8]) -> Entry {
    Entry::new(Secret::new(bytes.to_vec()))
}

pub(super) fn expect_ok<T>(what: &str, result: Result<T, TokenStorageError>) -> T {
    result.unwrap_or_else(|error| panic!("{what} failed: {error}"))
}

pub(super) fn conflict<T: fmt::Debug>(what: &str, result: &Result<T, TokenStorageError>) {
    let refused = matches!(result, Err(TokenStorageError::Conflict { .. }));
    assert!(
        refused,
        "{what} was not refused as a conflict, but returned {result:?}"
    );
}

pub(super) async fn get(backend: &dyn Backend, name: &str) -> Option<StoredEntry> {
    expect_ok("reading", backend.get(name).await)
}

pub(super) async fn content(backend: &dyn Backend, name: &str) -> (Revision, Vec<u8>) {
    let Some(stored) = get(backend, name).await else {
        panic!("the content of {} is not returned", start(name));
    };
    (stored.revision, stored.entry.bytes.expose().clone())
}

pub(super) async fn put(
    backend: &dyn Backend,
    name: &str,
    expected: Option<Revision>,
    bytes: &[u8],
) -> Revision {
    expect_ok("writing", backend.put(name, expected, &entry(bytes)).await)
}

pub(super) async fn delete(backend: &dyn Backend, name: &str) -> bool {
    expect_ok("deleting", backend.delete(name, None).await)
}

/// Returns all names, sorted.
pub(super) async fn names(backend: &dyn Backend) -> Vec<String> {
    listed(backend, NameQuery::new(u32::MAX)).await.concat()
}

/// Returns the names that `query` selects, page by page; sorted on each page.
pub(super) async fn listed(backend: &dyn Backend, mut query: NameQuery) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    loop {
        let mut page = expect_ok("listing the names", backend.names(&query).await);
        page.names.sort_unstable();
        pages.push(page.names);
        if page.next.is_none() {
            return pages;
        }
        query.after = page.next;
        assert!(pages.len() < MOST_PAGES, "the pages of names have no end");
    }
}

/// Returns the start of a name, for a message.
pub(super) fn start(name: &str) -> String {
    format!("{:?}", name.chars().take(32).collect::<String>())
}
