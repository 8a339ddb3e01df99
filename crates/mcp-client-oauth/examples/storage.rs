//! The stores of tokens: in memory, in encrypted files, and in others by their name.
//!
//! It runs offline: `cargo run --example storage --all-features`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its results"
)]

use std::sync::Arc;

use mcp_client_oauth::{Client, LoginKey, Secret, TokenStore};
use mcp_oauth_store::{EncryptedFileStore, KeySource};
use mcp_oauth_testbed::Testbed;

mod support;

use support::Approves;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let testbed = Testbed::start().await?;
    let url = testbed.server_url().to_string();
    let url = url.as_str();
    let client = |store| Client::builder().store(store).interaction(Approves).build();

    let home = tempfile::tempdir()?;
    // By a text, as a command line or a configuration file has it: `auto:`, here with a directory.
    let store = TokenStore::open(&format!("auto:{}", home.path().join("auto").display()))?;
    println!("logins in a new store: {}", store.keys().await?.len());

    // By its parts: files that are encrypted with a password. Another password is an error.
    let open = |password: &str| {
        let password = KeySource::Password(Secret::new(password.to_owned()));
        let files = EncryptedFileStore::open(home.path().join("tokens"), password)?;
        Ok::<_, mcp_client_oauth::Error>(TokenStore::new(Arc::new(files)))
    };
    let first = client(open("correct horse battery staple")?).await?;
    first.login(url).await?;
    first.flush().await;

    // Another process, later: it needs no new login.
    let second = client(open("correct horse battery staple")?).await?;
    let session = second.session(url).await?;
    println!("stored: {}", session.header().await?.is_sensitive());
    let wrong = open("wrong")?;
    if let Err(error) = wrong.load(&LoginKey::try_from(url)?).await {
        println!("{error}");
    }
    assert_eq!(testbed.token_requests("authorization_code"), 1);
    Ok(())
}
