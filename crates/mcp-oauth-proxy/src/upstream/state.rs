//! The state of the client's session with the server.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use http::HeaderValue;
use mcp_oauth_support::mutex::lock;
use tokio::sync::{Mutex as AsyncMutex, watch};

use super::super::{
    connection::ServerConnection,
    error::ProxyError,
    forward::Forwarder,
    jsonrpc::Message,
    legacy_sse::LegacyStream,
    settings::{Limits, Transport},
};

/// The server, as the client reaches it through the proxy.
pub(crate) struct Upstream {
    pub(super) connection: ServerConnection,
    pub(super) forwarder: Forwarder,
    pub(super) transport: Transport,
    pub(super) limits: Limits,
    pub(super) state: watch::Sender<State>,
    /// The client's `initialize`, which starts every session.
    pub(super) initialize_request: Mutex<Option<Arc<Message>>>,
    /// The revision of a stateless client.
    pub(super) stateless: Mutex<Option<HeaderValue>>,
    /// The client's `notifications/initialized`, if it arrived before the server's response.
    pub(super) early_initialized: Mutex<Option<Arc<Message>>>,
    pub(super) reopening: AsyncMutex<()>,
    /// The next number for a session or a request of the proxy.
    pub(super) numbers: AtomicU64,
}

/// The state of the session.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// There was no `initialize`: the revision has none, or the client omits it.
    NotInitialized,
    /// `initialize` or `notifications/initialized` is in progress.
    Initializing,
    /// The server has responded to `initialize`; `notifications/initialized` is missing.
    AwaitingInitialized(Arc<McpSession>),
    /// The handshake is complete; the stream is opened before the first request.
    OpeningStream(Arc<McpSession>),
    /// The session is open.
    Open(Arc<McpSession>),
    /// The proxy has responded to `initialize` itself: there is no login, or the server is unreachable.
    Offline(ProxyError),
}

/// The action for the client's `notifications/initialized`.
pub(crate) enum InitializedAction {
    /// Complete the handshake of this session with it.
    Complete(Arc<McpSession>),
    /// Forward it like any other notification.
    Forward,
    /// Do nothing now: it is kept for later, or not needed.
    Defer,
}

/// One session with the server.
#[derive(Debug)]
pub(crate) struct McpSession {
    pub(super) number: u64,
    pub(super) id: Option<HeaderValue>,
    pub(super) version: Option<HeaderValue>,
    /// The stream of the transport of MCP 2024-11-05, if it is used.
    pub(super) legacy: Option<LegacyStream>,
}

impl Upstream {
    pub(crate) fn new(
        connection: ServerConnection,
        forwarder: Forwarder,
        transport: Transport,
        limits: Limits,
    ) -> Self {
        Self {
            connection,
            forwarder,
            transport,
            limits,
            state: watch::Sender::new(State::NotInitialized),
            initialize_request: Mutex::default(),
            stateless: Mutex::default(),
            early_initialized: Mutex::default(),
            reopening: AsyncMutex::default(),
            numbers: AtomicU64::new(1),
        }
    }

    /// Records the client's `initialize`. Later messages wait for its outcome.
    pub(crate) fn start_initialize(&self, initialize_request: &Arc<Message>) {
        *lock(&self.initialize_request) = Some(Arc::clone(initialize_request));
        self.state.send_replace(State::Initializing);
    }

    /// Resets the state, so that messages do not wait for a session.
    pub(crate) fn reset(&self) {
        self.state.send_replace(State::NotInitialized);
    }

    /// Sets the state after the proxy has responded to `initialize` itself, with the reason.
    pub(crate) fn go_offline(&self, reason: ProxyError) {
        lock(&self.early_initialized).take();
        self.state.send_replace(State::Offline(reason));
    }

    /// Sets the state after a login: later messages wait for the session.
    pub(crate) fn start_reconnect(&self) {
        self.state.send_replace(State::Initializing);
    }

    /// Returns a receiver that hears the next change of the state, for [`left_offline`](Self::left_offline).
    pub(crate) fn changes(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Waits until the session is opened after a login. `changes` is older than the login.
    pub(crate) async fn left_offline(&self, changes: &mut watch::Receiver<State>) {
        if self.is_offline() {
            // The sender lives as long as `self`.
            let _changed = changes.changed().await;
        }
    }

    pub(crate) fn is_offline(&self) -> bool {
        matches!(*self.state.borrow(), State::Offline(_))
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(*self.state.borrow(), State::Open(_))
    }

    /// Returns whether the client uses a stateless revision.
    pub(crate) fn is_stateless(&self) -> bool {
        self.state.borrow().session().is_none() && lock(&self.stateless).is_some()
    }

    /// Handles the client's `notifications/initialized`. Later messages wait until the server has it.
    pub(crate) fn initialized_received(&self, message: &Arc<Message>) -> InitializedAction {
        let state = self.state.borrow().clone();
        match state {
            State::AwaitingInitialized(session) => {
                self.state.send_replace(State::Initializing);
                InitializedAction::Complete(session)
            }
            State::Initializing | State::OpeningStream(_) => {
                *lock(&self.early_initialized) = Some(Arc::clone(message));
                InitializedAction::Defer
            }
            // The proxy sends its own when it opens the session.
            State::Offline(_) => InitializedAction::Defer,
            State::NotInitialized | State::Open(_) => InitializedAction::Forward,
        }
    }

    /// Returns whether each request of the message has its response; false for a message without requests.
    pub(super) fn has_response(&self, message: &Message) -> bool {
        !message.requests().is_empty() && !self.is_pending(message)
    }

    pub(super) fn is_pending(&self, message: &Message) -> bool {
        message
            .requests()
            .iter()
            .any(|(id, _)| self.forwarder.pending.is_pending(id))
    }

    pub(super) fn initialize_request(&self) -> Option<Arc<Message>> {
        lock(&self.initialize_request).clone()
    }

    pub(super) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

impl State {
    pub(super) fn session(&self) -> Option<&Arc<McpSession>> {
        match self {
            Self::AwaitingInitialized(session)
            | Self::OpeningStream(session)
            | Self::Open(session) => Some(session),
            Self::NotInitialized | Self::Initializing | Self::Offline(_) => None,
        }
    }
}
