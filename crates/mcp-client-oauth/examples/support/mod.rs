//! What the examples share: the person.

use async_trait::async_trait;
use mcp_client_oauth::platform::Interaction;
use mcp_oauth_testbed::test_user;
use url::Url;

/// Plays the person at the browser: opens the page and presses "Approve". An application leaves
/// this to `Platform::system()`.
pub(crate) struct Approves;

#[async_trait]
impl Interaction for Approves {
    async fn open(&self, url: &Url) {
        if let Err(error) = test_user::approve(url).await {
            eprintln!("the person could not approve: {error}");
        }
    }
}
