//! The checks of contents that expire.

use std::time::Duration;

use super::calls::{conflict, delete, entry, expect_ok, get, names, put};
use mcp_oauth_store::{Backend, Revision};

/// A lifetime that does not end during a check.
const LONG: Duration = Duration::from_secs(3600);
/// A lifetime that ends at once.
const SHORT: Duration = Duration::from_millis(1);
/// The longest time until a content with a short lifetime must be gone: stores may count in seconds.
const TIMEOUT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(10);

pub(super) async fn a_lifetime_is_returned(backend: &dyn Backend) {
    let first = put_for(backend, None, LONG).await;
    let left = lifetime(backend).await;
    assert!(
        left.is_some_and(|left| left <= LONG && left > LONG / 2),
        "a content with a lifetime of {LONG:?} is returned with {left:?}"
    );
    assert_eq!(
        names(backend).await,
        ["a"],
        "a content with a lifetime is not listed"
    );
    let second = put(backend, "a", Some(first), b"two").await;
    let left = lifetime(backend).await;
    assert_eq!(left, None, "a content without a lifetime has one");
    put_for(backend, Some(second), LONG).await;
    let left = lifetime(backend).await;
    assert!(left.is_some(), "a content has lost its lifetime");
    delete(backend, "a").await;
}

pub(super) async fn a_name_has_no_content_after_its_lifetime(backend: &dyn Backend) {
    let first = put(backend, "a", None, b"one").await;
    let second = put_for(backend, Some(first), SHORT).await;
    wait_for_expiry(backend).await;
    let listed = names(backend).await;
    assert!(
        listed.is_empty(),
        "the name of an expired content is listed"
    );
    let refused = backend.delete("a", Some(second)).await;
    conflict("a deletion of an expired content", &refused);
    assert!(
        !delete(backend, "a").await,
        "a deletion reports an expired content"
    );
}

pub(super) async fn an_expired_content_is_replaced_like_none(backend: &dyn Backend) {
    let first = put_for(backend, None, SHORT).await;
    wait_for_expiry(backend).await;
    let refused = backend.put("a", Some(first), &entry(b"two")).await;
    conflict("a put that expected an expired content", &refused);
    let second = put(backend, "a", None, b"two").await;
    assert_ne!(
        first, second,
        "a revision was used again after its content had expired"
    );
    let left = lifetime(backend).await;
    assert_eq!(
        left, None,
        "a content has the lifetime of the one before that had expired"
    );
    delete(backend, "a").await;
}

async fn put_for(
    backend: &dyn Backend,
    expected: Option<Revision>,
    lifetime: Duration,
) -> Revision {
    let entry = entry(b"expires").with_lifetime(lifetime);
    expect_ok("writing", backend.put("a", expected, &entry).await)
}

/// Returns the time that is left of the content of `a`.
async fn lifetime(backend: &dyn Backend) -> Option<Duration> {
    let Some(stored) = get(backend, "a").await else {
        panic!("a content is not returned before it expires");
    };
    stored.entry.lifetime
}

#[expect(
    clippy::disallowed_methods,
    reason = "this waits for the clock of a store, which may be on another host"
)]
async fn wait_for_expiry(backend: &dyn Backend) {
    let mut waited = Duration::ZERO;
    while get(backend, "a").await.is_some() {
        assert!(
            waited < TIMEOUT,
            "a content is still returned after its lifetime"
        );
        tokio::time::sleep(PAUSE).await;
        waited += PAUSE;
    }
}
