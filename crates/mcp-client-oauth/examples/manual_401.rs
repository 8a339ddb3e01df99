//! A 401 that the application handles by itself, with its own HTTP client.
//!
//! It runs offline: `cargo run --example manual_401 --all-features`. `Session::send` does this with any HTTP
//! client, and handles a 403 with `insufficient_scope` too.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its results"
)]

use mcp_client_oauth::Session;
use mcp_oauth_testbed::Testbed;
use reqwest::{Client, Response, StatusCode, header::AUTHORIZATION, redirect::Policy};

mod support;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

// begin
async fn manual_401(session: &Session, http: &Client, url: &str) -> Result<Response> {
    let get = |header| http.get(url).header(AUTHORIZATION, header).send();
    let old = session.header().await?;
    let response = get(old.clone()).await?;
    if response.status() != StatusCode::UNAUTHORIZED {
        return Ok(response);
    }
    let (status, headers) = (response.status(), response.headers());
    let new = session.header_after_rejection(&old, status, headers);
    Ok(get(new.await?).await?)
}
// end

#[tokio::main]
pub(crate) async fn main() -> Result<()> {
    let testbed = Testbed::start().await?;
    let client = support::builder().build().await?;
    let session = client.login(testbed.server_url().as_str()).await?;
    // A redirect would send the token to another URL.
    let http = Client::builder().redirect(Policy::none()).build()?;
    let url = format!("{}/notes", testbed.server_url());

    testbed.revoke_access_tokens();
    // Requests that are refused at the same time cause one refresh.
    let requests = (0..8).map(|_| manual_401(&session, &http, &url));
    for response in futures_util::future::join_all(requests).await {
        assert!(response?.status().is_success());
    }
    println!("{} refresh", testbed.token_requests("refresh_token"));
    assert_eq!(testbed.token_requests("refresh_token"), 1);
    Ok(())
}
