//! The same login, one step at a time: for an application that stores its own tokens, shows its own
//! progress, or has some of the results already.
//!
//! It runs offline: `cargo run --example step_by_step --all-features`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its results"
)]

use std::sync::Arc;

use mcp_client_oauth::{
    DiscoveryOptions, IdentityOptions, Remedy, ServerUrl, discover,
    grant::{self, CallbackReceiver, GrantRequest, RedirectTarget},
    identify,
    platform::Platform,
    proto::revocation::TokenTypeHint,
    refresh, revoke,
    store::Record,
};
use mcp_oauth_testbed::Testbed;

mod support;

use support::Approves;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let testbed = Testbed::start().await?;
    let server: ServerUrl = testbed.server_url().as_str().parse()?;
    let platform = Platform::system().with_interaction(Arc::new(Approves));

    // 1. Find the authorization server.
    let discovery = discover(&platform, &server, &DiscoveryOptions::default()).await?;
    println!("issuer    {}", discovery.issuer());

    // 2. Register the client. The listener is bound first: its port is part of the redirect URI.
    let receiver = CallbackReceiver::bind(&RedirectTarget::AnyPort, None)?;
    let options = IdentityOptions::default();
    let redirect_uri = Some(receiver.uri());
    let identity = identify(&platform, &discovery, &options, None, redirect_uri).await?;

    // 3-4. The user authorizes the client, and the code is exchanged for tokens.
    let request = GrantRequest::new(&discovery, &identity, None)?.with_receiver(receiver);
    println!("client    {}", request.client().client_id);
    println!(
        "scope     {}",
        request.scope().map_or("-".to_owned(), ToString::to_string)
    );
    let requested = request.scope().cloned();
    let tokens = grant::select(&request, None)?
        .request_tokens(&platform, request)
        .await?;
    println!("token     {}", tokens.access_token.redacted());

    // 5-6. The application stores the record and refreshes the tokens.
    let mut record = Record::new(discovery, identity, requested, tokens);
    record.tokens = refresh(&platform, &record).await?;
    println!("refreshed {}", record.tokens.access_token.redacted());

    // Revoke the access token.
    let token = record.tokens.access_token.expose();
    revoke(
        &platform,
        &record.discovery,
        &record.identity,
        token,
        TokenTypeHint::Access,
    )
    .await?;

    // An error has a remedy.
    let nowhere = "https://127.0.0.1:1/mcp".parse()?;
    match discover(&platform, &nowhere, &DiscoveryOptions::default()).await {
        Err(error) if error.remedy() == Remedy::Retry => println!("as expected: {error}"),
        other => return Err(format!("unexpected: {other:?}").into()),
    }
    Ok(())
}
