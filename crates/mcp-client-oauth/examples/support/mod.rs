//! The user of the examples.

use async_trait::async_trait;
use mcp_client_oauth::platform::Interaction;
use mcp_oauth_testbed::test_user;
use url::Url;

/// Acts as the user: opens the page and presses "Approve". An application uses `Platform::system()`
/// instead.
pub(crate) struct Approves;

#[async_trait]
impl Interaction for Approves {
    async fn open(&self, url: &Url) {
        if let Err(error) = test_user::approve(url).await {
            eprintln!("cannot approve the login: {error}");
        }
    }
}
