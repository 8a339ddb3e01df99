//! The state of the client's side.

use std::{
    sync::{
        Arc, Mutex as StdMutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mcp_client_oauth::platform::Clock;
use tokio::sync::{Mutex, Semaphore, watch};

use crate::{
    connection::ServerConnection, elicitation::is_declared_in, forward::Forwarder,
    host::UserBrowser, jsonrpc::Message, lines::Output, log_in_tool::ListedTools,
    offline_responses::CapabilityCache, pending_requests::PendingRequests, settings::Settings,
    upstream::Upstream,
};

/// The number of concurrent requests to the server: each may need a connection.
const MAX_CONCURRENT_REQUESTS: usize = 128;

/// The handler of the client's messages. Clones share their state.
#[derive(Clone)]
pub(crate) struct McpClient(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) connection: ServerConnection,
    pub(super) upstream: Upstream,
    pub(super) forwarder: Forwarder,
    pub(super) capabilities: Mutex<CapabilityCache>,
    pub(super) slots: Semaphore,
    /// Held while a session is opened for a client that the proxy has responded to itself.
    pub(super) opening: Mutex<()>,
    /// Is true if the client accepts requests to open a URL.
    pub(super) elicits: AtomicBool,
    pub(super) sent: StdMutex<Vec<SentElicitation>>,
    pub(super) listed: StdMutex<ListedTools>,
    pub(super) login_wait: Duration,
}

/// An elicitation request of the proxy, until its login is done (MCP 2025-11-25).
pub(super) struct SentElicitation {
    pub(super) id: String,
    pub(super) is_accepted: bool,
}

/// The program that shows a login to the user.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum LoginMode {
    /// The client shows a link after a call.
    Client,
    /// A text names the command that logs in: the client could show a link, but the browser of the user
    /// cannot reach it.
    Command,
    /// The host opens the browser, and the texts have the URL.
    Host,
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
            elicits: AtomicBool::default(),
            sent: StdMutex::default(),
            listed: StdMutex::default(),
            login_wait: settings.login_wait,
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
}

impl Inner {
    /// Returns how the user learns of a login that this message needs. A message of MCP 2026-07-28 has the
    /// capabilities of its client.
    pub(super) fn login_mode(&self, message: &Message) -> LoginMode {
        let elicits = if message.routing.is_some() {
            is_declared_in(message)
        } else {
            self.elicits.load(Ordering::Relaxed)
        };
        match elicits {
            true if self.connection.host().user_browser() != UserBrowser::Remote => {
                LoginMode::Client
            }
            true => LoginMode::Command,
            false => LoginMode::Host,
        }
    }
}
