//! Many processes with one store, each with a session, when their access token becomes invalid: they
//! send one token request, and the login is kept (docs/hostile.md H99 to H107).
//!
//! The worker processes run this test program again. The parent process sets their clocks and the clock
//! of the testbed. `MCP_OAUTH_TEST_ROUNDS` sets the number of rounds of each test: 200 gives a reliable
//! result, the default is a quick check.

use self::{
    harness::Harness, harness::TokenProblem, process::env_number, shared_store::SharedStore,
};
use crate::encrypted::Home;

mod crashes;
pub(crate) mod harness;
mod hosts;
pub(crate) mod process;
pub(crate) mod random_kill;
pub(crate) mod shared_store;
mod tasks;
pub(crate) mod worker;

/// The number of worker processes.
const SIZE: usize = 32;

fn rounds() -> u64 {
    env_number("MCP_OAUTH_TEST_ROUNDS", 20)
}

async fn with_encrypted_files() -> Harness {
    Harness::start(SIZE, SharedStore::Files(Home::new())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_with_an_expired_token_refresh_once() {
    let mut harness = with_encrypted_files().await;
    for _ in 0..rounds() {
        harness.assert_one_refresh(TokenProblem::Expired).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_with_a_refused_token_refresh_once() {
    let mut harness = with_encrypted_files().await;
    for _ in 0..rounds() {
        harness.assert_one_refresh(TokenProblem::Refused).await;
    }
}
