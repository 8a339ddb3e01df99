//! Removes the parts of a URL that may be secret.

use url::Url;

/// Returns `url` without its query and fragment, for logs and errors: they may hold a code or a token.
pub(crate) fn without_query(url: &Url) -> Url {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    shown
}
