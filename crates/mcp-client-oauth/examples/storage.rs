//! The stores of tokens: in memory, in encrypted files, and in others by their name.
//!
//! It runs offline: `cargo run --example storage --all-features`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its results"
)]

use std::sync::Arc;

use mcp_client_oauth::{
    LoginOptions, Secret, ServerUrl, Session, TokenStore, login,
    platform::Platform,
    store::{EncryptedFileStore, KeySource, LoginKey},
};
use mcp_oauth_testbed::Testbed;

mod support;

use support::Approves;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let testbed = Testbed::start().await?;
    let server: ServerUrl = testbed.server_url().as_str().parse()?;
    let platform = Platform::system().with_interaction(Arc::new(Approves));

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
    let store = open("correct horse battery staple")?;
    login(&platform, &store, &server, &LoginOptions::default()).await?;
    store.flush().await;

    // Another process, later: it needs no new login.
    let store = open("correct horse battery staple")?;
    let key = LoginKey::new(server.clone());
    let session = Session::open(platform.clone(), store.clone(), key.clone()).await?;
    let session = session.ok_or("not logged in")?;
    println!("stored: {}", session.header().await?.is_sensitive());
    let wrong = open("wrong")?;
    if let Err(error) = wrong.load(&key).await {
        println!("{error}");
    }
    assert_eq!(testbed.token_requests("authorization_code"), 1);
    Ok(())
}
