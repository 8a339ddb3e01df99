//! A login where no browser can be redirected to the application: over SSH, in a container, on a
//! television. The user enters a code on another device.
//!
//! It runs offline: `cargo run --example device_code --all-features`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its results"
)]

use std::time::Duration;

use mcp_client_oauth::{ClientBuilder, Error, Grant, Session, platform::Terminal};
use mcp_oauth_testbed::Testbed;

#[path = "support/codes.rs"]
mod codes;
mod support;

use codes::EntersCodes;

// begin
async fn device_code(builder: ClientBuilder, url: &str) -> Result<Session, Error> {
    let client = builder.interaction(Terminal).build().await?;
    client.login(url).grant(Grant::DeviceCode).await
}
// end

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let testbed = Testbed::builder()
        .device_authorization(true)
        .device_interval(Duration::from_secs(1))
        .start()
        .await?;
    let builder = support::builder().http_client(EntersCodes::new());
    let session = device_code(builder, testbed.server_url().as_str()).await?;
    let notes = session.get("notes").send().await?;
    println!("notes {}", notes.status);
    assert!(notes.status.is_success());
    Ok(())
}
