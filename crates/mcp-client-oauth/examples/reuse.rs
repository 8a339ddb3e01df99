//! A stored login, used by another process.
//!
//! It runs offline: `cargo run --example reuse --all-features`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its results"
)]

use std::sync::Arc;

use mcp_client_oauth::{Client, ClientBuilder, Error, Remedy, Session, TokenStore};
use mcp_oauth_testbed::Testbed;

mod support;

use support::Approves;

// begin
async fn reuse(builder: ClientBuilder, url: &str) -> Result<Session, Error> {
    let client = builder.build().await?;
    client.session(url).await
}
// end

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let testbed = Testbed::start().await?;
    let url = testbed.server_url();
    // Without `store`, the builder uses the best store of this machine.
    let folder = tempfile::tempdir()?;
    let spec = format!("file:{}", folder.path().display());

    match reuse(
        Client::builder().store(TokenStore::open(&spec)?),
        url.as_str(),
    )
    .await
    {
        Err(error) if error.remedy() == Remedy::LogIn => println!("{error}"),
        other => return Err(format!("unexpected: {other:?}").into()),
    }

    let builder = Client::builder().interaction(Arc::new(Approves));
    let client = builder.store(TokenStore::open(&spec)?).build().await?;
    client.login(url.as_str()).await?;
    client.flush().await;

    // The other process has a builder and a store of its own. `login` reuses the login too.
    let session = reuse(
        Client::builder().store(TokenStore::open(&spec)?),
        url.as_str(),
    )
    .await?;
    let notes = session.get("notes").send().await?;
    println!("{} with the login of {}", notes.status, session.key());
    assert!(session.is_reused());
    assert_eq!(testbed.token_requests("authorization_code"), 1);
    Ok(())
}
