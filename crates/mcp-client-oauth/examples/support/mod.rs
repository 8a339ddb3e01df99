//! The user of the examples.

use async_trait::async_trait;
use mcp_client_oauth::{Client, ClientBuilder, TokenStore, platform::Interaction};
use mcp_oauth_testbed::test_user;
use url::Url;

/// Acts as the user: opens the page and presses "Approve". An application uses the system's browser
/// instead, which is the default.
pub(crate) struct Approves;

#[async_trait]
impl Interaction for Approves {
    async fn open(&self, url: &Url) {
        if let Err(error) = test_user::approve(url).await {
            eprintln!("cannot approve the login: {error}");
        }
    }
}

/// Returns the builder of a client that touches nothing of this machine: its store is in memory, and its
/// user is [`Approves`].
#[allow(dead_code, reason = "some examples build the client by themselves")]
pub(crate) fn builder() -> ClientBuilder {
    Client::builder()
        .store(TokenStore::memory())
        .interaction(Approves)
}
