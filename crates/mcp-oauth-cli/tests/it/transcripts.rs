//! The transcripts and the terminal pictures of the documentation, from real runs of the command.
//!
//! Each `console` block of README.md and docs/*.md is one session at a terminal. Its lines that begin with
//! `$ ` are run in order, in a shell with a new home, against a new testbed, with a scripted browser. What
//! the terminal shows must be what the document shows. In a block that begins with ```` ```console logged-in ````
//! the user has logged in to `notes` before. `MCP_OAUTH_TEST_WRITE_TABLE=1` writes the blocks
//! and the pictures:
//!
//! ```sh
//! MCP_OAUTH_TEST_WRITE_TABLE=1 cargo test -p mcp-oauth-cli --test it transcripts
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
};

use self::{
    document::{Block, Document},
    screen::Screen,
    shell::Shell,
};

mod document;
mod picture;
mod replacements;
mod screen;
mod shell;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const LOGIN: &str = "mcp-oauth login notes https://mcp.example.com/mcp";
const PICTURES: [(&str, &[&str]); 2] = [
    ("demo.svg", &["mcp-oauth demo"]),
    ("login.svg", &[LOGIN, "mcp-oauth tools notes"]),
];

/// A command, and what the terminal shows of it.
pub(crate) struct Run {
    command: String,
    screen: Screen,
}

#[tokio::test]
async fn every_transcript_is_a_real_run() {
    let mut blocks = 0;
    for path in documents() {
        let document = Document::parse(&fs::read_to_string(&path).unwrap());
        let mut sessions = Vec::new();
        for block in document.blocks() {
            sessions.push(run(block).await);
        }
        blocks += sessions.len();
        compare(&path, &document.with_runs(&sessions));
    }
    assert!(blocks > 0, "no document has a transcript");
}

#[tokio::test]
async fn every_picture_is_a_real_run() {
    for (name, commands) in PICTURES {
        let block = Block {
            commands: commands.iter().map(ToString::to_string).collect(),
            ..Block::default()
        };
        let runs = run(&block).await;
        compare(
            &Path::new(ROOT).join("docs/images").join(name),
            &picture::draw(&runs),
        );
    }
}

async fn run(block: &Block) -> Vec<Run> {
    let shell = Shell::start().await;
    if block.is_logged_in {
        shell.run(LOGIN).await;
    }
    let mut runs = Vec::new();
    for command in &block.commands {
        runs.push(Run {
            command: command.clone(),
            screen: Screen::parse(&shell.run(command).await),
        });
    }
    runs
}

/// Returns the paths of README.md and docs/*.md.
fn documents() -> Vec<PathBuf> {
    let docs = fs::read_dir(Path::new(ROOT).join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = docs
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect();
    paths.push(Path::new(ROOT).join("README.md"));
    paths.sort();
    paths
}

/// Compares a file with the text of this run, or writes it.
#[track_caller]
fn compare(path: &Path, text: &str) {
    if is_writing() {
        return write(path, text);
    }
    let written = fs::read_to_string(path).unwrap();
    let (mut old, mut new) = (written.lines(), text.lines());
    let mut number = 0;
    let differs = loop {
        number += 1;
        match (old.next(), new.next()) {
            (None, None) => break false,
            (old, new) if old != new => break true,
            _ => {}
        }
    };
    assert!(
        !differs,
        "{}:{number} is not what the command writes; MCP_OAUTH_TEST_WRITE_TABLE=1 writes it.\n\
         This run:\n{text}",
        path.display()
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "a file of the repository, not a secret"
)]
fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "the request of a developer")]
fn is_writing() -> bool {
    std::env::var_os("MCP_OAUTH_TEST_WRITE_TABLE").is_some()
}
