//! A non-interactive login: client credentials, with a secret or with a key.
//!
//! It runs offline: `cargo run --example client_credentials --all-features`. For workload identity or
//! enterprise-managed authorization use another `Grant`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its results"
)]

use mcp_client_oauth::{Client, Error, Grant, Secret, Session, flow::PrivateKey};
use mcp_oauth_testbed::{Algorithm, ConfidentialClient, KeyPair, Testbed};

mod support;

// begin
async fn client_credentials(
    client: &Client,
    url: &str,
    id: &str,
    secret: Secret<String>,
) -> Result<Session, Error> {
    let login = client.login(url).grant(Grant::ClientCredentials);
    login.client_id(id).client_secret(secret).await
}
// end

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The administrator registers two clients: one with a secret, one with the public half of its key.
    let pair = KeyPair::generate(Algorithm::Es256)?;
    let testbed = Testbed::builder()
        .confidential_client(ConfidentialClient::with_secret(
            "nightly-job",
            "a long secret",
        ))
        .confidential_client(ConfidentialClient::with_key("weekly-job", pair.public()))
        .start()
        .await?;
    let url = testbed.server_url();
    let client = support::builder().build().await?;

    let secret = Secret::new("a long secret".to_owned());
    let session = client_credentials(&client, url.as_str(), "nightly-job", secret).await?;
    let notes = session.get("notes").send().await?;
    println!("{}", notes.status);

    // The server revokes the token; the session requests another one, again non-interactively.
    testbed.revoke_access_tokens();
    let notes = session.get("notes").send().await?;
    println!(
        "{} after {} grants",
        notes.status,
        testbed.token_requests("client_credentials")
    );
    assert!(notes.status.is_success());

    // A real job reads the key from a file that only its own user can read.
    let key = PrivateKey::from_pem(&pair.private_pem())?;
    let login = client.login(url.as_str()).account("weekly");
    let login = login.grant(Grant::ClientCredentials);
    let session = login.client_id("weekly-job").private_key(key).await?;
    assert!(session.get("notes").send().await?.status.is_success());
    Ok(())
}
