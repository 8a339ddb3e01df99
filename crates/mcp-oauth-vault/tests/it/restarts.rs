//! A Vault server that is killed, restarted, sealed or gone while it is in use.

use tokio::sync::Mutex as AsyncMutex;

use super::*;

/// A clock that restarts the server in its first pause: a restart during a request.
struct Restart(AsyncMutex<Bao>, AtomicU64);

impl std::fmt::Debug for Restart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Restart")
    }
}

#[async_trait]
impl Clock for Restart {
    fn now(&self) -> SystemTime {
        start_time()
    }

    async fn sleep(&self, _: Duration) {
        if self.1.fetch_add(1, Ordering::SeqCst) == 0 {
            self.0.lock().await.restart().await;
        }
    }
}

#[tokio::test]
async fn a_server_that_is_killed_and_restarted_during_a_request_loses_nothing() {
    let Some(bao) = Bao::on_disk().await else {
        return;
    };
    let options = bao.options();
    let restart = Arc::new(Restart(AsyncMutex::new(bao), AtomicU64::new(1)));
    let vault = with_clock(&options, restart.clone());
    let held = vault.lock("a").await.unwrap();
    let first = vault.put("a", None, &entry("one")).await.unwrap();

    restart.0.lock().await.kill().await;
    restart.1.store(0, Ordering::SeqCst);
    let second = vault.put("a", Some(first), &entry("two")).await.unwrap();
    assert!(restart.1.load(Ordering::SeqCst) >= 1, "it was not down");
    assert!(second > first);
    held.mark_refresh_started(first).await.unwrap();
    assert_eq!(content(&vault, "a").await, Some((second, "two".to_owned())));

    // After another restart, a second host reads the same record.
    restart.0.lock().await.kill().await;
    restart.0.lock().await.restart().await;
    let other = super::vault(&options);
    assert_eq!(content(&other, "a").await, Some((second, "two".to_owned())));
    assert!(is_conflict(
        &other.put("a", Some(first), &entry("late")).await
    ));
    drop(held);
    vault.flush().await;
    drop(other.lock("a").await.unwrap());
}

#[tokio::test]
async fn a_server_that_is_down_is_reported_and_is_used_again_after_its_start() {
    let Some(mut bao) = Bao::on_disk().await else {
        return;
    };
    let vault = vault(&bao.options());
    let revision = vault.put("a", None, &entry("one")).await.unwrap();
    bao.kill().await;
    for result in [
        vault.get("a").await.map(drop),
        vault
            .put("a", Some(revision), &entry("two"))
            .await
            .map(drop),
        vault.lock("a").await.map(drop),
    ] {
        let (cause, remedy) = failure(result);
        assert!(matches!(cause, VaultError::Unreachable(_)), "{cause}");
        assert_eq!(remedy, Remedy::Retry);
    }
    bao.restart().await;
    assert_eq!(
        content(&vault, "a").await,
        Some((revision, "one".to_owned()))
    );
    drop(vault.lock("a").await.unwrap());
}

#[tokio::test]
async fn a_sealed_server_is_reported_and_is_used_again_when_it_is_unsealed() {
    let Some(bao) = Bao::on_disk().await else {
        return;
    };
    let clock = ManualClock::auto_advancing(start_time());
    let vault = with_clock(&bao.options(), Arc::new(clock.clone()));
    let revision = vault.put("a", None, &entry("one")).await.unwrap();
    vault.check_writable().await.unwrap();
    bao.seal().await;
    assert!(matches!(
        cause(vault.check_writable().await),
        VaultError::Sealed
    ));
    let before = clock.slept().len();
    let (cause, remedy) = failure(vault.get("a").await);
    assert!(matches!(cause, VaultError::Sealed), "{cause}");
    assert_eq!(remedy, Remedy::Retry);
    assert_eq!(
        clock.slept().len() - before,
        4,
        "the client waits for an automatic unsealing"
    );
    bao.unseal().await;
    assert_eq!(
        content(&vault, "a").await,
        Some((revision, "one".to_owned()))
    );
}

#[tokio::test]
async fn an_uninitialized_server_is_reported() {
    let Some(bao) = Bao::empty().await else {
        return;
    };
    let clock = ManualClock::auto_advancing(start_time());
    let vault = with_clock(&bao.options(), Arc::new(clock.clone()));
    // OpenBao also reports a server without keys as sealed; HashiCorp Vault responds with 501.
    let cause = cause(vault.get("a").await);
    assert!(
        matches!(cause, VaultError::Sealed | VaultError::Uninitialized),
        "{cause}"
    );
}
