//! The official MCP client with our tokens, and our stores for its own credentials.
//!
//! It runs offline: `cargo run --example rmcp_client --all-features`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example talks to its reader"
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
    let sessions = Client::new(platform, TokenStore::memory());
    sessions.ensure(&server, &LoginOptions::default()).await?;

    // The protocol version is negotiated; a refused token is refreshed under way.
    let client = sessions.mcp(&key).await?;
    let tools = client.list_all_tools().await?;
    println!("{} tools", tools.len());
    testbed.revoke_access_tokens();
    let arguments = serde_json::json!({ "a": 20, "b": 22 });
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    let call = CallToolRequestParams::new("add").with_arguments(arguments);
    let sum = client.call_tool(call).await?.structured_content;
    println!(
        "{sum:?} after {} refresh",
        testbed.token_requests("refresh_token")
    );
    client.cancel().await?;

    // Who keeps rmcp's own AuthorizationManager may keep what it knows in our stores.
    let mut manager = AuthorizationManager::new(server.as_str()).await?;
    manager.set_credential_store(RmcpCredentials::new(sessions.store(), &key));
    Ok(())
}
