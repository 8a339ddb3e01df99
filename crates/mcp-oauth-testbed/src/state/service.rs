//! The sessions and the notes of the MCP server.

use std::collections::HashMap;

/// Holds what the MCP server remembers.
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
