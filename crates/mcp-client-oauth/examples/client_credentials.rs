//! A non-interactive login: client credentials, with a client that authenticates by a key.
//!
//! It runs offline, against the testbed: `cargo run --example client_credentials --all-features`. For
//! workload identity or enterprise-managed authorization use another `NonInteractiveGrant`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its results"
)]

use std::sync::Arc;

use mcp_client_oauth::{
    Authorized, LoginOptions, NonInteractiveGrant, PreregisteredClient, ServerUrl, TokenStore,
    login, platform::Platform, proto::private_key::PrivateKey,
};
use mcp_oauth_testbed::{Algorithm, ConfidentialClient, KeyPair, Testbed};

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The administrator generates a key and registers the client with its public half.
    let pair = KeyPair::generate(Algorithm::Es256)?;
    let client = ConfidentialClient::with_key("nightly-job", pair.public());
    let testbed = Testbed::builder()
        .confidential_client(client)
        .start()
        .await?;
    let server: ServerUrl = testbed.server_url().as_str().parse()?;

    // The job. A real one reads the key from a file that only its own user can read.
    let key = PrivateKey::from_pem(&pair.private_pem())?;
    let mut options = LoginOptions::default();
    options.identity.preregistered =
        Some(PreregisteredClient::new("nightly-job", None).with_private_key(key));
    options.non_interactive = Some(NonInteractiveGrant::ClientCredentials);

    let platform = Platform::system();
    let store = TokenStore::memory();
    let session = login(&platform, &store, &server, &options).await?;

    let mcp = Authorized::new(platform, Arc::new(session));
    let notes = mcp.get(format!("{server}/notes").parse()?).send().await?;
    println!("{} {}", notes.status, String::from_utf8_lossy(&notes.body));

    // The server revokes the token; the session requests another one, again non-interactively.
    testbed.revoke_access_tokens();
    let notes = mcp.get(format!("{server}/notes").parse()?).send().await?;
    println!(
        "{} after {} grants",
        notes.status,
        testbed.token_requests("client_credentials")
    );
    assert!(notes.status.is_success());
    Ok(())
}
