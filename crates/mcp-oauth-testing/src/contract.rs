//! The contract of every back end, as a test for its author.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use std::sync::Arc;
//!
//! use mcp_oauth_store::MemoryBackend;
//! use mcp_oauth_testing::contract;
//!
//! contract::check(Arc::new(MemoryBackend::default())).await;
//! # });
//! ```

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use mcp_client_oauth::error::TokenStorageError;
use mcp_oauth_store::{Backend, Revision};
use tokio::task::JoinSet;

use self::calls::{conflict, content, delete, entry, expect_ok, get, names, put, start};

mod calls;
mod expiry;
mod listing;

/// The number of tasks that do the same at the same time.
const CONCURRENCY: usize = 16;

/// Checks the whole contract. The back end must be empty, and is empty again afterwards.
///
/// # Panics
/// With a message, if the contract is broken.
pub async fn check(backend: Arc<dyn Backend>) {
    assert!(
        names(&*backend).await.is_empty(),
        "the back end to check must be empty"
    );
    a_missing_name_has_no_content(&*backend).await;
    a_stored_content_is_returned(&*backend).await;
    a_put_with_a_wrong_revision_changes_nothing(&*backend).await;
    a_deletion_with_a_wrong_revision_changes_nothing(&*backend).await;
    a_recreated_name_gets_new_revisions(&*backend).await;
    a_purged_name_has_no_content(&*backend).await;
    bytes_are_returned_unchanged(&*backend).await;
    unusual_names_stay_distinct(&*backend).await;
    no_concurrent_write_is_lost(&backend).await;
    one_of_several_first_writers_succeeds(&backend).await;
    a_lock_excludes(&backend).await;
    a_lock_excludes_its_own_name_only(&*backend).await;
    a_cancelled_waiter_holds_no_lock(&*backend).await;
    listing::pages_cover_each_name_once(&*backend).await;
    listing::the_names_of_an_account_are_selected(&*backend).await;
    expiry::a_lifetime_is_returned(&*backend).await;
    expiry::a_name_has_no_content_after_its_lifetime(&*backend).await;
    expiry::an_expired_content_is_replaced_like_none(&*backend).await;
    assert!(
        names(&*backend).await.is_empty(),
        "a deleted name is still listed"
    );
}

async fn a_missing_name_has_no_content(backend: &dyn Backend) {
    assert!(
        get(backend, "absent").await.is_none(),
        "a name that was never put has a content"
    );
    assert!(
        !delete(backend, "absent").await,
        "a deletion of nothing reports a deleted content"
    );
}

async fn a_stored_content_is_returned(backend: &dyn Backend) {
    let first = put(backend, "a", None, b"one").await;
    assert_eq!(
        content(backend, "a").await,
        (first, b"one".to_vec()),
        "a content that was put is not returned"
    );
    let second = put(backend, "a", Some(first), b"two").await;
    assert!(second > first, "a change has no greater revision");
    assert_eq!(
        content(backend, "a").await,
        (second, b"two".to_vec()),
        "a replaced content is not returned"
    );
    assert_eq!(
        names(backend).await,
        ["a"],
        "the listed names are not those that were put"
    );
    assert!(
        delete(backend, "a").await,
        "a deletion of a content reports that there was none"
    );
}

async fn a_put_with_a_wrong_revision_changes_nothing(backend: &dyn Backend) {
    let first = put(backend, "a", None, b"one").await;
    let second = put(backend, "a", Some(first), b"two").await;
    for expected in [None, Some(first), Some(Revision::after(Some(second)))] {
        let refused = backend.put("a", expected, &entry(b"three")).await;
        conflict("a put with a wrong revision", &refused);
    }
    assert_eq!(
        content(backend, "a").await,
        (second, b"two".to_vec()),
        "a refused put changed the content"
    );
    let refused = backend.put("b", Some(second), &entry(b"three")).await;
    conflict(
        "a put that expected a content where there is none",
        &refused,
    );
    assert!(
        get(backend, "b").await.is_none(),
        "a refused put created a content"
    );
    delete(backend, "a").await;
}

async fn a_deletion_with_a_wrong_revision_changes_nothing(backend: &dyn Backend) {
    let first = put(backend, "a", None, b"one").await;
    let second = put(backend, "a", Some(first), b"two").await;
    for expected in [first, Revision::after(Some(second))] {
        let refused = backend.delete("a", Some(expected)).await;
        conflict("a deletion with a wrong revision", &refused);
    }
    assert_eq!(
        content(backend, "a").await,
        (second, b"two".to_vec()),
        "a refused deletion changed the content"
    );
    let deleted = expect_ok("a deletion", backend.delete("a", Some(second)).await);
    assert!(
        deleted,
        "a deletion of a content reports that there was none"
    );
    let refused = backend.delete("a", Some(second)).await;
    conflict(
        "a deletion that expected a content where there is none",
        &refused,
    );
}

/// Checks that a name has other revisions after a deletion: otherwise a late deletion of the old content
/// could delete the new one (docs/hostile.md H103).
async fn a_recreated_name_gets_new_revisions(backend: &dyn Backend) {
    let mut seen = Vec::new();
    for _ in 0..4 {
        let revision = put(backend, "a", None, b"one").await;
        assert!(
            !seen.contains(&revision),
            "a revision was used again after a deletion"
        );
        seen.push(revision);
        seen.push(put(backend, "a", Some(revision), b"two").await);
        delete(backend, "a").await;
        assert!(
            get(backend, "a").await.is_none(),
            "a deleted name has a content"
        );
    }
}

async fn a_purged_name_has_no_content(backend: &dyn Backend) {
    let revision = put(backend, "purged", None, b"one").await;
    for _ in 0..2 {
        expect_ok("a purge", backend.purge("purged").await);
        assert!(
            get(backend, "purged").await.is_none(),
            "a purged name has a content"
        );
    }
    let late = backend.delete("purged", Some(revision)).await;
    conflict("a deletion after a purge", &late);
}

async fn bytes_are_returned_unchanged(backend: &dyn Backend) {
    let large: Vec<u8> = (0..=255).cycle().take(200 * 1024).collect();
    for bytes in [&b""[..], b"\n", b"\0\xff\r\n\0", &large] {
        let revision = put(backend, "a", None, bytes).await;
        let found = content(backend, "a").await;
        assert!(
            found == (revision, bytes.to_vec()),
            "{} bytes were returned changed",
            bytes.len()
        );
        delete(backend, "a").await;
    }
}

/// Checks names that are paths or devices, or that a file system treats as equal
/// (docs/hostile.md H133 to H135).
async fn unusual_names_stay_distinct(backend: &dyn Backend) {
    let (long, longer) = ("n".repeat(64 * 1024), "n".repeat(64 * 1024 - 1) + "m");
    let mut odd = vec![
        "", " ", ".", "..", "../../x", "/etc/x", "..\\x", "C:x", "x\0y", "x\ny",
    ];
    odd.extend([
        "x",
        "X",
        "x ",
        "x.",
        "con",
        "CON",
        "NUL.txt",
        "caf\u{e9}",
        "cafe\u{301}",
    ]);
    odd.extend([
        "\u{202e}x",
        "\"",
        "\\",
        "%2e",
        "https://a.example/mcp",
        &long,
        &longer,
    ]);
    for name in &odd {
        put(backend, name, None, name.as_bytes()).await;
    }
    for name in &odd {
        let found = content(backend, name).await.1;
        assert!(
            found == name.as_bytes(),
            "{} has another content than the one that was put",
            start(name)
        );
    }
    odd.sort_unstable();
    assert!(
        names(backend).await == odd,
        "the listed names are not those that were put"
    );
    for name in &odd {
        assert!(
            delete(backend, name).await,
            "cannot delete the content of {}",
            start(name)
        );
    }
}

async fn no_concurrent_write_is_lost(backend: &Arc<dyn Backend>) {
    put(&**backend, "count", None, b"").await;
    run_concurrently(backend, |backend| async move { add_one(&*backend).await }).await;
    let (_, count) = content(&**backend, "count").await;
    assert_eq!(
        count.len(),
        CONCURRENCY,
        "of {CONCURRENCY} concurrent writes, some are lost"
    );
    delete(&**backend, "count").await;
}

/// Retries a compare-and-swap without the lock until it succeeds.
async fn add_one(backend: &dyn Backend) {
    loop {
        let (revision, mut count) = content(backend, "count").await;
        count.push(b'+');
        match backend.put("count", Some(revision), &entry(&count)).await {
            Ok(_) => return,
            Err(TokenStorageError::Conflict { .. }) => {}
            Err(error) => panic!("a concurrent write failed: {error}"),
        }
    }
}

async fn one_of_several_first_writers_succeeds(backend: &Arc<dyn Backend>) {
    let wins = run_concurrently(backend, |backend| async move {
        match backend.put("first", None, &entry(b"won")).await {
            Ok(_) => 1,
            Err(TokenStorageError::Conflict { .. }) => 0,
            Err(error) => panic!("a concurrent first write failed: {error}"),
        }
    });
    let wins: usize = wins.await.into_iter().sum();
    assert_eq!(
        wins, 1,
        "{wins} of {CONCURRENCY} concurrent first writes succeeded"
    );
    delete(&**backend, "first").await;
}

async fn a_lock_excludes(backend: &Arc<dyn Backend>) {
    let inside = Arc::new(AtomicBool::new(false));
    run_concurrently(backend, |backend| {
        let inside = Arc::clone(&inside);
        async move {
            let held = expect_ok("a lock", backend.lock("a").await);
            assert!(
                !inside.swap(true, Ordering::SeqCst),
                "two tasks hold the lock of the same name"
            );
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            inside.store(false, Ordering::SeqCst);
            drop(held);
        }
    })
    .await;
}

async fn a_lock_excludes_its_own_name_only(backend: &dyn Backend) {
    let held = expect_ok("a lock", backend.lock("a").await);
    let other = expect_ok("a lock on another name", backend.lock("b").await);
    // The holder of a lock can read and write.
    let revision = put(backend, "a", None, b"one").await;
    put(backend, "a", Some(revision), b"two").await;
    assert!(
        delete(backend, "a").await,
        "the holder of a name cannot delete it"
    );
    drop((held, other));
}

async fn a_cancelled_waiter_holds_no_lock(backend: &dyn Backend) {
    let held = expect_ok("a lock", backend.lock("a").await);
    {
        let mut waiting = pin!(backend.lock("a"));
        let waits = poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_pending())).await;
        assert!(waits, "two tasks hold the lock of the same name");
    }
    drop(held);
    drop(expect_ok(
        "a lock that was released, with a cancelled waiter,",
        backend.lock("a").await,
    ));
}

/// Runs the same work in many tasks at the same time.
async fn run_concurrently<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    backend: &Arc<dyn Backend>,
    work: impl Fn(Arc<dyn Backend>) -> F,
) -> Vec<T> {
    let tasks: JoinSet<T> = (0..CONCURRENCY)
        .map(|_| work(Arc::clone(backend)))
        .collect();
    tasks.join_all().await
}
