//! The session that the client has at the server, from its begin to its end: what is done when it
//! ends, the server restarts, or the network is gone.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Method;
use mcp_client_oauth::proto::untrusted_text::UntrustedText;
use serde_json::Value;

use super::{
    super::{
        error::Trouble,
        jsonrpc::{Message, UNSUPPORTED_VERSION},
    },
    initialize::initialized,
    state::{McpSession, State, Upstream, lock},
};

/// Says how long the end of a session may take.
const FAREWELL: Duration = Duration::from_millis(300);

impl Upstream {
    /// Returns the server's own answer to the client's `initialize`.
    pub(crate) async fn greet(&self, initialize_request: &Message) -> Result<Bytes, Trouble> {
        let (response, seat) = self.open_session(initialize_request).await?;
        let early = lock(&self.early).take();
        match (seat.map(Arc::new), early) {
            (Some(seat), Some(confirmation)) => self.confirm(seat, &confirmation).await?,
            (Some(seat), None) => drop(self.state.send_replace(State::Greeted(seat))),
            (None, _) => self.give_up(),
        }
        Ok(response)
    }

    /// The client's word that it has understood, before anything else of it.
    pub(crate) async fn confirm(
        &self,
        seat: Arc<McpSession>,
        message: &Message,
    ) -> Result<(), Trouble> {
        let outcome = self.tell_patiently(Some(&seat), message).await;
        self.listen_first(seat).await;
        match outcome {
            // The session is there: what it is worth without this word, the next call shows.
            Err(trouble) if !matches!(trouble, Trouble::Login | Trouble::SessionGone) => {
                tracing::debug!(
                    ?trouble,
                    "the server does not take the end of the handshake"
                );
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Returns a session for a client that has its `initialize` from us already, and the server's answer.
    pub(crate) async fn open_late(&self) -> Result<Bytes, Trouble> {
        let initialize_request = self.initialize_request().ok_or(Trouble::SessionGone)?;
        let (response, seat) = self
            .open_session(&initialize_request.again(self.next_number())?)
            .await?;
        let Some(seat) = seat else {
            return Err(Trouble::Said(unwilling(&response)));
        };
        self.state.send_replace(State::Opening);
        self.confirm(Arc::new(seat), &initialized()?).await?;
        Ok(response)
    }

    /// Another session in the place of one that is gone. Of many that find that out, one opens it.
    pub(super) async fn reopen(&self, gone: u64) -> Result<(), Trouble> {
        let _one = self.opening.lock().await;
        let before = self.state.borrow().clone();
        if before.seat().is_none_or(|seat| seat.number != gone) {
            return Ok(());
        }
        let Some(initialize_request) = self.initialize_request() else {
            return Err(Trouble::SessionGone);
        };
        tracing::debug!("the session is gone: opening another one");
        match self
            .open_session(&initialize_request.again(self.next_number())?)
            .await
        {
            Ok((_, Some(seat))) => self.confirm(Arc::new(seat), &initialized()?).await,
            Ok((_, None)) => Err(Trouble::Said(
                "the server gives no other session".to_owned(),
            )),
            Err(trouble) => Err(trouble),
        }
    }

    /// The client is gone, and so is its session.
    pub(crate) async fn end(&self) {
        let state = self.state.borrow().clone();
        let Some(seat) = state.seat().filter(|seat| seat.session.is_some()) else {
            return;
        };
        let farewell = self.send(Method::DELETE, seat.headers(), Bytes::new());
        tokio::select! {
            // Whatever it says: we are gone.
            _answer = farewell => {}
            () = self.door.platform().clock.sleep(FAREWELL) => {}
        }
    }
}

/// Returns the client had to begin before anybody knew what the server speaks.
fn unwilling(response: &Bytes) -> String {
    let said: Value = serde_json::from_slice(response).unwrap_or_default();
    if said.pointer("/error/code").and_then(Value::as_i64) == Some(UNSUPPORTED_VERSION) {
        return "the server speaks another revision of MCP than this application has begun with: \
                start the application again"
            .to_owned();
    }
    let response = UntrustedText::new(&String::from_utf8_lossy(response));
    format!("the server will not begin: {response}")
}
