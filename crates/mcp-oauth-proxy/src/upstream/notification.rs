//! Sends a message that gets no response.

use std::sync::Arc;

use super::{
    super::{error::ProxyError, jsonrpc::Message},
    retry::RetryBudget,
    state::{McpSession, Upstream},
};

impl Upstream {
    /// Sends a notification, or a response of the client.
    pub(crate) async fn notify(&self, message: &Message) -> Result<(), ProxyError> {
        self.send_with_retry(None, message).await
    }

    /// Sends a message, and sends it again while it certainly was not received, or may be received twice: in
    /// the session `at`, or in the current one. A kept-alive connection may break when it is used.
    pub(super) async fn send_with_retry(
        &self,
        at: Option<&Arc<McpSession>>,
        message: &Message,
    ) -> Result<(), ProxyError> {
        let mut budget = RetryBudget::default();
        loop {
            let session = match at {
                Some(session) => Some(Arc::clone(session)),
                None => self.session_for(message).await?,
            };
            match self.send_once(session.as_deref(), message).await {
                Err(error)
                    if (error.never_sent()
                        || message.is_idempotent() && error.is_interrupted())
                        && self.wait_to_retry(&mut budget).await => {}
                outcome => return outcome,
            }
        }
    }

    pub(super) async fn send_once(
        &self,
        session: Option<&McpSession>,
        message: &Message,
    ) -> Result<(), ProxyError> {
        let response = self.post(session, message).await?;
        self.handle_response(session, message, response)
            .await
            .map(drop)
    }
}
