//! Tokens without a person: a client in its own name, which proves who it is by a key.
//!
//! It runs offline, against the testbed: `cargo run --example client_credentials --all-features`.
//! A workload, or a person whom an identity provider vouches for, is another `NonInteractiveGrant` in the
//! same place.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example talks to its reader"
)]

use std::sync::Arc;

use mcp_client_oauth::{
    Authorized, LoginOptions, NonInteractiveGrant, PreregisteredClient, ServerUrl, TokenStore,
    login, platform::Platform, proto::private_key::PrivateKey,
};
use mcp_oauth_testbed::{Algorithm, KeyPair, Machine, Testbed};

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // What an administrator does: makes a key, and registers the client with its public half.
    let pair = KeyPair::generate(Algorithm::Es256)?;
    let machine = Machine::with_key("nightly-job", pair.public());
    let testbed = Testbed::builder().machine(machine).start().await?;
    let server: ServerUrl = testbed.server_url().as_str().parse()?;

    // What the job does. The text of the key comes from a file that nobody else can read.
    let key = PrivateKey::from_pem(&pair.private_pem())?;
    let mut options = LoginOptions::default();
    options.identity.preregistered =
        Some(PreregisteredClient::new("nightly-job", None).with_private_key(key));
    options.machine = Some(NonInteractiveGrant::ClientCredentials);

    let platform = Platform::system();
    let store = TokenStore::memory();
    let session = login(&platform, &store, &server, &options).await?;

    let mcp = Authorized::new(platform, Arc::new(session));
    let notes = mcp.get(format!("{server}/notes").parse()?).send().await?;
    println!("{} {}", notes.status, String::from_utf8_lossy(&notes.body));

    // The server forgets the token; the session asks for another one, again by itself.
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
