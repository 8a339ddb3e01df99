//! The browser of a case: the user consents at once, and the authorization response goes back to
//! the client as the server sends it.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mcp_client_oauth::platform::Interaction;
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use url::Url;

use super::network::{CODE, Facts};
use crate::support::{lock, parameters};

pub(super) struct UserAgent {
    /// The `iss` of the authorization response (RFC 9207).
    iss: Option<String>,
    facts: Arc<Mutex<Facts>>,
    opened: Mutex<Vec<Url>>,
    send: mpsc::UnboundedSender<String>,
    receive: AsyncMutex<mpsc::UnboundedReceiver<String>>,
}

impl UserAgent {
    pub(super) fn new(iss: Option<String>, facts: Arc<Mutex<Facts>>) -> Self {
        let (send, receive) = mpsc::unbounded_channel();
        Self {
            iss,
            facts,
            opened: Mutex::default(),
            send,
            receive: AsyncMutex::new(receive),
        }
    }

    /// Returns the authorization requests, in order.
    pub(super) fn opened(&self) -> Vec<Url> {
        lock(&self.opened).clone()
    }
}

#[async_trait]
impl Interaction for UserAgent {
    async fn open(&self, url: &Url) {
        let first = |name| parameters(url, name).into_iter().next();
        let redirect_uri = first("redirect_uri").unwrap_or_default();
        *lock(&self.facts) = Facts {
            redirect_uri: redirect_uri.clone(),
            client_id: first("client_id").unwrap_or_default(),
            nonce: first("nonce").unwrap_or_default(),
        };
        lock(&self.opened).push(url.clone());
        let mut callback = Url::parse(&redirect_uri).unwrap();
        callback
            .query_pairs_mut()
            .append_pair("code", CODE)
            .extend_pairs(first("state").map(|state| ("state", state)))
            .extend_pairs(self.iss.as_ref().map(|iss| ("iss", iss)));
        // It fails when the login has ended already.
        let _ = self.send.send(callback.into());
    }

    async fn callback(&self) -> String {
        match self.receive.lock().await.recv().await {
            Some(callback) => callback,
            None => std::future::pending().await,
        }
    }
}
