//! Runs the testbed until Ctrl-C, to try a client against it by hand:
//! `cargo run -p mcp-oauth-testbed --example serve`.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use mcp_oauth_testbed::Testbed;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let testbed = Testbed::builder().step_up(true).start().await?;
    println!("MCP server            {}", testbed.server_url());
    println!("authorization server  {}", testbed.issuer());
    println!("Ctrl-C stops both.");
    tokio::signal::ctrl_c().await
}
