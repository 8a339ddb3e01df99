// Generated from the documents by `documents.rs`.

#![allow(
    unused,
    clippy::all,
    clippy::pedantic,
    clippy::print_stdout,
    reason = "the code is that of the documents"
)]

use mcp_client_oauth::{Client, Session};

use super::BlockError;

pub(super) async fn run(name: &str, client: Client, session: Session, url: &str) -> Result<(), BlockError> {
    match name {
        other => Err(format!("no block {other}").into()),
    }
}
