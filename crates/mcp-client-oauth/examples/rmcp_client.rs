//! The official MCP client `rmcp`: with the tokens of a session, and with its own credentials in a store.
//!
//! It runs offline: `cargo run --example rmcp_client --all-features`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its results"
)]

use std::sync::Arc;

use mcp_client_oauth::{
    Client, LoginOptions, ServerUrl, TokenStore, adapters::rmcp_credentials::RmcpCredentials,
    platform::Platform, store::LoginKey,
};
use mcp_oauth_testbed::Testbed;
use rmcp::{model::CallToolRequestParams, transport::auth::AuthorizationManager};

mod support;

use support::Approves;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let testbed = Testbed::start().await?;
    let server: ServerUrl = testbed.server_url().as_str().parse()?;
    let key = LoginKey::new(server.clone());
    let platform = Platform::system().with_interaction(Arc::new(Approves));
    let client = Client::new(platform, TokenStore::memory());
    client.ensure(&server, &LoginOptions::default()).await?;

    // Negotiates the protocol version. A refused token is refreshed.
    let mcp = client.mcp(&key).await?;
    let tools = mcp.list_all_tools().await?;
    println!("{} tools", tools.len());
    testbed.revoke_access_tokens();
    let arguments = serde_json::json!({ "a": 20, "b": 22 });
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    let call = CallToolRequestParams::new("add").with_arguments(arguments);
    let sum = mcp.call_tool(call).await?.structured_content;
    println!(
        "{sum:?} after {} refresh",
        testbed.token_requests("refresh_token")
    );
    mcp.cancel().await?;

    // An application that keeps rmcp's AuthorizationManager can store its credentials in the same store.
    let mut manager = AuthorizationManager::new(server.as_str()).await?;
    manager.set_credential_store(RmcpCredentials::new(client.store(), &key));
    Ok(())
}
