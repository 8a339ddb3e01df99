//! The server's side: the session that the client has there, and what is done when it ends, the server
//! restarts, or the network is gone.
//!
//! [`initialize`] begins a session, [`request`] is a request to its answer, [`stream`] what the server
//! says of its own accord, [`http`] one message there and back.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ::http::{HeaderValue, Method};
use bytes::Bytes;
use mcp_client_oauth::proto::foreign::Foreign;
use serde_json::Value;
use tokio::sync::{Mutex as AsyncMutex, watch};

mod http;
mod initialize;
mod request;
mod stream;

pub(super) use self::http::header_text;

use super::{
    Limits,
    connection::{Door, Trouble},
    forward::Relay,
    jsonrpc::{Message, UNSUPPORTED_VERSION},
    legacy_sse::OldStream,
};
use initialize::initialized;

/// How long the end of a session may take.
const FAREWELL: Duration = Duration::from_millis(300);

/// Which transports are tried, in which order.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Transport {
    /// Streamable HTTP, else HTTP with SSE.
    #[default]
    HttpFirst,
    /// HTTP with SSE, else streamable HTTP.
    SseFirst,
    /// Streamable HTTP.
    HttpOnly,
    /// HTTP with SSE, as of 2024-11-05.
    SseOnly,
}

/// The server, as the client reaches it through us.
pub(super) struct Upstream {
    door: Door,
    relay: Relay,
    transport: Transport,
    limits: Limits,
    state: watch::Sender<State>,
    /// The client's `initialize`, which begins every session.
    hello: Mutex<Option<Arc<Message>>>,
    /// The revision of a client that needs no session.
    stateless: Mutex<Option<HeaderValue>>,
    /// The client's word that it has understood, which came before there was anything to understand.
    early: Mutex<Option<Arc<Message>>>,
    opening: AsyncMutex<()>,
    /// Of sessions, and of requests of our own.
    numbers: AtomicU64,
}

/// How far the client has come with the server.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// There was no `initialize`: a revision that has none, or a client that does without.
    Unopened,
    /// `initialize` is under way, or the client's word that it is done.
    Opening,
    /// There is a session, which the client has not used yet.
    Greeted(Arc<Seat>),
    /// The server knows that; its stream is being opened, before anything is asked.
    Confirmed(Arc<Seat>),
    /// There is a session.
    Open(Arc<Seat>),
    /// The client has an `initialize` of ours: nobody is logged in, or the server is away.
    Shut(Trouble),
}

/// What becomes of the client's word that it has understood.
pub(super) enum Confirmation {
    /// It confirms this session.
    For(Arc<Seat>),
    /// It is a notification like any other.
    AsAnyOther,
    /// It is kept, or not needed.
    Nothing,
}

/// One session with the server.
#[derive(Debug)]
pub(super) struct Seat {
    number: u64,
    session: Option<HeaderValue>,
    version: Option<HeaderValue>,
    /// The transport of 2024-11-05, if it is that.
    old: Option<OldStream>,
}

impl Upstream {
    pub(super) fn new(door: Door, relay: Relay, transport: Transport, limits: Limits) -> Self {
        Self {
            door,
            relay,
            transport,
            limits,
            state: watch::Sender::new(State::Unopened),
            hello: Mutex::default(),
            stateless: Mutex::default(),
            early: Mutex::default(),
            opening: AsyncMutex::default(),
            numbers: AtomicU64::new(1),
        }
    }

    /// The client's `initialize`: what it sends from now on waits for the outcome.
    pub(super) fn begin(&self, hello: &Arc<Message>) {
        *lock(&self.hello) = Some(Arc::clone(hello));
        self.state.send_replace(State::Opening);
    }

    /// The server's own answer to the client's `initialize`.
    pub(super) async fn greet(&self, hello: &Message) -> Result<Bytes, Trouble> {
        let (answer, seat) = self.open_session(hello).await?;
        let early = lock(&self.early).take();
        match (seat.map(Arc::new), early) {
            (Some(seat), Some(confirmation)) => self.confirm(seat, &confirmation).await?,
            (Some(seat), None) => drop(self.state.send_replace(State::Greeted(seat))),
            (None, _) => self.give_up(),
        }
        Ok(answer)
    }

    /// There is no session, and nobody waits for one.
    pub(super) fn give_up(&self) {
        self.state.send_replace(State::Unopened);
    }

    /// The client has an `initialize` of ours, and this is why.
    pub(super) fn shut(&self, why: Trouble) {
        lock(&self.early).take();
        self.state.send_replace(State::Shut(why));
    }

    /// Somebody has logged in: what the client sends from now on waits for the session.
    pub(super) fn unshut(&self) {
        self.state.send_replace(State::Opening);
    }

    pub(super) fn is_shut(&self) -> bool {
        matches!(*self.state.borrow(), State::Shut(_))
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(*self.state.borrow(), State::Open(_))
    }

    /// Whether the client speaks a revision without sessions.
    pub(super) fn is_stateless(&self) -> bool {
        self.state.borrow().seat().is_none() && lock(&self.stateless).is_some()
    }

    /// The client has understood `initialize`: what follows waits until the server knows.
    pub(super) fn begin_to_confirm(&self, message: &Arc<Message>) -> Confirmation {
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

    /// The client's word that it has understood, before anything else of it.
    pub(super) async fn confirm(&self, seat: Arc<Seat>, message: &Message) -> Result<(), Trouble> {
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

    /// A session for a client that has its `initialize` from us already, and the server's answer.
    pub(super) async fn open_late(&self) -> Result<Bytes, Trouble> {
        let hello = self.hello().ok_or(Trouble::SessionGone)?;
        let (answer, seat) = self.open_session(&hello.again(self.next_number())?).await?;
        let Some(seat) = seat else {
            return Err(Trouble::Said(unwilling(&answer)));
        };
        self.state.send_replace(State::Opening);
        self.confirm(Arc::new(seat), &initialized()?).await?;
        Ok(answer)
    }

    /// Another session in the place of one that is gone. Of many that find that out, one opens it.
    async fn reopen(&self, gone: u64) -> Result<(), Trouble> {
        let _one = self.opening.lock().await;
        let before = self.state.borrow().clone();
        if before.seat().is_none_or(|seat| seat.number != gone) {
            return Ok(());
        }
        let Some(hello) = self.hello() else {
            return Err(Trouble::SessionGone);
        };
        tracing::debug!("the session is gone: opening another one");
        match self.open_session(&hello.again(self.next_number())?).await {
            Ok((_, Some(seat))) => self.confirm(Arc::new(seat), &initialized()?).await,
            Ok((_, None)) => Err(Trouble::Said(
                "the server gives no other session".to_owned(),
            )),
            Err(trouble) => Err(trouble),
        }
    }

    fn hello(&self) -> Option<Arc<Message>> {
        lock(&self.hello).clone()
    }

    fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// The client is gone, and so is its session.
    pub(super) async fn end(&self) {
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

impl State {
    fn seat(&self) -> Option<&Arc<Seat>> {
        match self {
            Self::Greeted(seat) | Self::Confirmed(seat) | Self::Open(seat) => Some(seat),
            Self::Unopened | Self::Opening | Self::Shut(_) => None,
        }
    }
}

/// The client had to begin before anybody knew what the server speaks.
fn unwilling(answer: &Bytes) -> String {
    let said: Value = serde_json::from_slice(answer).unwrap_or_default();
    if said.pointer("/error/code").and_then(Value::as_i64) == Some(UNSUPPORTED_VERSION) {
        return "the server speaks another revision of MCP than this application has begun with: \
                start the application again"
            .to_owned();
    }
    let answer = Foreign::new(&String::from_utf8_lossy(answer));
    format!("the server will not begin: {answer}")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
