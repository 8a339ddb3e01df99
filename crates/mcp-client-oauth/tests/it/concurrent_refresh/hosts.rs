//! Two processes without a common disk: their store is a Vault.

use std::sync::Arc;

use mcp_client_oauth::{
    Secret, TokenStore,
    platform::SystemClock,
    store::{Vault, VaultAuth, VaultOptions},
};
use test_support::bao::{Bao, ROOT};

use super::{
    harness::{Harness, TokenProblem},
    rounds,
    shared_store::SharedStore,
};

pub(crate) fn vault(options: &VaultOptions) -> TokenStore {
    let clock = Arc::new(SystemClock::default());
    TokenStore::new(Arc::new(Vault::open(options, clock).unwrap()))
}

/// Returns the options for the address that a child process receives.
pub(crate) fn options(address: &str) -> VaultOptions {
    let token = Secret::new(ROOT.to_owned());
    VaultOptions::new(address.parse().unwrap(), VaultAuth::Token(token))
}

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
