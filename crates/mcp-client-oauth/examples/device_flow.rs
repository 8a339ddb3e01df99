//! A login where no browser can be redirected to the application: over SSH, in a container, on a
//! television. The user enters a code on another device.
//!
//! It runs offline: `cargo run --example device_flow --all-features`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its results"
)]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mcp_client_oauth::{
    Authorized, LoginOptions, ServerUrl, TokenStore, login,
    platform::{DevicePrompt, Interaction, Platform},
};
use mcp_oauth_testbed::{Testbed, test_user};
use url::Url;

/// Prints the code as a terminal would, then acts as the user, which an application does not do.
struct Terminal;

#[async_trait]
impl Interaction for Terminal {
    async fn open(&self, url: &Url) {
        println!("open      {url}");
    }

    async fn show_code(&self, prompt: &DevicePrompt) {
        if prompt.is_third_party_host {
            println!("warning   this is not the host of the authorization server");
        }
        println!("visit     {}", prompt.verification_uri);
        println!("enter     {}", prompt.user_code);
        let (uri, code) = (&prompt.verification_uri, &prompt.user_code);
        if let Err(error) = test_user::approve_device(uri, code).await {
            eprintln!("cannot approve the login: {error}");
        }
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let testbed = Testbed::builder()
        .device_authorization(true)
        .device_interval(Duration::from_secs(1))
        .start()
        .await?;
    let server: ServerUrl = testbed.server_url().as_str().parse()?;
    let platform = Platform::system().with_interaction(Arc::new(Terminal));

    let mut options = LoginOptions::default();
    options.grant = Some("device_code".to_owned());
    let session = login(&platform, &TokenStore::memory(), &server, &options).await?;
    let token = session.record().tokens.access_token;
    println!("token     {}", token.redacted());

    let mcp = Authorized::new(platform, Arc::new(session));
    let notes = format!("{server}/notes").parse()?;
    let response = mcp.get(notes).send().await?;
    println!("notes     HTTP {}", response.status);
    Ok(())
}
