//! One store for several hosts: leases, and one refresh.

use std::pin::pin;

use test_support::wait::bounded;

use super::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Two hosts, each with its own network, clock and client.
struct Hosts {
    bao: Bao,
    one: VaultStore,
    two: VaultStore,
    net_of_one: Arc<Tampered>,
    net_of_two: Arc<Tampered>,
    clock_of_two: ManualClock,
}

impl Hosts {
    /// Starts two hosts with clocks that differ by decades, and a server with a clock between them.
    async fn start() -> Option<Self> {
        let bao = Bao::start().await?;
        let (net_of_one, net_of_two) = (Arc::default(), Arc::default());
        let year = 365 * 24 * 3600;
        let clock_of_one = ManualClock::auto_advancing(start_time() - seconds(20 * year));
        let clock_of_two = ManualClock::auto_advancing(start_time() + seconds(20 * year));
        Some(Self {
            one: Tampered::vault(&net_of_one, &bao.options(), &clock_of_one),
            two: Tampered::vault(&net_of_two, &bao.options(), &clock_of_two),
            bao,
            net_of_one,
            net_of_two,
            clock_of_two,
        })
    }
}

#[tokio::test]
async fn a_lock_timeout_names_the_holder_of_the_lease() {
    let Some(hosts) = Hosts::start().await else {
        return;
    };
    let held = hosts.one.lock("a").await.unwrap();
    let error = hosts.two.lock("a").await.unwrap_err();
    let TokenStorageError::Locked { location } = &error else {
        panic!("{error}");
    };
    let process = format!("held by process {}", std::process::id());
    assert!(location.contains(&process), "{location}");
    assert_eq!(Error::from(error).remedy(), Remedy::Retry);
    let slept = hosts.clock_of_two.slept();
    // The first pause is the wait for the lock within this process, which is free.
    let pauses: Vec<u128> = slept
        .iter()
        .map(Duration::as_millis)
        .filter(|&ms| ms < 2000)
        .collect();
    assert_eq!(pauses[..6], [50, 100, 200, 400, 800, 1000]);
    assert!(
        (90_000..92_000).contains(&pauses.iter().sum::<u128>()),
        "{pauses:?}"
    );

    held.mark_refresh_started(Revision::new(1)).await.unwrap();
    drop(held);
    hosts.one.flush().await;
    hosts.two.lock("a").await.unwrap();
}

#[tokio::test]
async fn the_lease_of_a_dead_holder_is_taken_over_only_after_it_has_expired() {
    let Some(hosts) = Hosts::start().await else {
        return;
    };
    let dead = hosts.one.lock("a").await.unwrap();
    hosts.net_of_two.set_ahead(seconds(61));
    assert!(
        hosts.two.lock("a").await.is_err(),
        "nodes of a cluster differ by a little"
    );
    hosts.net_of_two.set_ahead(seconds(66));
    let held = hosts.two.lock("a").await.unwrap();

    // The first holder was only suspended, and continues.
    assert!(is_conflict(
        &dead.mark_refresh_started(Revision::new(1)).await
    ));
    drop(dead);
    hosts.one.flush().await;
    hosts.net_of_two.set_ahead(seconds(0));
    held.mark_refresh_started(Revision::new(1)).await.unwrap();
    assert!(
        hosts.one.lock("a").await.is_err(),
        "it released a lease that it no longer held"
    );
}

/// The next holder, on any host, learns that a refresh was started and not finished
/// (docs/hostile.md H104, H105).
#[tokio::test]
async fn a_holder_leaves_a_note_of_its_pending_refresh() {
    let Some(hosts) = Hosts::start().await else {
        return;
    };
    let held = hosts.one.lock("a").await.unwrap();
    assert_eq!(held.pending_revision(), None);
    held.mark_refresh_started(Revision::new(7)).await.unwrap();
    drop(held);
    hosts.one.flush().await;

    let held = hosts.two.lock("a").await.unwrap();
    assert_eq!(held.pending_revision(), Some(Revision::new(7)));
    held.mark_refresh_started(Revision::new(8)).await.unwrap();
    held.mark_refresh_finished().await;
    drop(held);
    hosts.two.flush().await;
    assert_eq!(
        hosts.one.lock("a").await.unwrap().pending_revision(),
        None,
        "the refresh was finished"
    );
}

#[tokio::test]
async fn a_cancelled_lock_leaves_no_lease() {
    let Some(hosts) = Hosts::start().await else {
        return;
    };
    hosts.net_of_one.hold_responses();
    {
        let mut taking = pin!(hosts.one.lock("a"));
        tokio::select! {
            biased;
            _ = &mut taking => panic!("the lease was taken without a response"),
            () = bounded(hosts.net_of_one.responded()) => {}
        }
    }
    assert!(
        hosts.two.lock("a").await.is_err(),
        "the server has not granted it yet"
    );
    hosts.net_of_one.release_responses();
    let three = VaultStore::open(&hosts.bao.options()).unwrap();
    bounded(three.lock("a")).await.unwrap();
}

#[tokio::test]
async fn a_lease_is_released_when_it_is_dropped() {
    let Some(hosts) = Hosts::start().await else {
        return;
    };
    for _ in 0..5 {
        drop(hosts.one.lock("a").await.unwrap());
        hosts.one.flush().await;
        drop(hosts.two.lock("a").await.unwrap());
        hosts.two.flush().await;
    }
    assert!(
        hosts
            .clock_of_two
            .slept()
            .iter()
            .all(|&wait| wait > seconds(2)),
        "a lock had to wait"
    );
    let path = "secret/metadata/mcp-oauth/leases?list=true";
    let (_, leases) = hosts.bao.get(path).await;
    assert_eq!(leases["data"]["keys"].as_array().unwrap().len(), 1);
}
