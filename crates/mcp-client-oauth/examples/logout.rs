//! A logout: the tokens are removed from the store and revoked at the server.
//!
//! It runs offline: `cargo run --example logout --all-features`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its results"
)]

use mcp_client_oauth::{Client, Error, Logout};
use mcp_oauth_testbed::Testbed;

mod support;

// begin
async fn logout(client: &Client, url: &str) -> Result<Logout, Error> {
    client.logout(url).await
}
// end

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let testbed = Testbed::start().await?;
    let url = testbed.server_url();
    let client = support::builder().build().await?;
    client.login(url.as_str()).await?;

    // The tokens are removed from this machine also if the server cannot be reached: `remote` says so.
    let logout = logout(&client, url.as_str()).await?;
    println!("removed: {}, server: {:?}", logout.removed, logout.remote);
    assert!(logout.removed);
    assert!(client.logins().await?.is_empty());
    Ok(())
}
