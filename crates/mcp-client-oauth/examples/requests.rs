//! Requests with a login: reused tokens, REST, JSON-RPC and event streams, another HTTP client, and errors.
//!
//! It runs offline: `cargo run --example requests --all-features`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its results"
)]

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, header};
use mcp_client_oauth::{
    Authorized, Client, LoginOptions, Remedy, ServerUrl, Session, TokenSource as _, TokenStore,
    adapters::EventStream, platform::Platform, proto::challenge::Challenge,
};
use mcp_oauth_testbed::{ResponseForm, Testbed};
use serde_json::{Value, json};
use url::Url;

mod support;

use support::Approves;

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[tokio::main]
pub(crate) async fn main() -> Outcome {
    let testbed = Testbed::builder()
        .response_form(ResponseForm::Sse)
        .start()
        .await?;
    let server: ServerUrl = testbed.server_url().as_str().parse()?;
    let platform = Platform::system().with_interaction(Arc::new(Approves));
    let client = Client::new(platform.clone(), TokenStore::memory());

    // The first call logs in; the second one finds a valid token.
    client.ensure(&server, &LoginOptions::default()).await?;
    let session = client.ensure(&server, &LoginOptions::default()).await?;
    println!("logins: {}", testbed.token_requests("authorization_code"));

    let mcp = Authorized::new(platform, Arc::new(session.clone()));
    rest(&mcp, &server).await?;
    json_rpc(&mcp, &server).await?;
    with_own_client(&session, &testbed).await?;
    errors(&mcp, &testbed).await
}

/// Sends a request with an extra header, and one with a JSON body.
async fn rest(mcp: &Authorized, server: &ServerUrl) -> Outcome {
    let notes: Url = format!("{server}/notes").parse()?;
    let trace = HeaderName::from_static("x-trace");
    let get = mcp.get(notes.clone());
    let response = get
        .header(trace, HeaderValue::from_static("1"))
        .send()
        .await?;
    println!(
        "GET  {} {}",
        response.status,
        String::from_utf8_lossy(&response.body)
    );
    let response = mcp
        .post(notes)
        .json(&json!({ "text": "tea" }))
        .send()
        .await?;
    println!("POST {}", response.status);
    Ok(())
}

/// Sends an MCP message, and reads the events of its response while they arrive.
async fn json_rpc(mcp: &Authorized, server: &ServerUrl) -> Outcome {
    let url = server.as_url();
    let id = json!(1);
    let message = json!({
        "jsonrpc": "2.0", "id": id, "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": { "name": "example", "version": "1" },
        },
    });
    let both = HeaderValue::from_static("application/json, text/event-stream");
    let request = mcp.post(url.clone()).header(header::ACCEPT, both);
    let response = request.json(&message).send_streaming().await?;
    let mut events = EventStream::new(url, response.into_body());
    while let Some(event) = events.next().await.transpose()? {
        let message: Value = serde_json::from_slice(&event.data)?;
        if message["id"] == id {
            println!("server: {}", message["result"]["serverInfo"]["name"]);
            break;
        }
    }
    Ok(())
}

/// Uses the application's own HTTP client: takes the header, and another one when the first is refused.
async fn with_own_client(session: &Session, testbed: &Testbed) -> Outcome {
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let notes = format!("{}/notes", testbed.server_url());
    testbed.revoke_access_tokens();
    let token = session.token().await?;
    let get = http
        .get(&notes)
        .header(header::AUTHORIZATION, token.header());
    let refused = get.send().await?;
    let challenge = Challenge::from_headers(refused.status(), refused.headers());
    println!("own client: {}", refused.status());
    // If many callers were refused with the same token, one of them refreshes.
    let token = session
        .refresh_after_rejection(&token, &challenge.ok_or("no challenge")?)
        .await?;
    let get = http
        .get(&notes)
        .header(header::AUTHORIZATION, token.header());
    println!("own client: {}", get.send().await?.status());
    Ok(())
}

/// Handles errors by their remedy.
async fn errors(mcp: &Authorized, testbed: &Testbed) -> Outcome {
    // A token is sent to its resource only.
    let outside = format!("{}/notes", testbed.issuer()).parse()?;
    if let Err(error) = mcp.request(Method::GET, outside).send().await {
        println!("{:?}: {error}", error.remedy());
    }
    testbed.revoke_all_tokens();
    let notes = format!("{}/notes", testbed.server_url()).parse()?;
    match mcp.get(notes).send().await {
        Err(error) if error.remedy() == Remedy::LogIn => println!("log in again: {error}"),
        other => return Err(format!("unexpected: {other:?}").into()),
    }
    Ok(())
}
