//! The client's session with the server, from its start to its end.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Method;
use mcp_client_oauth::error::UntrustedText;
use mcp_oauth_support::mutex::lock;
use serde_json::Value;

use super::{
    super::{
        error::ProxyError,
        jsonrpc::{Message, UNSUPPORTED_VERSION},
    },
    initialize::initialized_notification,
    state::{McpSession, State, Upstream},
};

/// The time that the end of a session may take.
const END_TIMEOUT: Duration = Duration::from_millis(300);

impl Upstream {
    /// Sends the client's `initialize`, and returns the response of the server.
    pub(crate) async fn initialize(
        &self,
        initialize_request: &Message,
    ) -> Result<Bytes, ProxyError> {
        let (response, session) = self.open_session(initialize_request).await?;
        let early = lock(&self.early_initialized).take();
        match (session.map(Arc::new), early) {
            (Some(session), Some(confirmation)) => {
                self.complete_handshake(session, &confirmation).await?;
            }
            (Some(session), None) => {
                drop(self.state.send_replace(State::AwaitingInitialized(session)));
            }
            (None, _) => self.reset(),
        }
        Ok(response)
    }

    /// Sends the client's `notifications/initialized`, before any other message of it.
    pub(crate) async fn complete_handshake(
        &self,
        session: Arc<McpSession>,
        message: &Message,
    ) -> Result<(), ProxyError> {
        let outcome = self.send_with_retry(Some(&session), message).await;
        self.wait_for_stream(session).await;
        match outcome {
            // The session exists; the next call shows whether it works without this notification.
            Err(error) if !matches!(error, ProxyError::LoginRequired | ProxyError::SessionGone) => {
                tracing::debug!(
                    ?error,
                    "the server did not accept `notifications/initialized`"
                );
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Opens a session for a client that the proxy has responded to itself. Returns the server's response.
    pub(crate) async fn open_deferred(&self) -> Result<Bytes, ProxyError> {
        let initialize_request = self.initialize_request().ok_or(ProxyError::SessionGone)?;
        let (response, session) = self
            .open_session(&initialize_request.with_proxy_id(self.next_number())?)
            .await?;
        let Some(session) = session else {
            return Err(ProxyError::Other(initialize_refusal(&response)));
        };
        self.state.send_replace(State::Initializing);
        self.complete_handshake(Arc::new(session), &initialized_notification()?)
            .await?;
        Ok(response)
    }

    /// Replaces a session that is gone. If several tasks notice it, one opens the new session.
    pub(super) async fn reopen(&self, gone: u64) -> Result<(), ProxyError> {
        let _one = self.reopening.lock().await;
        let before = self.state.borrow().clone();
        if before
            .session()
            .is_none_or(|session| session.number != gone)
        {
            return Ok(());
        }
        let Some(initialize_request) = self.initialize_request() else {
            return Err(ProxyError::SessionGone);
        };
        tracing::debug!("the session is gone: opening another one");
        match self
            .open_session(&initialize_request.with_proxy_id(self.next_number())?)
            .await
        {
            Ok((_, Some(session))) => {
                self.complete_handshake(Arc::new(session), &initialized_notification()?)
                    .await
            }
            Ok((_, None)) => Err(ProxyError::Other(
                "the server did not open another session".to_owned(),
            )),
            Err(error) => Err(error),
        }
    }

    /// Ends the session, after the client has ended.
    pub(crate) async fn end(&self) {
        let state = self.state.borrow().clone();
        let Some(session) = state.session().filter(|session| session.id.is_some()) else {
            return;
        };
        let delete = self.send(Method::DELETE, session.headers(), Bytes::new());
        tokio::select! {
            // The outcome does not matter: the proxy ends.
            _response = delete => {}
            () = self.connection.platform().clock.sleep(END_TIMEOUT) => {}
        }
    }
}

/// Returns the message for an error response to `initialize`. A client may have started with an older
/// revision, because the proxy responded before the server's revision was known.
fn initialize_refusal(response: &Bytes) -> String {
    let response_json: Value = serde_json::from_slice(response).unwrap_or_default();
    if response_json.pointer("/error/code").and_then(Value::as_i64) == Some(UNSUPPORTED_VERSION) {
        return "the server supports another revision of MCP than this application started with: \
                start the application again"
            .to_owned();
    }
    let response = UntrustedText::new(&String::from_utf8_lossy(response));
    format!("the server rejected `initialize`: {response}")
}
