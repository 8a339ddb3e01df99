//! From a server URL to an authorized request.
//!
//! It runs offline, against the testbed: `cargo run --example first_login --all-features`. With a real
//! server, `Platform::system()` opens the user's browser and no `Approves` is needed.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its results"
)]

use std::sync::Arc;

use mcp_client_oauth::{
    Authorized, LoginOptions, ServerUrl, TokenStore, login, platform::Platform,
};
use mcp_oauth_testbed::Testbed;

mod support;

use support::Approves;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let testbed = Testbed::start().await?;
    let server: ServerUrl = testbed.server_url().as_str().parse()?;

    let platform = Platform::system().with_interaction(Arc::new(Approves));
    let store = TokenStore::memory();
    let session = login(&platform, &store, &server, &LoginOptions::default()).await?;

    let mcp = Authorized::new(platform, Arc::new(session));
    let notes = mcp.get(format!("{server}/notes").parse()?).send().await?;
    println!("{} {}", notes.status, String::from_utf8_lossy(&notes.body));

    // The server revokes the token. The next request is refused; the token is refreshed and the request
    // sent again.
    testbed.revoke_access_tokens();
    let notes = mcp.get(format!("{server}/notes").parse()?).send().await?;
    println!(
        "{} after {} refresh",
        notes.status,
        testbed.token_requests("refresh_token")
    );
    assert!(notes.status.is_success());
    Ok(())
}
