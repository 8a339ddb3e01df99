//! The same login, one step at a time: for an application that stores its own tokens, shows its own
//! progress, or has some of the results already.
//!
//! It runs offline: `cargo run --example step_by_step --all-features`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its results"
)]

use mcp_client_oauth::{
    Remedy, ServerUrl,
    flow::{self, DiscoveryOptions, IdentityOptions, TokenTypeHint},
    platform::Platform,
    store::Record,
};
use mcp_oauth_testbed::{
    Testbed,
    test_user::{Decision, decide},
};

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let testbed = Testbed::start().await?;
    let server: ServerUrl = testbed.server_url().as_str().parse()?;
    let platform = Platform::default();

    // 1. Find the authorization server.
    let discovery = flow::discover(&platform, &server, &DiscoveryOptions::default()).await?;
    println!("issuer    {}", discovery.issuer());

    // 2. Register the client, with the redirect URI of the application.
    let redirect_uri = "http://127.0.0.1:4321/callback".parse()?;
    let options = IdentityOptions::default();
    let identity =
        flow::identify(&platform, &discovery, &options, None, Some(&redirect_uri)).await?;
    println!("client    {}", identity.client_id());

    // 3. The user authorizes the client in a browser, which is redirected to the redirect URI.
    let (url, pending) = flow::authorization_url(&discovery, &identity, &redirect_uri, None, None)?;
    let callback = decide(&url, Decision::Approve).await?;

    // 4. The callback is checked, and its code is exchanged for tokens.
    let code = pending.accept(&callback)?;
    let tokens = flow::exchange(&platform, &discovery, &identity, &code, None).await?;
    println!("token     {}", tokens.access_token.redacted());

    // 5-6. The application stores the record and refreshes the tokens.
    let mut record = Record::new(discovery, identity, None, tokens);
    record.tokens = flow::refresh(&platform, &record).await?;
    println!("refreshed {}", record.tokens.access_token.redacted());

    // Revoke the access token.
    let token = record.tokens.access_token.expose();
    let (discovery, identity) = (&record.discovery, &record.identity);
    flow::revoke(&platform, discovery, identity, token, TokenTypeHint::Access).await?;

    // An error has a remedy.
    let nowhere = "https://127.0.0.1:1/mcp".parse()?;
    match flow::discover(&platform, &nowhere, &DiscoveryOptions::default()).await {
        Err(error) if error.remedy() == Remedy::Retry => println!("as expected: {error}"),
        other => return Err(format!("unexpected: {other:?}").into()),
    }
    Ok(())
}
