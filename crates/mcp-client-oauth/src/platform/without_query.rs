//! Leaves out of a URL what may be secret.

use url::Url;

/// Returns a URL as it may be shown: a query may hold a code or a token.
pub(crate) fn without_query(url: &Url) -> Url {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    shown
}
