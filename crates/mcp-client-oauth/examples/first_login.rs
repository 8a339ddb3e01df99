//! From a server URL to an authorized request.
//!
//! It runs offline, against the testbed: `cargo run --example first_login --all-features`. With a real
//! server the builder is `Client::builder()`, and `Client::new()` builds it at once.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its results"
)]

use mcp_client_oauth::{ClientBuilder, Error, platform::Response};
use mcp_oauth_testbed::Testbed;

mod support;

// begin
async fn first_login(builder: ClientBuilder, url: &str) -> Result<Response, Error> {
    let client = builder.build().await?;
    let session = client.login(url).await?;
    session.get("notes").send().await
}
// end

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let testbed = Testbed::start().await?;
    let notes = first_login(support::builder(), testbed.server_url().as_str()).await?;
    println!("{} {}", notes.status, String::from_utf8_lossy(&notes.body));
    assert!(notes.status.is_success());
    Ok(())
}
