//! A client for the public conformance suite that speaks stdio alone: it runs `mcp-oauth proxy` as
//! its server, as desktop applications do, lists the tools, and calls each. `conformance/run` gives it
//! to the suite, for the scenarios without authorization.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "an example talks to its reader, and the suite talks by the environment"
)]

use std::{path::Path, process::ExitCode, process::Stdio, time::Duration};

use rmcp::{model::ClientConfig, service::ClientServiceExt as _};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

#[path = "../../mcp-client-oauth/examples/support/tools.rs"]
mod tools;

use tools::{Failure, TOOLS, call, lifecycle};

/// The suite cannot stop a client that hangs.
const DEADLINE: Duration = Duration::from_secs(25);

#[tokio::main]
async fn main() -> ExitCode {
    let server = std::env::args().next_back().unwrap_or_default();
    let outcome = timeout(DEADLINE, visit(&server)).await;
    match outcome.unwrap_or_else(|late| Err(late.into())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Uses the server through the proxy.
async fn visit(server: &str) -> Result<(), Failure> {
    let revision = std::env::var("MCP_CONFORMANCE_PROTOCOL_VERSION").unwrap_or_default();
    let home = tempfile::tempdir()?;
    let mut proxy = proxy(server, home.path())?;
    let (Some(stdin), Some(stdout)) = (proxy.stdin.take(), proxy.stdout.take()) else {
        return Err("the proxy has no stdin and stdout".into());
    };
    let client = ClientConfig::default()
        .serve_with_lifecycle((stdout, stdin), lifecycle(&revision))
        .await?;
    for tool in client.list_all_tools().await?.iter().take(TOOLS) {
        client.call_tool(call(tool)).await?;
        println!("called {}", tool.name);
    }
    client.cancel().await?;
    proxy.wait().await?;
    Ok(())
}

/// The proxy, with a home of its own.
fn proxy(server: &str, home: &Path) -> Result<Child, Failure> {
    let own = std::env::current_exe()?;
    let built = own.parent().and_then(Path::parent);
    let program = built
        .ok_or("cannot find the directory of the proxy")?
        .join("mcp-oauth");
    let child = Command::new(program)
        .args(["proxy", server, "--store", "memory:"])
        .env("MCP_OAUTH_DATA_DIR", home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    Ok(child)
}
