//! The handling of each line that the client writes.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use mcp_client_oauth::platform::Clock;
use serde_json::value::RawValue;
use tokio::{
    sync::{Mutex, Semaphore, watch},
    task::JoinSet,
};

use crate::{
    connection::ServerConnection,
    error::ProxyError,
    forward::Forwarder,
    jsonrpc::{
        INVALID_PARAMS, INVALID_REQUEST, Kind, LOGIN_REQUIRED, Message, MessageError, SERVER_ERROR,
        error_response,
    },
    lines::{Line, Output},
    offline_responses::{CapabilityCache, offline_response},
    pending_requests::{PendingRequests, Requester},
    response::reconnect_delay,
    settings::Settings,
    subscription,
    upstream::{InitializedAction, Upstream},
};

/// The number of concurrent requests to the server: each may need a connection.
const MAX_CONCURRENT_REQUESTS: usize = 128;
/// The time that a client waits for the server's response to `initialize` before the proxy responds itself.
const INITIALIZE_TIMEOUT: Duration = Duration::from_secs(2);
const INITIALIZE_TIMEOUT_WITH_LOGIN: Duration = Duration::from_secs(10);

/// The handler of the client's messages. Clones share their state.
#[derive(Clone)]
pub(crate) struct McpClient(Arc<Inner>);

struct Inner {
    connection: ServerConnection,
    upstream: Upstream,
    forwarder: Forwarder,
    capabilities: Mutex<CapabilityCache>,
    slots: Semaphore,
    /// Held while a session is opened for a client that the proxy has responded to itself.
    opening: Mutex<()>,
}

impl McpClient {
    pub(crate) fn new(connection: ServerConnection, out: Output, settings: Settings) -> Self {
        let (pending, filter) = (
            Arc::new(PendingRequests::default()),
            Arc::new(settings.filter),
        );
        let parameters = Arc::default();
        let forwarder = Forwarder {
            pending,
            out,
            filter,
            header_params: parameters,
        };
        let (transport, limits) = (settings.transport, settings.limits);
        Self(Arc::new(Inner {
            upstream: Upstream::new(connection.clone(), forwarder.clone(), transport, limits),
            connection,
            forwarder,
            capabilities: Mutex::new(CapabilityCache::read(
                settings.capability_file,
                settings.server_info,
            )),
            slots: Semaphore::new(MAX_CONCURRENT_REQUESTS),
            opening: Mutex::default(),
        }))
    }

    pub(crate) fn logins(&self) -> watch::Receiver<u64> {
        self.0.connection.logins()
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.0.connection.platform().clock
    }

    /// Returns when each request of the client has a response.
    pub(crate) async fn wait_for_responses(&self) {
        self.0.forwarder.pending.wait_until_empty().await;
    }

    pub(crate) async fn listen(&self) {
        self.0.upstream.listen().await;
    }

    pub(crate) async fn end(&self) {
        self.0.upstream.end().await;
    }

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
            Kind::Notification | Kind::Response(_) => self.handle_notification(message, work),
        }
    }

    fn write(&self, line: Bytes, work: &mut JoinSet<()>) {
        let out = self.0.forwarder.out.clone();
        work.spawn(async move { out.write_line(line).await });
    }

    fn handle_initialize(&self, request: Arc<Message>, work: &mut JoinSet<()>) {
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
        let client = self.clone();
        let discovery = requests.first().filter(|_| message.is("server/discover"));
        let discovery = discovery.map(|(id, _)| self.0.forwarder.pending.observe(id));
        let task = work.spawn(async move {
            // The semaphore is never closed.
            let slot = client.0.slots.acquire().await;
            let logins = client.0.connection.logins();
            if let Err(error) = client.0.upstream.call(&message).await {
                if matches!(error, ProxyError::LoginRequired) && message.is("subscriptions/listen")
                {
                    // A subscription may last long, and it uses no connection to the server yet.
                    drop(slot);
                    return client.0.subscribe_until_login(&message, logins).await;
                }
                client.0.respond_with_error(&message, error).await;
            } else if let Some(discovery) = discovery
                && let Ok(response) = discovery.await
            {
                client
                    .0
                    .capabilities
                    .lock()
                    .await
                    .remember_discovery(&response);
            }
        });
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

impl Inner {
    /// Returns the response to `initialize`, and whether the proxy built it because the server is
    /// unreachable.
    async fn initialize(&self, request: &Message, raw_id: &RawValue) -> (Bytes, bool) {
        let limit = if self.connection.has_session() {
            INITIALIZE_TIMEOUT_WITH_LOGIN
        } else {
            INITIALIZE_TIMEOUT
        };
        let response = tokio::select! {
            response = self.upstream.initialize(request) => response.map_err(|error| (error, false)),
            () = self.connection.platform().clock.sleep(limit) => {
                Err((ProxyError::Other("the server has not responded yet".to_owned()), true))
            }
        };
        let mut capabilities = self.capabilities.lock().await;
        match response {
            Ok(response) => {
                capabilities.remember_initialize(&response);
                (response, false)
            }
            Err((error, is_late)) => {
                let is_away = is_late || !capabilities.is_empty() && error.is_unreachable();
                if is_away || matches!(error, ProxyError::LoginRequired) {
                    let needs_login = matches!(error, ProxyError::LoginRequired);
                    let instructions = needs_login.then(|| self.login_instructions());
                    self.upstream.go_offline(error);
                    let greeting =
                        capabilities.initialize_response(request, raw_id, instructions.as_deref());
                    return (greeting, is_away);
                }
                self.upstream.reset();
                (
                    error_response(
                        Some(raw_id),
                        SERVER_ERROR,
                        &self.connection.host().describe(&error),
                        None,
                    ),
                    false,
                )
            }
        }
    }

    /// Returns instructions with the command that logs in, if there is one. An application that shows a server without tools
    /// as healthy passes them to its model; a host without a display can follow them too.
    fn login_instructions(&self) -> String {
        let url = self.connection.url();
        // A plain login would use it again, while its access token has not expired.
        let force = self.connection.has_session();
        let what = if force {
            format!("{url} no longer accepts the stored login")
        } else {
            format!("Not logged in to {url} yet")
        };
        let how = match self.connection.host().login_command(force) {
            Some(command) => format!(
                "Ask the user to run this command in a terminal: `{command}`. A tool call returns the \
                 URL of the login, too."
            ),
            None => "A tool call returns the URL of the login: show it to the user.".to_owned(),
        };
        format!(
            "{what}, so its tools are not listed. {how} The tools are listed as soon as the login is done."
        )
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

    /// Opens a session for a client that the proxy has responded to itself, as soon as the server is
    /// reachable and logged in to, and notifies the client that the lists have changed.
    async fn open_deferred(&self) {
        let mut logins = self.connection.logins();
        let _one = self.opening.lock().await;
        if self.upstream.is_open() {
            return;
        }
        for attempt in 0.. {
            match self.upstream.open_deferred().await {
                Ok(response) => {
                    let mut capabilities = self.capabilities.lock().await;
                    capabilities.remember_initialize(&response);
                    for change in capabilities.list_changed_notifications() {
                        self.forwarder.out.write_line(change).await;
                    }
                    return;
                }
                // `reconnect` continues after the login, unless the login has ended in the meantime.
                Err(error @ ProxyError::LoginRequired)
                    if !logins.has_changed().unwrap_or_default() =>
                {
                    return self.upstream.go_offline(error);
                }
                Err(error) => self.upstream.go_offline(error),
            }
            tokio::select! {
                () = self.connection.platform().clock.sleep(reconnect_delay(None, attempt)) => {}
                Ok(()) = logins.changed() => {}
            }
        }
    }

    /// Responds to the requests that the server has not responded to.
    async fn respond_with_error(&self, message: &Message, error: ProxyError) {
        let (error, is_offline) = match error {
            ProxyError::Offline(error) => (*error, true),
            error => (error, false),
        };
        let needed = match &error {
            ProxyError::LoginRequired => {
                // A tool call that needs a login starts another one after a failed login. Other
                // requests only use a login that another process has completed.
                if message.is("tools/call") {
                    self.connection.retry_login();
                } else {
                    self.connection.check_store().await;
                }
                Some(self.connection.login_needed().await)
            }
            _ => None,
        };
        let host = self.connection.host();
        let text = match &needed {
            Some(needed) => needed.text.clone(),
            None if error.is_interrupted() && !message.is_idempotent() => {
                host.describe_unknown_outcome(&error)
            }
            None => host.describe(&error),
        };
        let url = needed.as_ref().and_then(|needed| needed.url.as_ref());
        let capabilities = self.capabilities.lock().await;
        for (id, raw_id) in message.requests() {
            let is_told = message.is("tools/call") || message.routing.is_some();
            let line = if needed.is_some() && message.is("server/discover") {
                capabilities.discover_response(&raw_id, &self.login_instructions())
            } else if is_offline || is_told && needed.is_some() {
                offline_response(message, &raw_id, &text, url)
            } else {
                let code = if needed.is_some() {
                    LOGIN_REQUIRED
                } else {
                    SERVER_ERROR
                };
                let data = url.map(|url| serde_json::json!({ "url": url }));
                error_response(Some(&raw_id), code, &text, data)
            };
            if let Requester::Client = self.forwarder.pending.complete(&id, &line) {
                self.forwarder.out.write_line(line).await;
            }
        }
    }
}
