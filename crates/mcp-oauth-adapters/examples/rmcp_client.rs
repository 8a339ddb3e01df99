//! The official MCP client `rmcp`: with the tokens of a session, and with its own credentials in a store.
//!
//! It runs offline: `cargo run -p mcp-oauth-adapters --example rmcp_client --all-features`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints its results"
)]

use mcp_oauth_adapters::rmcp_credentials::RmcpCredentials;
use mcp_oauth_testbed::Testbed;
use rmcp::{model::CallToolRequestParams, transport::auth::AuthorizationManager};

#[path = "../../mcp-client-oauth/examples/support/mod.rs"]
mod support;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let testbed = Testbed::start().await?;
    let url = testbed.server_url().to_string();
    let url = url.as_str();
    let client = support::builder().build().await?;
    let session = client.login(url).await?;

    // Negotiates the protocol version. A refused token is refreshed.
    let mcp = session.mcp().await?;
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
    let mut manager = AuthorizationManager::new(url).await?;
    manager.set_credential_store(RmcpCredentials::new(client.store(), &session.key()));
    Ok(())
}
