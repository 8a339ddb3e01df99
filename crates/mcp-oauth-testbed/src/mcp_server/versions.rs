//! The versions and the server information that all revisions share.

use serde_json::{Value, json};

/// The revisions with sessions, the newest last.
pub(super) const VERSIONS: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];

/// Returns the `serverInfo`.
pub(super) fn server_info() -> Value {
    json!({ "name": "mcp-oauth-testbed", "version": env!("CARGO_PKG_VERSION") })
}
