//! Handles a line of the client.

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::state::McpClient;
use crate::{
    elicitation::{is_declared_by, is_declared_in},
    error::ProxyError,
    jsonrpc::{INVALID_PARAMS, INVALID_REQUEST, Kind, Message, MessageError, error_response},
    lines::Line,
    upstream::InitializedAction,
};

impl McpClient {
    pub(crate) fn handle_line(&self, line: Line, work: &mut JoinSet<()>) {
        let message = match line {
            Line::Whole(line) => Message::parse(&line),
            Line::TooLong => {
                let error = "the message is larger than 64 MiB";
                Err(MessageError {
                    code: INVALID_REQUEST,
                    reason: error,
                })
            }
        };
        match message {
            Ok(message) => self.dispatch(Arc::new(message), work),
            Err(error) => self.write(error_response(None, error.code, error.reason, None), work),
        }
    }

    fn dispatch(&self, message: Arc<Message>, work: &mut JoinSet<()>) {
        if let Some(error) = self.0.forwarder.filter.refusal(&message.line) {
            let error = self.0.connection.host().describe(&error);
            for (_, raw_id) in message.requests() {
                self.write(
                    error_response(Some(&raw_id), INVALID_PARAMS, &error, None),
                    work,
                );
            }
            return;
        }
        match &message.kind {
            Kind::Request(_) if message.is("initialize") => self.handle_initialize(message, work),
            Kind::Request(_) | Kind::Batch(_) => self.handle_request(message, work),
            Kind::Response(id) if self.0.take_elicitation_response(id, &message.line) => {}
            Kind::Notification | Kind::Response(_) => self.handle_notification(message, work),
        }
    }

    pub(super) fn write(&self, line: Bytes, work: &mut JoinSet<()>) {
        let out = self.0.forwarder.out.clone();
        work.spawn(async move { out.write_line(line).await });
    }

    fn handle_initialize(&self, request: Arc<Message>, work: &mut JoinSet<()>) {
        // Before the request is sent: a response that requires a login must not open a browser.
        self.0
            .connection
            .set_opens_by_client(is_declared_by(&request));
        self.0.upstream.start_initialize(&request);
        let client = self.clone();
        work.spawn(async move {
            if let Some((_, raw_id)) = request.requests().pop() {
                let (line, is_offline_response) = client.0.initialize(&request, &raw_id).await;
                client.0.forwarder.out.write_line(line).await;
                if is_offline_response {
                    client.0.open_deferred().await;
                }
            }
        });
    }

    /// Opens the session after a login.
    pub(crate) fn reconnect(&self, work: &mut JoinSet<()>) {
        for line in self.0.end_elicitations() {
            self.write(line, work);
        }
        let client = self.clone();
        if self.0.upstream.is_offline() {
            self.0.upstream.start_reconnect();
            work.spawn(async move { client.0.open_deferred().await });
        }
    }

    fn handle_request(&self, message: Arc<Message>, work: &mut JoinSet<()>) {
        let requests = message.requests();
        for (slot, (id, raw_id)) in requests.iter().enumerate() {
            if !self.0.forwarder.pending.start(id, raw_id) {
                // Nothing of a rejected batch is sent, so none of its requests is pending.
                for (begun, _) in requests.iter().take(slot) {
                    self.0.forwarder.pending.cancel(begun);
                }
                let error = "a request with this id is pending";
                self.write(error_response(None, INVALID_REQUEST, error, None), work);
                return;
            }
        }
        if message.routing.is_some() {
            self.0
                .connection
                .set_opens_by_client(is_declared_in(&message));
        }
        let client = self.clone();
        let discovery = requests.first().filter(|_| message.is("server/discover"));
        let discovery = discovery.map(|(id, _)| self.0.forwarder.pending.observe(id));
        let task = work.spawn(async move { client.0.respond(message, discovery).await });
        for (id, _) in &requests {
            self.0.forwarder.pending.set_task(id, task.clone());
        }
    }

    fn handle_notification(&self, message: Arc<Message>, work: &mut JoinSet<()>) {
        let client = self.clone();
        if message.is("notifications/initialized") {
            match self.0.upstream.initialized_received(&message) {
                InitializedAction::Complete(session) => {
                    work.spawn(async move {
                        log_lost_message(
                            client
                                .0
                                .upstream
                                .complete_handshake(session, &message)
                                .await,
                        );
                    });
                    return;
                }
                InitializedAction::Defer => return,
                InitializedAction::Forward => {}
            }
        }
        let cancelled = message.cancelled_id();
        let cancelled = cancelled.and_then(|id| self.0.forwarder.pending.cancel(&id));
        work.spawn(async move {
            // A request of MCP 2026-07-28 is cancelled by closing its connection.
            if cancelled.is_none() || !client.0.upstream.is_stateless() {
                log_lost_message(client.0.upstream.notify(&message).await);
            }
            if let Some(request) = cancelled {
                request.abort();
            }
        });
    }
}

/// Logs that a notification was lost. The client waits for no response, so it gets no error.
fn log_lost_message(outcome: Result<(), ProxyError>) {
    if let Err(error) = outcome {
        tracing::debug!(?error, "a message has not reached the server");
    }
}
