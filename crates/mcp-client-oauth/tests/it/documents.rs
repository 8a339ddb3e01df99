//! Runs every Rust block of the README and of `docs/` against the testbed.
//!
//! A block is the body of an async function with the parameters `client`, `session` and `url`: a client, a
//! session of a stored login, and the URL of the server. In a block the server is
//! `https://mcp.example.com/mcp`. `documents/blocks.rs` has the blocks as functions; with
//! `MCP_OAUTH_TEST_WRITE_TABLE=1` the first test writes it. A block that cannot run is marked `rust,no_run`,
//! and one that is not compiled here `rust,ignore`, each with the reason in a comment before it:
//! `<!-- not run: … -->`.
//!
//! Each block runs in a process of its own, with its own home directory, so that `Client::new()` opens a new
//! store. The browser is this program too.

use std::{
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use mcp_client_oauth::Client;
use mcp_oauth_testbed::{
    Testbed,
    test_user::{Decision, decide, visit},
};
use url::Url;

#[rustfmt::skip]
mod blocks;

const BLOCKS_FILE: &str = "tests/it/documents/blocks.rs";
const BLOCK: &str = "MCP_OAUTH_TEST_BLOCK";
const SERVER: &str = "MCP_OAUTH_TEST_SERVER";
const CHILD: &str = "documents::child_process_runs_a_block";
const BROWSER: &str = "documents::child_process_is_the_browser";
/// The server in the documents.
const EXAMPLE: &str = "https://mcp.example.com/mcp";

type BlockError = Box<dyn Error + Send + Sync>;

/// One Rust block of a document.
struct Block {
    name: String,
    code: String,
    runs: bool,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns the README and every document, sorted.
fn documents() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("docs")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.push(root().join("README.md"));
    paths.sort();
    paths
}

/// Returns the blocks of a document.
fn blocks_of(path: &Path) -> Vec<Block> {
    let text = fs::read_to_string(path).unwrap();
    let stem = path.file_stem().unwrap().to_string_lossy().to_lowercase();
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    let mut before = "";
    while let Some((number, line)) = lines.next() {
        let Some(language) = line.strip_prefix("```rust") else {
            before = if line.is_empty() { before } else { line };
            continue;
        };
        let code: Vec<&str> = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| *line != "```")
            .collect();
        let location = format!("{}:{}", path.display(), number + 1);
        if !language.is_empty() {
            assert!(
                before.starts_with("<!-- not run: "),
                "no reason at {location}"
            );
        }
        let runs = match language {
            "" => true,
            ",no_run" => false,
            ",ignore" => continue,
            other => panic!("a block of an unknown kind, `{other}`, at {location}"),
        };
        blocks.push(Block {
            name: format!("{stem}_{}", blocks.len() + 1),
            code: code.join("\n"),
            runs,
        });
    }
    blocks
}

/// Replaces the server of the documents by that of the test.
fn at_testbed(code: &str) -> String {
    let socket = EXAMPLE.replace("https", "wss");
    let code = code.replace(&format!("\"{EXAMPLE}\""), "url");
    let code = code.replace(&format!("\"{EXAMPLE}"), "&format!(\"{url}");
    let code = code.replace(&format!("\"{socket}"), "&format!(\"{socket_url}");
    // A format string ends where the literal does.
    let mut out = String::new();
    for line in code.lines() {
        let mut rest = line;
        while let Some(start) = rest.find("&format!(\"{") {
            let end = rest[start + 10..].find('"').map(|at| start + 10 + at + 1);
            let end = end.expect("a literal ends on its line");
            write!(out, "{})", &rest[..end]).unwrap();
            rest = &rest[end..];
        }
        writeln!(out, "    {rest}").unwrap();
    }
    out
}

fn source() -> String {
    let mut text = String::from(
        "// Generated from the documents by `documents.rs`.\n\n#![allow(\n    unused,\n    clippy::all,\n    \
         clippy::pedantic,\n    clippy::print_stdout,\n    reason = \"the code is that of the \
         documents\"\n)]\n\nuse mcp_client_oauth::{Client, Session};\n\nuse super::BlockError;\n\n\
         pub(super) async fn run(name: &str, client: Client, session: Session, url: &str) -> \
         Result<(), BlockError> {\n    match name {\n",
    );
    let blocks: Vec<Block> = documents()
        .iter()
        .flat_map(|path| blocks_of(path))
        .collect();
    for Block { name, .. } in &blocks {
        writeln!(
            text,
            "        {name:?} => {name}(client, session, url).await,"
        )
        .unwrap();
    }
    text.push_str("        other => Err(format!(\"no block {other}\").into()),\n    }\n}\n");
    for Block { name, code, .. } in &blocks {
        let code = at_testbed(code);
        let socket = if code.contains("{socket_url}") {
            "    let socket_url = url.replacen(\"http\", \"ws\", 1);\n"
        } else {
            ""
        };
        write!(
            text,
            "\nasync fn {name}(client: Client, session: Session, url: &str) -> Result<(), \
             BlockError> {{\n{socket}{code}    Ok(())\n}}\n"
        )
        .unwrap();
    }
    text
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test passes values to its own child process"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a generated file of the repository, which holds no secret"
)]
#[test]
fn the_functions_are_the_blocks_of_the_documents() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(BLOCKS_FILE);
    let source = source();
    if variable("MCP_OAUTH_TEST_WRITE_TABLE").is_some() {
        fs::write(&path, &source).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap();
    assert!(
        written == source,
        "{BLOCKS_FILE} is not what the documents have: run this test with MCP_OAUTH_TEST_WRITE_TABLE=1"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_block_runs() {
    let program = std::env::current_exe().unwrap();
    let browser = format!(
        "{} --exact {} --nocapture",
        program.display(),
        BROWSER.replace(':', "%c")
    );
    let blocks = documents();
    let blocks = blocks.iter().flat_map(|path| blocks_of(path));
    for Block { name, .. } in blocks.filter(|block| block.runs) {
        let testbed = Testbed::start().await.unwrap();
        let home = tempfile::tempdir().unwrap();
        let output = Command::new(&program)
            .args(["--exact", CHILD, "--nocapture"])
            .env(BLOCK, &name)
            .env(SERVER, testbed.server_url().as_str())
            .env("BROWSER", &browser)
            .env("HOME", home.path())
            .env_remove("XDG_DATA_HOME")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .current_dir(home.path())
            .output()
            .unwrap();
        let text =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name} failed:\n{text}");
    }
}

/// Does nothing unless the other test started this process.
#[tokio::test(flavor = "multi_thread")]
async fn child_process_runs_a_block() {
    let (Some(name), Some(url)) = (variable(BLOCK), variable(SERVER)) else {
        return;
    };
    let client = Client::new().await.unwrap();
    let session = client.login(&url).await.unwrap();
    blocks::run(&name, client, session, &url).await.unwrap();
}

/// Does nothing unless a block opened a URL.
#[tokio::test]
async fn child_process_is_the_browser() {
    let url = std::env::args()
        .next_back()
        .and_then(|url| Url::parse(&url).ok());
    let Some(url) = url.filter(|_| variable(BLOCK).is_some()) else {
        return;
    };
    let callback = decide(&url, Decision::Approve).await.unwrap();
    visit(&callback).await.unwrap();
}
