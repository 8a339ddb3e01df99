//! Several servers and accounts over one encrypted store. A second process (here: a second `Client`) opens
//! it later without a new login.
//!
//! It runs offline: `cargo run --example several_servers --all-features`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its results"
)]

use std::sync::Arc;

use http::{HeaderMap, Method};
use mcp_client_oauth::{Client, LoginOptions, ServerUrl, TokenStore, platform::Platform};
use mcp_oauth_testbed::Testbed;

mod support;

use support::Approves;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (notes, tasks) = (Testbed::start().await?, Testbed::start().await?);
    let folder = tempfile::tempdir()?;
    let spec = format!("file:{}", folder.path().display());
    let platform = Platform::system().with_interaction(Arc::new(Approves));

    let client = Client::new(platform.clone(), TokenStore::open(&spec)?);
    let mut work = LoginOptions::default();
    work.account = Some("work".to_owned());
    for (testbed, options) in [
        (&notes, LoginOptions::default()),
        (&notes, work),
        (&tasks, LoginOptions::default()),
    ] {
        let server: ServerUrl = testbed.server_url().as_str().parse()?;
        let session = client.ensure(&server, &options).await?;
        println!("logged in to {}", session.key());
    }

    // Another process finds the logins and needs no new one.
    let again = Client::new(platform, TokenStore::open(&spec)?);
    let keys = again.keys().await?;
    assert_eq!(keys.len(), 3);
    for key in &keys {
        let headers = again.headers(key, &HeaderMap::new()).await?;
        assert!(headers["authorization"].is_sensitive());
        let url = format!("{}/notes", key.server()).parse()?;
        let response = again.request(key, Method::GET, url).await?.send().await?;
        println!("{key}: HTTP {}", response.status);
        let logout = again.logout(key).await?;
        println!("{key}: {:?}", logout.remote);
    }
    assert!(again.keys().await?.is_empty());
    Ok(())
}
