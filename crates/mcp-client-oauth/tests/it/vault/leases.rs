//! One store for several hosts: leases, and one refresh.

use std::pin::pin;

use mcp_client_oauth::{Client, TokenStore};
use mcp_oauth_testbed::{Corruption, Endpoint, Fault};
use tokio::task::JoinSet;

use super::*;
use crate::support::{Fixture, bounded};

/// The lifetime of an access token of the testbed.
const LIFE: Duration = Duration::from_secs(300);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Two hosts, each with its own network, clock and client.
struct Hosts {
    bao: Bao,
    one: Vault,
    two: Vault,
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
    let clock = Arc::new(SystemClock::default());
    let three = Vault::open(&hosts.bao.options(), clock).unwrap();
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

/// Waits until both hosts have read the lease, while the first one waits for its new token.
async fn until_both_have_read_the_lease(nets: &[Arc<Tampered>; 2]) {
    let reads = || nets.iter().map(|net| net.count("/leases/")).sum::<usize>();
    // The holder reads it and writes it twice; the other host reads it repeatedly.
    let before = reads();
    while reads() < before + 6 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hosts_with_sixty_four_tasks_refresh_once() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let nets: [Arc<Tampered>; 2] = Default::default();
    let store = |net: &Arc<Tampered>| {
        let http = Arc::clone(net) as Arc<dyn HttpClient>;
        let clock = Arc::new(SystemClock::default());
        TokenStore::new(Arc::new(
            Vault::with_http_client(&bao.options(), http, clock).unwrap(),
        ))
    };
    let mut fixture = Fixture::start().await;
    fixture.store = store(&Arc::default());
    fixture.login().await.unwrap();
    let open = async |net| {
        let client = Client::with_platform(fixture.platform.clone(), store(net));
        client.session(fixture.key()).await.unwrap()
    };
    let hosts = [open(&nets[0]).await, open(&nets[1]).await];
    for round in 1..=3 {
        fixture.advance(LIFE);
        fixture
            .testbed
            .set_fault(Fault::Corrupt(Endpoint::Token, Corruption::Held));
        let tasks: JoinSet<_> = (0..64)
            .map(|task| {
                let session = hosts[task % 2].clone();
                async move { session.token().await }
            })
            .collect();
        bounded(until_both_have_read_the_lease(&nets)).await;
        fixture.testbed.release();
        let tokens = bounded(tasks.join_all()).await;
        let first = tokens[0].as_ref().unwrap();
        assert!(tokens.iter().all(|token| token.as_ref().unwrap() == first));
        assert_eq!(
            fixture.refreshes(),
            round,
            "each host would have spent the token of the other"
        );
        assert!(fixture.testbed.families()[0].alive);
    }
}
