//! Two processes that share no disk: their store is a Vault.

use std::sync::Arc;

use mcp_client_oauth::{
    Secret, TokenStore,
    platform::SystemClock,
    store::{Vault, VaultAuth, VaultOptions},
};
use test_support::bao::{Bao, ROOT};

use super::{
    place::Place,
    rounds,
    troop::{Herd, Trouble},
};

pub(crate) fn vault(options: &VaultOptions) -> TokenStore {
    let clock = Arc::new(SystemClock::default());
    TokenStore::new(Arc::new(Vault::open(options, clock).unwrap()))
}

/// What a child makes of the address that it was told.
pub(crate) fn options(address: &str) -> VaultOptions {
    let token = Secret::new(ROOT.to_owned());
    VaultOptions::new(address.parse().unwrap(), VaultAuth::Token(token))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hosts_with_an_expired_token_one_refreshes() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let mut herd = Herd::gather(2, Place::Vault(Box::new(bao))).await;
    for round in 0..rounds() {
        let trouble = match round % 2 {
            0 => Trouble::Expired,
            _ => Trouble::Refused,
        };
        herd.renews_once(trouble).await;
    }
}
