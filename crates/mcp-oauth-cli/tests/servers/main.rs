//! The command at the real servers of `interop/servers`, each in its own process on loopback.
//!
//! `MCP_OAUTH_TEST_SERVERS` selects them: names separated by spaces, or `skip`. `scripts/check`
//! installs the servers and sets it. Further variables:
//!
//! - `MCP_OAUTH_TEST_WRITE_TABLE=1`: writes the table of `docs/interop.md`, instead of comparing.
//! - `MCP_OAUTH_TEST_COMMAND`: another `mcp-oauth` than the one of this build, for example of a release.
//! - `MCP_OAUTH_TEST_WRITE_TRANSCRIPTS=1`: records a login, a refresh and a logout of each server
//!   into `crates/mcp-client-oauth/tests/it/replay/servers`.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test may fail loudly, and says how far it is"
)]

use std::path::Path;

use test_support::{tool::variable, wait::bounded};

mod command;
mod journey;
mod leniency;
mod server;
mod table;
mod transcript;
mod wire;

/// Returns the servers that are requested; none if they are left out.
fn chosen() -> Option<Vec<String>> {
    let names = variable("MCP_OAUTH_TEST_SERVERS")
        .expect("run `scripts/check test`, or set MCP_OAUTH_TEST_SERVERS to `skip`");
    if names == "skip" {
        eprintln!("SKIPPED: there are no servers to test with");
        return None;
    }
    let mut names: Vec<_> = names.split_whitespace().map(str::to_owned).collect();
    names.sort();
    Some(names)
}

/// Returns every server of `interop/servers`.
fn every_server() -> Vec<String> {
    let folders = std::fs::read_dir(server::folder("")).unwrap();
    let mut names: Vec<_> = folders
        .map(|folder| folder.unwrap().path())
        .filter(|folder| folder.join("server.json").exists())
        .map(|folder| folder.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_works_at_each_server_and_leaves_no_live_token() {
    let Some(names) = chosen() else { return };
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for name in &names {
        let run = {
            let name = name.clone();
            tokio::spawn(async move { journey::run(&name).await })
        };
        match run.await {
            Ok(row) => rows.push(row),
            Err(_) => failed.push(name.as_str()),
        }
    }
    assert!(failed.is_empty(), "see above: {}", failed.join(", "));
    if variable("MCP_OAUTH_TEST_WRITE_TABLE").is_some() {
        assert_eq!(
            names,
            every_server(),
            "`scripts/check servers` writes the table"
        );
        table::write(&rows, &commit(), &today());
    }
    let missing = table::missing(&rows);
    assert!(
        missing.is_empty(),
        "docs/interop.md has other rows; `MCP_OAUTH_TEST_WRITE_TABLE=1 scripts/check servers` writes \
         them:\n{}",
        missing.concat()
    );
}

/// Returns the commit that is checked out.
fn commit() -> String {
    let output = std::process::Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output();
    let output = output.expect("git");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Returns the date in UTC.
#[expect(clippy::disallowed_methods, reason = "the date of a recording")]
fn today() -> String {
    let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now());
    now.to_string().chars().take(10).collect()
}
