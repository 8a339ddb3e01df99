//! What the MCP server says of its own accord, and the streams that carry it.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

/// Holds what the server says of its own accord, and to whom.
#[derive(Debug)]
pub(crate) struct Streams {
    /// Every message so far; its number is its event id.
    pub(crate) said: Vec<Value>,
    /// Says how many of them somebody has read.
    pub(crate) read: usize,
    /// Moves when there is more, and with every cut.
    pub(crate) moved: watch::Sender<()>,
    pub(crate) cuts: usize,
    /// The open streams of 2024-11-05, by their session.
    pub(crate) old: HashMap<String, mpsc::UnboundedSender<Bytes>>,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            said: Vec::new(),
            read: 0,
            moved: watch::Sender::new(()),
            cuts: 0,
            old: HashMap::new(),
        }
    }
}

impl Streams {
    /// Says `message` to whoever listens, and keeps it for who comes again.
    pub(crate) fn say(&mut self, message: Value) {
        let event = event(None, &message);
        self.old
            .retain(|_, stream| stream.send(event.clone()).is_ok());
        self.said.push(message);
        self.moved.send_replace(());
    }

    /// Ends every open stream.
    pub(crate) fn cut(&mut self) {
        self.cuts += 1;
        self.old.clear();
        self.moved.send_replace(());
    }

    /// Returns the id of the newest message.
    pub(crate) fn newest(&self) -> usize {
        self.said.len()
    }
}

/// Writes one event.
pub(crate) fn event(id: Option<usize>, message: &Value) -> Bytes {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    Bytes::from(format!("{id}data: {message}\n\n"))
}
