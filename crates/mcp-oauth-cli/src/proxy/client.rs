//! What is done with each line of the client.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use mcp_client_oauth::{platform::Clock, reconnect_delay};
use serde_json::value::RawValue;
use tokio::{
    sync::{Mutex, Semaphore, watch},
    task::JoinSet,
};

use super::{
    connection::ServerConnection,
    error::Trouble,
    forward::Relay,
    jsonrpc::{
        INVALID_PARAMS, INVALID_REQUEST, Kind, LOGIN_REQUIRED, Message, NoMessage, SERVER_ERROR,
        error,
    },
    offline_responses::{Memory, without_session},
    options::Options,
    pending_requests::{Calls, Requester},
    stdio::{Line, Output},
    subscription,
    upstream::{Confirmation, Upstream},
};
use crate::hints::{Subject, forced_login};

/// Says how many requests are on their way at once: each may need a connection.
const AT_ONCE: usize = 128;
/// Says how long a client waits for the server's own `initialize` before it gets ours.
const GREETING_WITHOUT_LOGIN: Duration = Duration::from_secs(2);
const GREETING_WITH_LOGIN: Duration = Duration::from_secs(10);

/// The client, and what is done for it. Cloning shares it.
#[derive(Clone)]
pub(super) struct Client(Arc<Inner>);

struct Inner {
    door: ServerConnection,
    upstream: Upstream,
    relay: Relay,
    memory: Mutex<Memory>,
    subject: Subject,
    places: Semaphore,
    /// Held while a session is opened for a client that has a greeting of ours.
    late: Mutex<()>,
}

impl Client {
    pub(super) fn new(door: ServerConnection, out: Output, options: Options) -> Self {
        let (calls, filter) = (Arc::new(Calls::default()), Arc::new(options.filter));
        let parameters = Arc::default();
        let relay = Relay {
            calls,
            out,
            filter,
            parameters,
        };
        let (transport, limits) = (options.transport, options.limits);
        Self(Arc::new(Inner {
            upstream: Upstream::new(door.clone(), relay.clone(), transport, limits),
            door,
            relay,
            memory: Mutex::new(Memory::read(options.memory)),
            subject: options.subject,
            places: Semaphore::new(AT_ONCE),
            late: Mutex::default(),
        }))
    }

    pub(super) fn logins(&self) -> watch::Receiver<u64> {
        self.0.door.logins()
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.0.door.platform().clock
    }

    /// Returns when everything that it has asked is answered.
    pub(super) async fn all_answered(&self) {
        self.0.relay.calls.all_ended().await;
    }

    pub(super) async fn listen(&self) {
        self.0.upstream.listen().await;
    }

    pub(super) async fn end(&self) {
        self.0.upstream.end().await;
    }

    pub(super) fn take(&self, line: Line, work: &mut JoinSet<()>) {
        let message = match line {
            Line::Whole(line) => Message::read(&line),
            Line::TooLong => {
                let why = "the message is larger than 64 MiB";
                Err(NoMessage {
                    code: INVALID_REQUEST,
                    why,
                })
            }
        };
        match message {
            Ok(message) => self.dispatch(Arc::new(message), work),
            Err(broken) => self.say(error(None, broken.code, broken.why, None), work),
        }
    }

    fn dispatch(&self, message: Arc<Message>, work: &mut JoinSet<()>) {
        if let Some(why) = self.0.relay.filter.refusal(&message.line) {
            for (_, raw_id) in message.requests() {
                self.say(error(Some(&raw_id), INVALID_PARAMS, &why, None), work);
            }
            return;
        }
        match &message.kind {
            Kind::Request(_) if message.is("initialize") => self.greet(message, work),
            Kind::Request(_) | Kind::Batch(_) => self.call(message, work),
            Kind::Notification | Kind::Answer(_) => self.tell(message, work),
        }
    }

    fn say(&self, line: Bytes, work: &mut JoinSet<()>) {
        let out = self.0.relay.out.clone();
        work.spawn(async move { out.line(line).await });
    }

    fn greet(&self, hello: Arc<Message>, work: &mut JoinSet<()>) {
        self.0.upstream.begin(&hello);
        let client = self.clone();
        work.spawn(async move {
            if let Some((_, raw_id)) = hello.requests().pop() {
                let (line, is_ours) = client.0.greeting(&hello, &raw_id).await;
                client.0.relay.out.line(line).await;
                if is_ours {
                    client.0.open_late().await;
                }
            }
        });
    }

    /// Somebody has logged in.
    pub(super) fn go_on(&self, work: &mut JoinSet<()>) {
        let client = self.clone();
        if self.0.upstream.is_shut() {
            self.0.upstream.unshut();
            work.spawn(async move { client.0.open_late().await });
        }
    }

    fn call(&self, message: Arc<Message>, work: &mut JoinSet<()>) {
        let requests = message.requests();
        for (place, (id, raw_id)) in requests.iter().enumerate() {
            if !self.0.relay.calls.begin(id, raw_id) {
                // Nothing of a batch is sent, so nothing of it is under way.
                for (begun, _) in requests.iter().take(place) {
                    self.0.relay.calls.cancel(begun);
                }
                let why = "a request with this id is under way";
                self.say(error(None, INVALID_REQUEST, why, None), work);
                return;
            }
        }
        let client = self.clone();
        let discovery = requests.first().filter(|_| message.is("server/discover"));
        let discovery = discovery.map(|(id, _)| self.0.relay.calls.listen_to(id));
        let task = work.spawn(async move {
            // It is never closed.
            let place = client.0.places.acquire().await;
            let logins = client.0.door.logins();
            if let Err(trouble) = client.0.upstream.call(&message).await {
                if matches!(trouble, Trouble::Login) && message.is("subscriptions/listen") {
                    // It may be long, and has no connection.
                    drop(place);
                    return client.0.subscribe_until_login(&message, logins).await;
                }
                client.0.fail(&message, trouble).await;
            } else if let Some(discovery) = discovery
                && let Ok(response) = discovery.await
            {
                client.0.memory.lock().await.learn_discovery(&response);
            }
        });
        for (id, _) in &requests {
            self.0.relay.calls.is_worked_on_by(id, task.clone());
        }
    }

    fn tell(&self, message: Arc<Message>, work: &mut JoinSet<()>) {
        let client = self.clone();
        if message.is("notifications/initialized") {
            match self.0.upstream.begin_to_confirm(&message) {
                Confirmation::For(seat) => {
                    work.spawn(async move {
                        told(client.0.upstream.confirm(seat, &message).await);
                    });
                    return;
                }
                Confirmation::Nothing => return,
                Confirmation::AsAnyOther => {}
            }
        }
        let cancelled = message.cancels();
        let cancelled = cancelled.and_then(|id| self.0.relay.calls.cancel(&id));
        work.spawn(async move {
            // A request of 2026-07-28 is cancelled by the end of its connection.
            if cancelled.is_none() || !client.0.upstream.is_stateless() {
                told(client.0.upstream.tell(&message).await);
            }
            if let Some(request) = cancelled {
                request.abort();
            }
        });
    }
}

/// Nobody waits for an answer to a notification, so nobody hears that it is lost.
fn told(outcome: Result<(), Trouble>) {
    if let Err(trouble) = outcome {
        tracing::debug!(?trouble, "a message has not reached the server");
    }
}

impl Inner {
    /// Returns the answer to `initialize`, and whether it is one of ours.
    async fn greeting(&self, hello: &Message, raw_id: &RawValue) -> (Bytes, bool) {
        let limit = if self.door.has_session() {
            GREETING_WITH_LOGIN
        } else {
            GREETING_WITHOUT_LOGIN
        };
        let response = tokio::select! {
            response = self.upstream.greet(hello) => response.map_err(|trouble| (trouble, false)),
            () = self.door.platform().clock.sleep(limit) => {
                Err((Trouble::Said("the server has not answered yet".to_owned()), true))
            }
        };
        let mut memory = self.memory.lock().await;
        match response {
            Ok(response) => {
                memory.learn(&response);
                (response, false)
            }
            Err((trouble, is_late)) => {
                let is_away = is_late || !memory.is_empty() && trouble.is_of_network();
                if is_away || matches!(trouble, Trouble::Login) {
                    let needs_login = matches!(trouble, Trouble::Login);
                    let instructions = needs_login.then(|| self.how_to_log_in());
                    self.upstream.shut(trouble);
                    let greeting = memory.greeting(hello, raw_id, instructions.as_deref());
                    return (greeting, is_away);
                }
                self.upstream.give_up();
                (
                    error(
                        Some(raw_id),
                        SERVER_ERROR,
                        &trouble.told(&self.subject),
                        None,
                    ),
                    false,
                )
            }
        }
    }

    /// Says what is missing, and the command that fixes it. An application that shows an empty server
    /// as a healthy one hands this to its model; a host without a display can follow it too.
    fn how_to_log_in(&self) -> String {
        let url = self.door.url();
        let (what, command) = if self.door.has_session() {
            // A plain `login` would use it again, while its access token has not expired.
            let what = format!("{url} no longer accepts the stored login");
            (what, forced_login(&self.subject))
        } else {
            let what = format!("Not logged in to {url} yet");
            (what, self.subject.login_command())
        };
        format!(
            "{what}, so its tools are not listed. Ask the user to run this command in a terminal: \
             `{command}`. A tool call returns the URL of the login, too. The tools are listed as soon \
             as the login is done."
        )
    }

    /// Keeps a subscription open until the login is done, or the client cancels it.
    async fn subscribe_until_login(&self, message: &Message, mut logins: watch::Receiver<u64>) {
        let filter = subscription::Filter::of(message);
        for (id, raw_id) in message.requests() {
            self.relay.out.line(filter.acknowledgment(&raw_id)).await;
            // The sender lives as long as the connection to the server, which we share.
            let _done = logins.changed().await;
            for change in filter.changes(&raw_id) {
                self.relay.out.line(change).await;
            }
            let end = subscription::end(&raw_id);
            if let Requester::Client = self.relay.calls.end(&id, &end) {
                self.relay.out.line(end).await;
            }
        }
    }

    /// Opens a session for a client that has a greeting of ours, as soon as there is a server and a
    /// login, and tells it what has changed by that.
    async fn open_late(&self) {
        let mut logins = self.door.logins();
        let _one = self.late.lock().await;
        if self.upstream.is_open() {
            return;
        }
        for attempt in 0.. {
            match self.upstream.open_late().await {
                Ok(response) => {
                    let mut memory = self.memory.lock().await;
                    memory.learn(&response);
                    for change in memory.changes() {
                        self.relay.out.line(change).await;
                    }
                    return;
                }
                // The end of the login is where it goes on, which may have come by now.
                Err(trouble @ Trouble::Login) if !logins.has_changed().unwrap_or_default() => {
                    return self.upstream.shut(trouble);
                }
                Err(trouble) => self.upstream.shut(trouble),
            }
            tokio::select! {
                () = self.door.platform().clock.sleep(reconnect_delay(None, attempt)) => {}
                Ok(()) = logins.changed() => {}
            }
        }
    }

    /// Answers what the server has not answered.
    async fn fail(&self, message: &Message, trouble: Trouble) {
        let (why, is_shut) = match trouble {
            Trouble::Shut(why) => (*why, true),
            trouble => (trouble, false),
        };
        let wanted = match &why {
            Trouble::Login => {
                // A call that needs a login after one has failed begins another; for the rest one
                // that was done elsewhere is enough.
                if message.is("tools/call") {
                    self.door.retry_login();
                } else {
                    self.door.look().await;
                }
                Some(self.door.wanted().await)
            }
            _ => None,
        };
        let text = match &wanted {
            Some(wanted) => wanted.text.clone(),
            None if why.is_interrupted() && !message.is_safe() => why.told_of_unknown_outcome(),
            None => why.told(&self.subject),
        };
        let url = wanted.as_ref().and_then(|wanted| wanted.url.as_ref());
        let memory = self.memory.lock().await;
        for (id, raw_id) in message.requests() {
            let is_told = message.is("tools/call") || message.routing.is_some();
            let line = if wanted.is_some() && message.is("server/discover") {
                memory.discovery(&raw_id, &self.how_to_log_in())
            } else if is_shut || is_told && wanted.is_some() {
                without_session(message, &raw_id, &text, url)
            } else {
                let code = if wanted.is_some() {
                    LOGIN_REQUIRED
                } else {
                    SERVER_ERROR
                };
                let data = url.map(|url| serde_json::json!({ "url": url }));
                error(Some(&raw_id), code, &text, data)
            };
            if let Requester::Client = self.relay.calls.end(&id, &line) {
                self.relay.out.line(line).await;
            }
        }
    }
}
