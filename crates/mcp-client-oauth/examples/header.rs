//! The `Authorization` header, for a client that sends its requests by itself.
//!
//! It runs offline: `cargo run --example header --all-features`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its results"
)]

use http::HeaderValue;
use mcp_client_oauth::{Error, Session};
use mcp_oauth_testbed::Testbed;

mod support;

// begin
async fn header(session: &Session) -> Result<HeaderValue, Error> {
    session.header().await
}
// end

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let testbed = Testbed::start().await?;
    let client = support::builder().build().await?;
    let session = client.login(testbed.server_url().as_str()).await?;

    let first = header(&session).await?;
    println!("{first:?}");
    assert!(first.is_sensitive());
    // A valid token is returned without I/O and without waiting.
    assert_eq!(session.cached_header(), Some(first.clone()));

    session.refresh().await?;
    assert_ne!(header(&session).await?, first);
    Ok(())
}
