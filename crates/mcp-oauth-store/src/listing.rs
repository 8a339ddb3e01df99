//! Reads all names of a store.

use crate::{Backend, NameQuery, TokenStorageError};

/// Reads every page of `query`, and returns the names, sorted.
///
/// # Errors
/// [`TokenStorageError`] if the names cannot be read.
pub async fn all_names(
    store: &dyn Backend,
    mut query: NameQuery,
) -> Result<Vec<String>, TokenStorageError> {
    let mut names = Vec::new();
    loop {
        let page = store.names(&query).await?;
        names.extend(page.names);
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    names.sort_unstable();
    // An entry that is changed between two pages may be on both.
    names.dedup();
    Ok(names)
}
