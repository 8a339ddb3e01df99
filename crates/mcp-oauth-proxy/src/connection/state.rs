//! The state of a connection: the active session and the login in progress.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use arc_swap::ArcSwapOption;
use http::{HeaderMap, header};
use mcp_client_oauth::{
    Client, Error, Session,
    platform::{Interaction, Platform},
    store::LoginKey,
};
use mcp_oauth_support::mutex::lock;
use tokio::{sync::watch, task::AbortHandle};
use url::Url;

use super::{login_state::Login, redact_body::SentTokens, tracked_tokens::TrackedTokens};
use crate::{host::Host, login_files::LoginFiles, random::random_text};

/// The configuration of a connection.
pub(crate) struct ConnectionConfig {
    pub(crate) client: Client,
    pub(crate) key: LoginKey,
    pub(crate) host: Arc<dyn Host>,
    /// The headers of the host. If `Authorization` is among them, no token is added.
    pub(crate) headers: HeaderMap,
    /// The files with the lock of a login, so that one process at a time logs in.
    pub(crate) files: Option<LoginFiles>,
}

/// A connection to the server. Clones share their state.
#[derive(Clone)]
pub(crate) struct ServerConnection(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) config: ConnectionConfig,
    pub(super) active: ArcSwapOption<ActiveSession>,
    pub(super) sent_tokens: SentTokens,
    pub(super) login: watch::Sender<Login>,
    /// The number of completed logins.
    pub(super) logins: watch::Sender<u64>,
    pub(super) login_task: Mutex<Option<AbortHandle>>,
    /// Is true if the client opens the URL of a login, after a request that needs it.
    opens_by_client: AtomicBool,
    /// Begins the state of a call that this proxy lets its client retry; empty without randomness.
    instance: String,
}

/// The session that provides the tokens of the requests.
pub(super) struct ActiveSession {
    pub(super) session: Session,
    pub(super) tokens: TrackedTokens,
    /// For the endpoint URL that a stream of MCP 2024-11-05 names.
    pub(super) at_origin: TrackedTokens,
}

impl ServerConnection {
    /// Opens a connection with the stored login, if there is one. Starts no login.
    pub(crate) async fn open(config: ConnectionConfig) -> Result<Self, Error> {
        let connection = Self(Arc::new(Inner {
            config,
            active: ArcSwapOption::empty(),
            sent_tokens: SentTokens::default(),
            login: watch::Sender::default(),
            logins: watch::Sender::default(),
            login_task: Mutex::default(),
            opens_by_client: AtomicBool::default(),
            instance: random_text().unwrap_or_default(),
        }));
        if !connection.has_own_authorization() {
            let found = connection.stored_session().await?;
            if let Some(session) = found {
                connection.use_session(session);
            }
        }
        Ok(connection)
    }

    pub(crate) fn url(&self) -> &Url {
        self.0.config.key.server().as_url()
    }

    pub(crate) fn platform(&self) -> &Platform {
        self.0.config.client.platform()
    }

    pub(crate) fn host(&self) -> &dyn Host {
        &*self.0.config.host
    }

    /// Returns a client with its own sessions, so that it reads the store.
    pub(super) fn client_with(&self, interaction: Arc<dyn Interaction>) -> Client {
        self.0.config.client.with_interaction(interaction)
    }

    /// Returns whether there is a login, as far as that is known before a request.
    pub(crate) fn has_session(&self) -> bool {
        self.0.active.load().is_some()
    }

    /// Sets whether the client opens the URL of a login. Then a login waits until a request needs it.
    pub(crate) fn set_opens_by_client(&self, opens: bool) {
        self.0.opens_by_client.store(opens, Ordering::Relaxed);
    }

    pub(super) fn opens_by_client(&self) -> bool {
        self.0.opens_by_client.load(Ordering::Relaxed)
    }

    /// Returns the random text that begins the state of a call that this proxy lets its client retry.
    pub(crate) fn instance(&self) -> &str {
        &self.0.instance
    }

    pub(super) fn has_own_authorization(&self) -> bool {
        self.0.config.headers.contains_key(header::AUTHORIZATION)
    }

    pub(super) async fn stored_session(&self) -> Result<Option<Session>, Error> {
        let client = self.client_with(Arc::clone(&self.platform().interaction));
        let key = &self.0.config.key;
        self.host().stored_session(&client, key).await
    }

    pub(super) fn use_session(&self, session: Session) {
        let tokens = TrackedTokens::new(session.clone(), self.0.sent_tokens.clone());
        let at_origin = TrackedTokens::at_origin(session.clone(), self.0.sent_tokens.clone());
        self.0.active.store(Some(Arc::new(ActiveSession {
            session,
            tokens,
            at_origin,
        })));
    }

    /// Aborts a login in progress, and closes its page.
    pub(crate) fn close(&self) {
        if let Some(work) = lock(&self.0.login_task).take() {
            work.abort();
        }
        self.0.login.send_modify(|login| login.page = None);
    }

    /// Returns a value that aborts a login in progress when it is dropped, for whatever reason.
    pub(crate) fn close_on_drop(&self) -> CloseOnDrop {
        CloseOnDrop(self.clone())
    }
}

/// Aborts a login in progress when it is dropped.
#[must_use = "it aborts the login when it is dropped"]
pub(crate) struct CloseOnDrop(ServerConnection);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}
