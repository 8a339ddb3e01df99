//! Many processes at one store, each with a session, at the moment when the token of all of them
//! becomes bad: one token request, and nobody loses the login (H99-H107).
//!
//! The members are this test program, started again. They have no time of their own: the parent
//! tells it, and sets the testbed's by it. `MCP_OAUTH_TEST_ROUNDS` says how many rounds each herd
//! goes through; 200 is the figure to trust, and the default is a quick look.

use self::{place::Place, process::figure, troop::Herd, troop::Trouble};
use crate::sealed::Home;

pub(crate) mod chance;
mod disturbed;
#[cfg(feature = "vault")]
mod hosts;
pub(crate) mod member;
pub(crate) mod place;
pub(crate) mod process;
mod tasks;
pub(crate) mod troop;

/// How many processes a herd has.
const SIZE: usize = 32;

fn rounds() -> u64 {
    figure("MCP_OAUTH_TEST_ROUNDS", 20)
}

async fn sealed_files() -> Herd {
    Herd::gather(SIZE, Place::Files(Home::new())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_processes_with_an_expired_token_one_refreshes() {
    let mut herd = sealed_files().await;
    for _ in 0..rounds() {
        herd.renews_once(Trouble::Expired).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_processes_with_a_refused_token_one_refreshes() {
    let mut herd = sealed_files().await;
    for _ in 0..rounds() {
        herd.renews_once(Trouble::Refused).await;
    }
}
