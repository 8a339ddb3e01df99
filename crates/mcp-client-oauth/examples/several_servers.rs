//! Several servers and accounts over one store.
//!
//! It runs offline: `cargo run --example several_servers --all-features`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its results"
)]

use mcp_client_oauth::{Client, Error};
use mcp_oauth_testbed::Testbed;

mod support;

// begin
async fn several_servers(client: &Client, urls: &[&str]) -> Result<(), Error> {
    for &url in urls {
        let session = client.login(url).await?;
        let notes = session.get("notes").send().await?;
        println!("{url}: {}", notes.status);
    }
    Ok(())
}
// end

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (notes, tasks) = (Testbed::start().await?, Testbed::start().await?);
    let urls = [notes.server_url(), tasks.server_url()];
    let urls = [urls[0].as_str(), urls[1].as_str()];
    let client = support::builder().build().await?;

    // The second round reuses the logins.
    several_servers(&client, &urls).await?;
    several_servers(&client, &urls).await?;
    assert_eq!(notes.token_requests("authorization_code"), 1);
    assert_eq!(tasks.token_requests("authorization_code"), 1);

    // A second account at the same server is another login.
    client.login(urls[0]).account("work").await?;
    for key in client.logins().await? {
        let session = client.session(&key).await?;
        println!("{key}: {}", session.get("notes").send().await?.status);
    }
    assert_eq!(client.logins().await?.len(), 3);
    Ok(())
}
