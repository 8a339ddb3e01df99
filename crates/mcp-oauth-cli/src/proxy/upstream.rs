//! The server's side: streamable HTTP of every revision, and what is done when a session ends, the
//! server restarts, or the network is gone.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use mcp_client_oauth::{
    Answer, AnswerError, Events, platform::Body, proto::foreign::Foreign, reconnect_delay,
};
use serde_json::Value;
use tokio::sync::{Mutex as AsyncMutex, oneshot, watch};

use super::{
    calls::Calls,
    door::{Door, Outgoing, Trouble},
    frame::{Id, Message, Routing},
    old_stream::OldStream,
    relay::{Ended, Relay},
};

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

/// How often a message is sent again because the server does not know the session.
const SESSIONS: u32 = 3;
/// How often one without a side effect is sent again because the answer was lost.
const REPEATS: u32 = 2;
/// How often a stream is opened again for one answer.
const RESUMPTIONS: u32 = 5;
/// How long a server may be away.
const ABSENCE: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
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
    patience: Duration,
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
    pub(super) fn new(door: Door, relay: Relay, transport: Transport, patience: Duration) -> Self {
        Self {
            door,
            relay,
            transport,
            patience,
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
            State::Opening => {
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
        let outcome = self.tell_at(Some(&seat), message).await;
        self.state.send_replace(State::Open(seat));
        outcome
    }

    /// A session for a client that has its `initialize` from us already, and the server's answer.
    pub(super) async fn open_late(&self) -> Result<Bytes, Trouble> {
        let hello = self.hello().ok_or(Trouble::SessionGone)?;
        let (answer, seat) = self.open_session(&hello.again(self.next_number())?).await?;
        let Some(seat) = seat else {
            let answer = Foreign::new(&String::from_utf8_lossy(&answer));
            return Err(Trouble::Said(format!(
                "the server will not begin: {answer}"
            )));
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

    /// The answer to `initialize`, and the session, unless the answer is an error.
    async fn open_session(&self, hello: &Message) -> Result<(Bytes, Option<Seat>), Trouble> {
        let old_first = matches!(self.transport, Transport::SseFirst | Transport::SseOnly);
        let first = if old_first {
            self.open_old(hello).await
        } else {
            self.open_streamable(hello).await
        };
        match (first, self.transport) {
            (Err(Trouble::OtherTransport(_)), Transport::SseFirst) => {
                self.open_streamable(hello).await
            }
            (Err(Trouble::OtherTransport(status)), Transport::HttpFirst) => {
                let second = self.open_old(hello).await;
                second.map_err(|trouble| match trouble {
                    // What it says to the transport of today is what the person wants to know.
                    Trouble::OtherTransport(_) => Trouble::OtherTransport(status),
                    other => other,
                })
            }
            (outcome, _) => outcome,
        }
    }

    async fn open_streamable(&self, hello: &Message) -> Result<(Bytes, Option<Seat>), Trouble> {
        let own = OwnCall::begin(&self.relay.calls, hello)?;
        let response = self.post(None, hello).await?;
        let (status, session) = (response.status(), response.headers().get(SESSION).cloned());
        let outcome = self.take(None, response).await;
        match (own.answer().await, outcome) {
            (Some(answer), _) => {
                let seat = self.seat_of(&answer, session, None);
                Ok((answer, seat))
            }
            (None, _) if matches!(status.as_u16(), 400 | 404 | 405) => {
                Err(Trouble::OtherTransport(status))
            }
            (None, Err(trouble)) => Err(trouble),
            (None, Ok(_)) => Err(self.missing()),
        }
    }

    async fn open_old(&self, hello: &Message) -> Result<(Bytes, Option<Seat>), Trouble> {
        let mut own = OwnCall::begin(&self.relay.calls, hello)?;
        let old = OldStream::open(&self.door, self.relay.clone(), self.patience).await?;
        let mut seat = self.empty_seat();
        seat.old = Some(old);
        self.tell_at(Some(&seat), hello).await?;
        let answer = tokio::select! {
            answer = &mut own.answer => answer.ok(),
            () = self.door.platform().clock.sleep(self.patience) => None,
        };
        let answer = answer.ok_or_else(|| self.missing())?;
        let seat = self.seat_of(&answer, None, seat.old.take());
        Ok((answer, seat))
    }

    fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn empty_seat(&self) -> Seat {
        let number = self.next_number();
        Seat {
            number,
            session: None,
            version: None,
            old: None,
        }
    }

    /// None if the answer is an error.
    fn seat_of(
        &self,
        answer: &Bytes,
        session: Option<HeaderValue>,
        old: Option<OldStream>,
    ) -> Option<Seat> {
        let answer: Value = serde_json::from_slice(answer).ok()?;
        let version = answer
            .get("result")?
            .get("protocolVersion")
            .and_then(Value::as_str);
        let version = version.and_then(|version| HeaderValue::from_str(version).ok());
        Some(Seat {
            session,
            version,
            old,
            ..self.empty_seat()
        })
    }

    fn missing(&self) -> Trouble {
        AnswerError::Missing(self.door.url().clone()).into()
    }

    fn hello(&self) -> Option<Arc<Message>> {
        lock(&self.hello).clone()
    }

    /// One request of the client, to its answer. It is sent again only where it surely was not taken,
    /// or where it has no side effect.
    pub(super) async fn call(&self, message: &Message) -> Result<(), Trouble> {
        let mut tries = Tries::default();
        loop {
            let trouble = match self.attempt(message).await {
                Ok(()) => return Ok(()),
                Err((trouble, seat)) => match (trouble, seat) {
                    (Trouble::SessionGone, Some(seat)) if tries.another_session() => {
                        match self.reopen(seat).await {
                            Ok(()) => continue,
                            Err(trouble) => trouble,
                        }
                    }
                    (trouble, _) => trouble,
                },
            };
            // It may have its answer by now: then it is not sent again.
            if !self.waits_for(message) {
                return Ok(());
            }
            if trouble.never_sent() && self.waited(&mut tries).await {
                continue;
            }
            let is_safe = message.is_safe() && trouble.is_interrupted();
            if !(is_safe && tries.another_repeat()) {
                return Err(trouble);
            }
        }
    }

    /// Waits for a server that is away; no if that has been too long.
    async fn waited(&self, tries: &mut Tries) -> bool {
        let Some(pause) = tries.pause() else {
            return false;
        };
        tracing::debug!("the server cannot be reached: trying again");
        self.door.platform().clock.sleep(pause).await;
        true
    }

    /// A notification, or an answer of the client.
    pub(super) async fn tell(&self, message: &Message) -> Result<(), Trouble> {
        let seat = self.seat(message).await?;
        self.tell_at(seat.as_deref(), message).await
    }

    async fn tell_at(&self, seat: Option<&Seat>, message: &Message) -> Result<(), Trouble> {
        let response = self.post(seat, message).await?;
        self.take(seat, response).await.map(drop)
    }

    async fn attempt(&self, message: &Message) -> Result<(), (Trouble, Option<u64>)> {
        let seat = self
            .seat(message)
            .await
            .map_err(|trouble| (trouble, None))?;
        let number = seat.as_ref().map(|seat| seat.number);
        let outcome = self.exchange(seat.as_deref(), message).await;
        outcome.map_err(|trouble| (trouble, number))
    }

    async fn exchange(&self, seat: Option<&Seat>, message: &Message) -> Result<(), Trouble> {
        let response = self.post(seat, message).await?;
        let ended = self.take(seat, response).await?;
        // The answer comes on the one stream, which answers for it from here on.
        if seat.is_some_and(|seat| seat.old.is_some()) {
            return Ok(());
        }
        if !self.waits_for(message) {
            return Ok(());
        }
        match (seat, ended.last_id) {
            (Some(seat), Some(id)) => self.resume(seat, message, id, ended.retry).await,
            _ => Err(self.missing()),
        }
    }

    fn waits_for(&self, message: &Message) -> bool {
        message
            .requests()
            .iter()
            .any(|(id, _)| self.relay.calls.is_open(id))
    }

    /// The rest of an answer, whose stream has ended too early (2025-11-25, resumability).
    async fn resume(
        &self,
        seat: &Seat,
        message: &Message,
        mut last_id: String,
        mut retry: Option<Duration>,
    ) -> Result<(), Trouble> {
        for attempt in 0..RESUMPTIONS {
            let clock = &self.door.platform().clock;
            clock.sleep(reconnect_delay(retry, attempt)).await;
            let Ok(Some(mut events)) = self.stream(seat, Some(&last_id)).await else {
                continue;
            };
            while self.waits_for(message) {
                match events.next().await {
                    Some(Ok(event)) => self.relay.pass(event.data).await,
                    Some(Err(_)) | None => break,
                }
            }
            if !self.waits_for(message) {
                return Ok(());
            }
            last_id = events.last_id().map_or(last_id, str::to_owned);
            retry = events.retry().or(retry);
        }
        Err(self.missing())
    }

    /// What the server says of its own accord, as long as there is a session.
    pub(super) async fn listen(&self) {
        let mut states = self.state.subscribe();
        let mut last = 0;
        loop {
            let is_next = |state: &State| matches!(state, State::Open(seat) if seat.number != last);
            let seat = match states.wait_for(is_next).await {
                Ok(state) => state.seat().cloned(),
                Err(_) => return,
            };
            let Some(seat) = seat else { continue };
            last = seat.number;
            tokio::select! {
                () = self.listen_at(&seat) => {}
                _other = states.wait_for(|state| state.seat().is_some_and(|now| now.number != last)) => {}
            }
        }
    }

    async fn listen_at(&self, seat: &Seat) {
        let clock = &self.door.platform().clock;
        if let Some(old) = &seat.old {
            old.lost().await;
            let mut attempt = 0;
            while self.reopen(seat.number).await.is_err() {
                clock.sleep(reconnect_delay(None, attempt)).await;
                attempt += 1;
            }
            return;
        }
        let (mut last_id, mut retry, mut attempt) = (None::<String>, None, 0);
        loop {
            match self.stream(seat, last_id.as_deref()).await {
                Ok(Some(mut events)) => {
                    let outcome = self.relay.pass_events(&mut events).await;
                    tracing::debug!(is_broken = outcome.is_err(), "the stream has ended");
                    let id = events.last_id().map(str::to_owned);
                    attempt = if id.is_some() && id != last_id {
                        0
                    } else {
                        attempt + 1
                    };
                    last_id = id.or(last_id);
                    retry = events.retry().or(retry);
                }
                // The server has none.
                Ok(None) => return,
                Err(Trouble::SessionGone) => {
                    if let Err(trouble) = self.reopen(seat.number).await {
                        tracing::debug!(?trouble, "no other session yet");
                        attempt += 1;
                    }
                }
                Err(trouble) => {
                    tracing::debug!(?trouble, "no stream");
                    attempt += 1;
                }
            }
            clock.sleep(reconnect_delay(retry, attempt)).await;
        }
    }

    /// Opens the stream of a session; none if the server has none.
    async fn stream(&self, seat: &Seat, last_id: Option<&str>) -> Result<Option<Events>, Trouble> {
        let mut headers = seat.headers();
        headers.insert(header::ACCEPT, STREAM);
        if let Some(id) = last_id.and_then(|id| HeaderValue::from_str(id).ok()) {
            headers.insert(LAST_EVENT, id);
        }
        let response = self.send(Method::GET, headers, Bytes::new()).await?;
        match response.status() {
            StatusCode::NOT_FOUND if seat.session.is_some() => Err(Trouble::SessionGone),
            status if status.is_server_error() => Err(Trouble::Said(format!("HTTP {status}"))),
            status if !status.is_success() => Ok(None),
            _ => match Answer::of(self.door.url(), response).await? {
                Answer::Events(events) => Ok(Some(*events)),
                _ => Ok(None),
            },
        }
    }

    /// The session that a message belongs to, once it is open; none for one that needs none.
    async fn seat(&self, message: &Message) -> Result<Option<Arc<Seat>>, Trouble> {
        if let Some(routing) = &message.routing {
            let version = HeaderValue::from_str(&routing.version).ok();
            *lock(&self.stateless) = version;
            return Ok(None);
        }
        let mut states = self.state.subscribe();
        let state = states
            .wait_for(|state| !matches!(state, State::Opening))
            .await;
        match state.as_deref() {
            Ok(State::Shut(why)) => Err(Trouble::Shut(Box::new(why.clone()))),
            Ok(state) => Ok(state.seat().cloned()),
            Err(_) => Ok(None),
        }
    }

    async fn post(
        &self,
        seat: Option<&Seat>,
        message: &Message,
    ) -> Result<http::Response<Body>, Trouble> {
        let mut headers = match (seat, &message.routing) {
            (Some(seat), None) => seat.headers(),
            (_, Some(routing)) => {
                let mut headers = routing.headers(message.method.as_deref());
                if message.is("tools/call") {
                    self.relay.parameters.add_to(&mut headers, &message.line);
                }
                headers
            }
            (None, None) => self.stateless_headers(message),
        };
        headers.insert(header::ACCEPT, BOTH);
        headers.insert(header::CONTENT_TYPE, JSON);
        let body = message.line.clone();
        match seat.and_then(|seat| seat.old.as_ref()) {
            Some(old) => old.post(&self.door, headers, body, self.patience).await,
            None => self.send(Method::POST, headers, body).await,
        }
    }

    /// A notification of 2026-07-28 names its revision in the header alone.
    fn stateless_headers(&self, message: &Message) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(version) = lock(&self.stateless)
            .clone()
            .filter(|_| !message.is("initialize"))
        {
            headers.insert(VERSION, version);
            if let Some(method) = message
                .method
                .as_deref()
                .and_then(|m| HeaderValue::from_str(m).ok())
            {
                headers.insert(METHOD, method);
            }
        }
        headers
    }

    async fn send(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<http::Response<Body>, Trouble> {
        let url = self.door.url().clone();
        let patience = self.patience;
        self.door
            .send(&Outgoing {
                method,
                url,
                headers,
                body,
                patience,
            })
            .await
    }

    /// Passes on what an answer holds.
    async fn take(
        &self,
        seat: Option<&Seat>,
        response: http::Response<Body>,
    ) -> Result<Ended, Trouble> {
        let status = response.status();
        let has_session = seat.is_some_and(|seat| seat.session.is_some() || seat.old.is_some());
        if status == StatusCode::NOT_FOUND && has_session {
            return Err(Trouble::SessionGone);
        }
        if status.is_success() {
            // An answer to `POST` of 2024-11-05 is on the stream; here is a word at most.
            if seat.is_some_and(|seat| seat.old.is_some()) {
                return Ok(Ended::default());
            }
            return self
                .relay
                .pass_answer(Answer::of(self.door.url(), response).await?)
                .await;
        }
        let body = match Answer::of(self.door.url(), response).await {
            Ok(Answer::Json(body)) => body,
            Ok(_) | Err(_) => Bytes::new(),
        };
        self.relay.pass_refusal(status, body).await
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
            Self::Greeted(seat) | Self::Open(seat) => Some(seat),
            Self::Unopened | Self::Opening | Self::Shut(_) => None,
        }
    }
}

impl Seat {
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(session) = &self.session {
            headers.insert(SESSION, session.clone());
        }
        if let Some(version) = &self.version {
            headers.insert(VERSION, version.clone());
        }
        headers
    }
}

impl Routing {
    /// SEP-2243: what a request is about stands in headers too.
    fn headers(&self, method: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let name = self.name.as_deref().map(header_text);
        let fields = [
            (VERSION, Some(self.version.clone())),
            (METHOD, method.map(str::to_owned)),
            (NAME, name),
        ];
        for (field, value) in fields {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                headers.insert(field, value);
            }
        }
        headers
    }
}

/// What a header cannot carry as it is goes in base64 (SEP-2243).
pub(super) fn header_text(text: &str) -> String {
    let is_visible = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let is_plain = is_visible && text.trim() == text && !text.starts_with("=?base64?");
    if is_plain {
        text.to_owned()
    } else {
        format!("=?base64?{}?=", BASE64_STANDARD.encode(text))
    }
}

/// A request whose answer is for us.
struct OwnCall {
    calls: Arc<Calls>,
    id: Id,
    answer: oneshot::Receiver<Bytes>,
}

impl OwnCall {
    fn begin(calls: &Arc<Calls>, message: &Message) -> Result<Self, Trouble> {
        let request = message.requests().pop();
        let (id, raw) = request.ok_or_else(|| Trouble::Said("it is no request".to_owned()))?;
        let answer = calls.begin_own(&id, &raw);
        Ok(Self {
            calls: Arc::clone(calls),
            id,
            answer,
        })
    }

    /// What has come, if it has.
    async fn answer(mut self) -> Option<Bytes> {
        self.calls.cancel(&self.id);
        (&mut self.answer).await.ok()
    }
}

impl Drop for OwnCall {
    fn drop(&mut self) {
        self.calls.cancel(&self.id);
    }
}

/// How often a message was sent again, and why.
#[derive(Default)]
struct Tries {
    sessions: u32,
    repeats: u32,
    waited: Duration,
}

impl Tries {
    fn another_session(&mut self) -> bool {
        self.sessions += 1;
        self.sessions <= SESSIONS
    }

    fn another_repeat(&mut self) -> bool {
        self.repeats += 1;
        self.repeats <= REPEATS
    }

    /// Each pause is as long as all before it, within bounds.
    fn pause(&mut self) -> Option<Duration> {
        let pause = self.waited.clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.waited += pause;
        (self.waited <= ABSENCE).then_some(pause)
    }
}

/// Our own word that a session is understood.
fn initialized() -> Result<Message, Trouble> {
    let text = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let read = Message::read(&Bytes::from_static(text.as_bytes()));
    read.map_err(|broken| Trouble::Said(broken.why.to_owned()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_be_away_for_half_a_minute() {
        let mut tries = Tries::default();
        let pauses: Vec<_> = std::iter::from_fn(|| tries.pause()).collect();
        assert_eq!(pauses.first(), Some(&FIRST_PAUSE));
        let whole: Duration = pauses.iter().sum();
        assert!(whole <= ABSENCE && whole > ABSENCE / 2, "{whole:?}");
    }

    #[test]
    fn a_name_goes_into_a_header_as_it_is_or_in_base64() {
        assert_eq!(header_text("add"), "add");
        assert_eq!(header_text("file:///a b"), "file:///a b");
        assert_eq!(header_text("grün"), "=?base64?Z3LDvG4=?=");
        assert_eq!(header_text(" x"), "=?base64?IHg=?=");
        assert!(header_text("=?base64?x").starts_with("=?base64?PT9"));
    }
}
