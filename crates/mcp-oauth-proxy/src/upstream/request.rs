//! Sends a request and waits for its response.

use std::time::Duration;

use super::{
    super::{error::ProxyError, forward::StreamEnd, jsonrpc::Message, response::reconnect_delay},
    retry::RetryBudget,
    state::{McpSession, Upstream},
};

/// The number of consecutive failures to open a stream for the rest of a response.
const RESUMPTIONS: u32 = 5;
impl Upstream {
    /// Sends a request of the client and waits for its response. It is sent again only if it certainly
    /// was not received, or if it has no side effect.
    pub(crate) async fn call(&self, message: &Message) -> Result<(), ProxyError> {
        let mut budget = RetryBudget::default();
        loop {
            let error = match self.attempt(message).await {
                Ok(()) => return Ok(()),
                Err((error, session)) => match (error, session) {
                    (ProxyError::SessionGone, Some(session)) if budget.take_session() => {
                        match self.reopen(session).await {
                            Ok(()) => continue,
                            Err(error) => error,
                        }
                    }
                    (error, _) => error,
                },
            };
            // It may have got its response meanwhile: then it is not sent again.
            if self.has_response(message) {
                return Ok(());
            }
            // A client sends it at its start, and falls back to `initialize` soon.
            let may_wait = !message.is("server/discover");
            if may_wait && error.never_sent() && self.wait_to_retry(&mut budget).await {
                continue;
            }
            let may_repeat = message.is_idempotent() && error.is_interrupted();
            if !(may_repeat && budget.take_repeat()) {
                return Err(error);
            }
        }
    }

    /// Sends the request once. An error has the number of the session that was used.
    async fn attempt(&self, message: &Message) -> Result<(), (ProxyError, Option<u64>)> {
        let session = self
            .session_for(message)
            .await
            .map_err(|error| (error, None))?;
        // The previous stream may have ended meanwhile, and the request with it.
        if self.has_response(message) {
            return Ok(());
        }
        let number = session.as_ref().map(|session| session.number);
        let outcome = self.exchange(session.as_deref(), message).await;
        outcome.map_err(|error| {
            // A request that was not received does not fail when its stream ends.
            if error.never_sent() || matches!(error, ProxyError::SessionGone) {
                self.set_stream(message, None);
            }
            (error, number)
        })
    }

    async fn exchange(
        &self,
        session: Option<&McpSession>,
        message: &Message,
    ) -> Result<(), ProxyError> {
        let response = self.post(session, message).await?;
        let ended = self.handle_response(session, message, response).await?;
        // The response arrives on the shared stream, which ends the request from here on.
        if session.is_some_and(|session| session.legacy.is_some()) {
            return Ok(());
        }
        if !self.is_pending(message) {
            return Ok(());
        }
        match (session, ended.last_id) {
            (Some(session), Some(id)) => self.resume(session, message, id, ended.retry).await,
            _ => Err(ProxyError::Unanswered),
        }
    }

    /// Reads the rest of a response after its stream ended too early (MCP 2025-11-25, resumability).
    async fn resume(
        &self,
        session: &McpSession,
        message: &Message,
        mut last_id: String,
        mut retry: Option<Duration>,
    ) -> Result<(), ProxyError> {
        // A server may close each stream immediately, so that the client polls (MCP 2025-11-25, polling).
        let mut failures = 0;
        loop {
            let clock = &self.connection.platform().clock;
            clock.sleep(reconnect_delay(retry, failures)).await;
            let mut events = match self.stream(session, Some(&last_id)).await {
                Ok(Some(events)) => events,
                // The server has no streams, or the session is gone, and the response with it.
                Ok(None) | Err(ProxyError::SessionGone) => return Err(ProxyError::Unanswered),
                Err(_) => {
                    failures += 1;
                    if failures == RESUMPTIONS {
                        return Err(ProxyError::Unanswered);
                    }
                    continue;
                }
            };
            failures = 0;
            let is_enough = || self.has_response(message);
            let outcome = self.forwarder.forward_events(&mut events, is_enough).await;
            if self.has_response(message) {
                return Ok(());
            }
            if let Some(error) = outcome.err().filter(ProxyError::is_too_large) {
                return Err(error);
            }
            let ended = StreamEnd::of(&events);
            last_id = ended.last_id.unwrap_or(last_id);
            retry = ended.retry.or(retry);
        }
    }
}
