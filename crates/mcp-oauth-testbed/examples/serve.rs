//! Runs the testbed until Ctrl-C, to try a client with it:
//! `cargo run -p mcp-oauth-testbed --example serve`.

#![allow(clippy::print_stdout, reason = "an example prints for its user")]

use mcp_oauth_testbed::Testbed;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let testbed = Testbed::builder().step_up(true).start().await?;
    println!("MCP server            {}", testbed.server_url());
    println!("authorization server  {}", testbed.issuer());
    println!("Ctrl-C stops both.");
    tokio::signal::ctrl_c().await
}
