//! The HTTP clients of MCP 2025-11-25 that show logins to their users. The server gives a session only after
//! the login, and a client gets elicitations only in a session, so the proxy opens one itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, request};
use mcp_client_oauth::platform::Body;
use mcp_oauth_support::mutex::lock;
use tokio::task::JoinSet;

use crate::{
    connection::ServerConnection,
    elicitation::is_declared_by,
    http_response::{json_response, text_response},
    http_session::HttpSession,
    jsonrpc::{Message, error_response},
    random::random_text,
    serving::serve,
    settings::Settings,
    upstream::SESSION,
};

/// The number of sessions.
const MAX_SESSIONS: usize = 64;
/// The time after which a session without a request and an open stream may be closed.
const IDLE_TIME: Duration = Duration::from_secs(30 * 60);

pub(crate) struct HttpSessions {
    connection: ServerConnection,
    settings: Settings,
    open: Mutex<HashMap<String, OpenSession>>,
    /// The handlers of the messages. A session that is closed finishes its pending requests.
    handlers: Mutex<JoinSet<()>>,
}

struct OpenSession {
    session: Arc<HttpSession>,
    used_at: SystemTime,
}

impl HttpSessions {
    pub(crate) fn new(connection: ServerConnection, settings: Settings) -> Self {
        Self {
            connection,
            settings,
            open: Mutex::default(),
            handlers: Mutex::default(),
        }
    }

    /// Responds to a request in one of the sessions, or to one that opens a session; none if it is for the
    /// server.
    pub(crate) async fn respond(
        &self,
        head: &request::Parts,
        body: &Bytes,
    ) -> Option<Response<Body>> {
        let Some(id) = head.headers.get(SESSION) else {
            return self.initialize(head, body).await;
        };
        let id = id.to_str().ok()?;
        let session = self.find(id)?;
        Some(match head.method {
            Method::POST => match Message::parse(body) {
                Ok(message) => session.post(message).await,
                Err(error) => {
                    let error = error_response(None, error.code, error.reason, None);
                    json_response(StatusCode::BAD_REQUEST, error)
                }
            },
            Method::GET => session.listen(),
            Method::DELETE => {
                lock(&self.open).remove(id);
                text_response(StatusCode::NO_CONTENT, "")
            }
            _ => text_response(StatusCode::METHOD_NOT_ALLOWED, ""),
        })
    }

    fn find(&self, id: &str) -> Option<Arc<HttpSession>> {
        let now = self.connection.platform().clock.now();
        let mut open = lock(&self.open);
        let found = open.get_mut(id)?;
        found.used_at = now;
        Some(Arc::clone(&found.session))
    }

    /// Opens a session for a client that declares URL elicitation.
    async fn initialize(&self, head: &request::Parts, body: &Bytes) -> Option<Response<Body>> {
        memchr::memmem::find(body, b"elicitation")?;
        let message = Message::parse(body).ok()?;
        let opens = head.method == Method::POST && message.is("initialize");
        if !opens || !is_declared_by(&message) {
            return None;
        }
        let Some(id) = random_text() else {
            let why = "the system has no random numbers for a session ID";
            return Some(text_response(StatusCode::INTERNAL_SERVER_ERROR, why));
        };
        let Some(session) = self.open(&id) else {
            let why = "too many sessions are open";
            return Some(text_response(StatusCode::SERVICE_UNAVAILABLE, why));
        };
        let mut response = session.post(message).await;
        if let Ok(id) = HeaderValue::try_from(id) {
            response.headers_mut().insert(SESSION, id);
        }
        Some(response)
    }

    /// Adds a session; none if there are too many.
    fn open(&self, id: &str) -> Option<Arc<HttpSession>> {
        let now = self.connection.platform().clock.now();
        let mut open = lock(&self.open);
        open.retain(|_, one| !one.is_idle(now, IDLE_TIME));
        if open.len() >= MAX_SESSIONS {
            // The one that was used least recently, unless its client is connected.
            let unused = open
                .iter()
                .filter(|(_, one)| one.is_idle(now, Duration::ZERO));
            let oldest = unused.min_by_key(|(_, one)| one.used_at)?.0.clone();
            open.remove(&oldest);
        }
        let (session, lines) = HttpSession::new();
        let session = Arc::new(session);
        let handler = serve(self.connection.clone(), self.settings.clone(), lines);
        let mut handlers = lock(&self.handlers);
        while handlers.try_join_next().is_some() {}
        handlers.spawn(handler);
        let opened = OpenSession {
            session: Arc::clone(&session),
            used_at: now,
        };
        open.insert(id.to_owned(), opened);
        Some(session)
    }
}

impl OpenSession {
    /// Returns whether the client has been gone for `time`.
    fn is_idle(&self, now: SystemTime, time: Duration) -> bool {
        let unused = now.duration_since(self.used_at).unwrap_or_default();
        unused >= time && !self.session.has_streams()
    }
}
