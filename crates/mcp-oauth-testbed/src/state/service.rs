//! The sessions and the notes of the MCP server.

use std::collections::HashMap;

/// The state of the MCP server.
#[derive(Debug)]
pub(crate) struct Service {
    /// The sessions by their id, with the protocol version of each.
    pub(crate) sessions: HashMap<String, String>,
    pub(crate) notes: Vec<String>,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            sessions: HashMap::new(),
            notes: vec!["buy milk".to_owned()],
        }
    }
}
