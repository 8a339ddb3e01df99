//! The server-initiated messages of the MCP server, and their streams.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

/// The server-initiated messages and their streams.
#[derive(Debug)]
pub(crate) struct Streams {
    /// Every message; its number is its event id.
    pub(crate) messages: Vec<Value>,
    /// The number of messages that were sent on a stream.
    pub(crate) read: usize,
    /// Changes with each message and each time the streams are closed.
    pub(crate) changed: watch::Sender<()>,
    pub(crate) closings: usize,
    /// The open streams of 2024-11-05, by their session.
    pub(crate) legacy: HashMap<String, mpsc::UnboundedSender<Bytes>>,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            messages: Vec::new(),
            read: 0,
            changed: watch::Sender::new(()),
            closings: 0,
            legacy: HashMap::new(),
        }
    }
}

impl Streams {
    /// Sends a message on every stream, and keeps it for clients that resume a stream.
    pub(crate) fn push(&mut self, message: Value) {
        let event = event(None, &message);
        self.legacy
            .retain(|_, stream| stream.send(event.clone()).is_ok());
        self.messages.push(message);
        self.changed.send_replace(());
    }

    /// Ends every open stream.
    pub(crate) fn close_all(&mut self) {
        self.closings += 1;
        self.legacy.clear();
        self.changed.send_replace(());
    }

    /// Returns the id of the newest message.
    pub(crate) fn newest(&self) -> usize {
        self.messages.len()
    }
}

/// Writes one event.
pub(crate) fn event(id: Option<usize>, message: &Value) -> Bytes {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    Bytes::from(format!("{id}data: {message}\n\n"))
}
