//! Sends a request of the client, and responds to it if the server does not.

use std::sync::Arc;

use bytes::Bytes;
use mcp_oauth_support::mutex::lock;
use serde_json::value::RawValue;
use tokio::sync::{oneshot, watch};

use super::state::{Inner, LoginMode};
use crate::{
    call_login::Call,
    connection::Opener,
    elicitation::may_require_input,
    error::ProxyError,
    jsonrpc::{LOGIN_REQUIRED, Message, SERVER_ERROR, error_response},
    log_in_tool::{LOG_IN, ListedTools},
    offline_responses::{Reason, offline_response},
    pending_requests::Requester,
    subscription,
};

impl Inner {
    /// Sends the request, and responds if the server does not. A call that needs a login waits for it, if the
    /// client shows the login to the user.
    pub(super) async fn respond(
        &self,
        request: Arc<Message>,
        discovery: Option<oneshot::Receiver<Bytes>>,
    ) {
        let mut call = Call::new(self.connection.clone(), request, self.login_wait);
        let message = Arc::clone(&call.message);
        if self.is_own_tool(&message, ListedTools::LogIn) {
            let logins = self.connection.logins();
            return self.call_log_in(&mut call, logins).await;
        }
        loop {
            // The semaphore is never closed. A call that waits for a login uses no connection.
            let slot = self.slots.acquire().await;
            let mut logins = self.connection.logins();
            let mut states = self.upstream.changes();
            let Err(error) = self.upstream.call(&message).await else {
                return self.record_response(&message, discovery).await;
            };
            drop(slot);
            let needs_login = matches!(error.cause(), ProxyError::LoginRequired);
            if matches!(error, ProxyError::LoginRequired) && message.is("subscriptions/listen") {
                return self.subscribe_until_login(&message, logins).await;
            }
            if needs_login && self.is_own_tool(&message, ListedTools::None) {
                return self.call_log_in(&mut call, logins).await;
            }
            let is_shown =
                may_require_input(&message) && self.login_mode(&message) == LoginMode::Client;
            if !needs_login || !is_shown {
                return self.respond_with_error(&message, error).await;
            }
            if !self.log_in_by_client(&mut call, &mut logins).await {
                return;
            }
            tokio::select! {
                () = self.upstream.left_offline(&mut states) => {}
                () = self.connection.platform().clock.sleep(call.time_left()) => {}
            }
        }
    }

    /// Remembers what the server has responded.
    async fn record_response(
        &self,
        message: &Message,
        discovery: Option<oneshot::Receiver<Bytes>>,
    ) {
        if message.is("tools/list") {
            *lock(&self.listed) = ListedTools::Server;
        }
        if let Some(discovery) = discovery
            && let Ok(response) = discovery.await
        {
            self.capabilities.lock().await.remember_discovery(&response);
        }
    }

    /// Keeps a subscription open until the login is done, or the client cancels it.
    async fn subscribe_until_login(&self, message: &Message, mut logins: watch::Receiver<u64>) {
        let filter = subscription::Filter::from_request(message);
        for (id, raw_id) in message.requests() {
            self.forwarder
                .out
                .write_line(filter.acknowledgment(&raw_id))
                .await;
            // The sender lives as long as `connection`, which is shared.
            let _done = logins.changed().await;
            for change in filter.changes(&raw_id) {
                self.forwarder.out.write_line(change).await;
            }
            let end = subscription::end(&raw_id);
            if let Requester::Client = self.forwarder.pending.complete(&id, &end) {
                self.forwarder.out.write_line(end).await;
            }
        }
    }

    /// Responds to the requests that the server has not responded to.
    async fn respond_with_error(&self, message: &Message, error: ProxyError) {
        let (error, is_offline) = match error {
            ProxyError::Offline(error) => (*error, true),
            error => (error, false),
        };
        if matches!(error, ProxyError::LoginRequired) {
            return self.respond_without_login(message, is_offline).await;
        }
        let host = self.connection.host();
        let text = if error.is_interrupted() && !message.is_idempotent() {
            host.describe_unknown_outcome(&error)
        } else {
            host.describe(&error)
        };
        self.write_responses(message, |raw_id| {
            if is_offline {
                let reason = Reason {
                    text: &text,
                    needs_login: false,
                    url: None,
                    tool: None,
                };
                offline_response(message, raw_id, reason)
            } else {
                error_response(Some(raw_id), SERVER_ERROR, &text, None)
            }
        })
        .await;
    }

    /// Responds to the requests that need a login. A client that shows the login itself gets no URL.
    async fn respond_without_login(&self, message: &Message, is_offline: bool) {
        let mode = self.login_mode(message);
        // A tool call that needs a login starts another one after a failed login. Other requests only use
        // a login that another process has completed.
        if message.is("tools/call") && mode == LoginMode::Host {
            self.connection.request_start(Opener::Host);
        } else {
            self.connection.check_store().await;
        }
        let (text, url) = if mode == LoginMode::Host {
            let needed = self.connection.login_needed().await;
            (needed.text, needed.url)
        } else {
            (self.connection.text_without_url(), None)
        };
        if message.is("server/discover") {
            let instructions = self.login_instructions(mode);
            let capabilities = self.capabilities.lock().await;
            return self
                .write_responses(message, |raw_id| {
                    capabilities.discover_response(raw_id, &instructions)
                })
                .await;
        }
        let is_told = message.is("tools/call") || message.routing.is_some();
        if message.is("tools/list") && (is_offline || is_told) {
            *lock(&self.listed) = ListedTools::LogIn;
        }
        self.write_responses(message, |raw_id| {
            if is_offline || is_told {
                let reason = Reason {
                    text: &text,
                    needs_login: true,
                    url: url.as_ref(),
                    tool: self.own_tool(),
                };
                return offline_response(message, raw_id, reason);
            }
            let data = url.as_ref().map(|url| serde_json::json!({ "url": url }));
            error_response(Some(raw_id), LOGIN_REQUIRED, &text, data)
        })
        .await;
    }

    /// Responds with a text to a call that ends without its login.
    pub(super) async fn refuse(&self, message: &Message, text: &str) {
        self.write_responses(message, |raw_id| {
            let reason = Reason {
                text,
                needs_login: true,
                url: None,
                tool: None,
            };
            offline_response(message, raw_id, reason)
        })
        .await;
    }

    /// Writes a response to each request that is still pending.
    pub(super) async fn write_responses(
        &self,
        message: &Message,
        response: impl Fn(&RawValue) -> Bytes,
    ) {
        for (id, raw_id) in message.requests() {
            let line = response(&raw_id);
            if let Requester::Client = self.forwarder.pending.complete(&id, &line) {
                self.forwarder.out.write_line(line).await;
            }
        }
    }

    /// Returns whether the message calls the tool of the proxy, if the client has listed these tools last.
    /// A server may have a tool of that name, too.
    fn is_own_tool(&self, message: &Message, listed: ListedTools) -> bool {
        *lock(&self.listed) == listed && message.calls_tool(LOG_IN)
    }
}
