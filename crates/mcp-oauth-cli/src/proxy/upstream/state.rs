//! How far the client has come with the server.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use http::HeaderValue;
use tokio::sync::{Mutex as AsyncMutex, watch};

use super::super::{
    connection::ServerConnection,
    error::Trouble,
    forward::Relay,
    jsonrpc::Message,
    legacy_sse::OldStream,
    options::{Limits, Transport},
};

/// The server, as the client reaches it through us.
pub(crate) struct Upstream {
    pub(super) door: ServerConnection,
    pub(super) relay: Relay,
    pub(super) transport: Transport,
    pub(super) limits: Limits,
    pub(super) state: watch::Sender<State>,
    /// The client's `initialize`, which begins every session.
    pub(super) initialize_request: Mutex<Option<Arc<Message>>>,
    /// The revision of a client that needs no session.
    pub(super) stateless: Mutex<Option<HeaderValue>>,
    /// The client's word that it has understood, which came before there was anything to understand.
    pub(super) early: Mutex<Option<Arc<Message>>>,
    pub(super) opening: AsyncMutex<()>,
    /// Of sessions, and of requests of our own.
    pub(super) numbers: AtomicU64,
}

/// Says how far the client has come with the server.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// There was no `initialize`: a revision that has none, or a client that does without.
    Unopened,
    /// `initialize` is under way, or the client's word that it is done.
    Opening,
    /// There is a session, which the client has not used yet.
    Greeted(Arc<McpSession>),
    /// The server knows that; its stream is being opened, before anything is asked.
    Confirmed(Arc<McpSession>),
    /// There is a session.
    Open(Arc<McpSession>),
    /// The client has an `initialize` of ours: nobody is logged in, or the server is away.
    Shut(Trouble),
}

/// Holds what becomes of the client's word that it has understood.
pub(crate) enum Confirmation {
    /// It confirms this session.
    For(Arc<McpSession>),
    /// It is a notification like any other.
    AsAnyOther,
    /// It is kept, or not needed.
    Nothing,
}

/// One session with the server.
#[derive(Debug)]
pub(crate) struct McpSession {
    pub(super) number: u64,
    pub(super) session: Option<HeaderValue>,
    pub(super) version: Option<HeaderValue>,
    /// The transport of 2024-11-05, if it is that.
    pub(super) old: Option<OldStream>,
}

impl Upstream {
    pub(crate) fn new(
        door: ServerConnection,
        relay: Relay,
        transport: Transport,
        limits: Limits,
    ) -> Self {
        Self {
            door,
            relay,
            transport,
            limits,
            state: watch::Sender::new(State::Unopened),
            initialize_request: Mutex::default(),
            stateless: Mutex::default(),
            early: Mutex::default(),
            opening: AsyncMutex::default(),
            numbers: AtomicU64::new(1),
        }
    }

    /// The client's `initialize`: what it sends from now on waits for the outcome.
    pub(crate) fn begin(&self, initialize_request: &Arc<Message>) {
        *lock(&self.initialize_request) = Some(Arc::clone(initialize_request));
        self.state.send_replace(State::Opening);
    }

    /// There is no session, and nobody waits for one.
    pub(crate) fn give_up(&self) {
        self.state.send_replace(State::Unopened);
    }

    /// The client has an `initialize` of ours, and this is why.
    pub(crate) fn shut(&self, why: Trouble) {
        lock(&self.early).take();
        self.state.send_replace(State::Shut(why));
    }

    /// Somebody has logged in: what the client sends from now on waits for the session.
    pub(crate) fn unshut(&self) {
        self.state.send_replace(State::Opening);
    }

    pub(crate) fn is_shut(&self) -> bool {
        matches!(*self.state.borrow(), State::Shut(_))
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(*self.state.borrow(), State::Open(_))
    }

    /// Returns whether the client speaks a revision without sessions.
    pub(crate) fn is_stateless(&self) -> bool {
        self.state.borrow().seat().is_none() && lock(&self.stateless).is_some()
    }

    /// Returns the client has understood `initialize`: what follows waits until the server knows.
    pub(crate) fn begin_to_confirm(&self, message: &Arc<Message>) -> Confirmation {
        let state = self.state.borrow().clone();
        match state {
            State::Greeted(seat) => {
                self.state.send_replace(State::Opening);
                Confirmation::For(seat)
            }
            State::Opening | State::Confirmed(_) => {
                *lock(&self.early) = Some(Arc::clone(message));
                Confirmation::Nothing
            }
            // The server will hear ours.
            State::Shut(_) => Confirmation::Nothing,
            State::Unopened | State::Open(_) => Confirmation::AsAnyOther,
        }
    }

    /// Returns whether all that it asks is answered; what asks nothing never is.
    pub(super) fn is_answered(&self, message: &Message) -> bool {
        !message.requests().is_empty() && !self.waits_for(message)
    }

    pub(super) fn waits_for(&self, message: &Message) -> bool {
        message
            .requests()
            .iter()
            .any(|(id, _)| self.relay.calls.is_open(id))
    }

    pub(super) fn initialize_request(&self) -> Option<Arc<Message>> {
        lock(&self.initialize_request).clone()
    }

    pub(super) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

impl State {
    pub(super) fn seat(&self) -> Option<&Arc<McpSession>> {
        match self {
            Self::Greeted(seat) | Self::Confirmed(seat) | Self::Open(seat) => Some(seat),
            Self::Unopened | Self::Opening | Self::Shut(_) => None,
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
