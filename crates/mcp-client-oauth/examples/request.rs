//! An authorized request with a JSON body, and its errors.
//!
//! It runs offline: `cargo run --example request --all-features`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its results"
)]

use mcp_client_oauth::{Error, Remedy, Session, platform::Response};
use mcp_oauth_testbed::Testbed;
use serde_json::json;

mod support;

// begin
async fn request(session: &Session) -> Result<Response, Error> {
    let note = json!({ "text": "tea" });
    session.post("notes").json(&note).send().await
}
// end

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let testbed = Testbed::start().await?;
    let client = support::builder().build().await?;
    let session = client.login(testbed.server_url().as_str()).await?;

    // The server refuses the token. It is refreshed, and the request sent again.
    testbed.revoke_access_tokens();
    let response = request(&session).await?;
    println!(
        "{} after {} refresh",
        response.status,
        testbed.token_requests("refresh_token")
    );
    assert!(response.status.is_success());

    // A token is sent to its resource only.
    let outside = format!("{}/notes", testbed.issuer());
    if let Err(error) = session.get(outside).send().await {
        println!("{:?}: {error}", error.remedy());
    }

    // Each error says what to do.
    testbed.revoke_all_tokens();
    match request(&session).await {
        Err(error) if error.remedy() == Remedy::LogIn => println!("log in again: {error}"),
        other => return Err(format!("unexpected: {other:?}").into()),
    }
    Ok(())
}
