//! Two processes without a common disk: their store is a Vault.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use mcp_client_oauth::{
    Client, TokenStore,
    platform::{HttpClient, HttpError, Request, ReqwestClient, Response, SystemClock},
};
use mcp_oauth_testbed::{Corruption, Endpoint, Fault};
use mcp_oauth_vault::VaultStore;
use test_support::bao::Bao;
use tokio::task::JoinSet;

use super::{
    harness::{Harness, TokenProblem},
    rounds,
    shared_store::SharedStore,
};
use crate::{
    support::{Fixture, bounded},
    vault::options,
};

/// The lifetime of an access token of the testbed.
const LIFE: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_with_an_expired_token_refresh_once() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let mut harness = Harness::start(2, SharedStore::Vault(Box::new(bao))).await;
    for round in 0..rounds() {
        let problem = match round % 2 {
            0 => TokenProblem::Expired,
            _ => TokenProblem::Refused,
        };
        harness.assert_one_refresh(problem).await;
    }
}

/// A network that counts the requests about leases.
#[derive(Default)]
struct Network {
    http: ReqwestClient,
    lease_requests: AtomicUsize,
}

#[async_trait]
impl HttpClient for Network {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        if request.url.path().contains("/leases/") {
            self.lease_requests.fetch_add(1, Ordering::SeqCst);
        }
        self.http.send(request).await
    }
}

/// Waits until both hosts have read the lease, while the first one waits for its new token.
async fn until_both_have_read_the_lease(nets: &[Arc<Network>; 2]) {
    let reads = || {
        nets.iter()
            .map(|net| net.lease_requests.load(Ordering::SeqCst))
            .sum::<usize>()
    };
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
    let nets: [Arc<Network>; 2] = Default::default();
    let store = |net: &Arc<Network>| {
        let http = Arc::clone(net) as Arc<dyn HttpClient>;
        let clock = Arc::new(SystemClock::default());
        let options = options(bao.address.as_str());
        let vault = VaultStore::with_http_client(&options, http, clock).unwrap();
        TokenStore::new(Arc::new(vault))
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
