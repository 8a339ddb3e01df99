//! The state of a connection: the active session and the login in progress.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwapOption;
use http::{HeaderMap, header};
use mcp_client_oauth::{
    Authorized, Client, Error, LoginOptions, Session, TokenStore, platform::Platform,
    store::LoginKey,
};
use tokio::{sync::watch, task::AbortHandle};
use url::Url;

use super::{login_state::Login, redact_body::SentTokens, tracked_tokens::TrackedTokens};
use crate::{error::Failure, hints::Subject, ui::Ui};

/// The configuration of a connection.
pub(crate) struct ConnectionConfig {
    pub(crate) platform: Platform,
    pub(crate) store: TokenStore,
    pub(crate) key: LoginKey,
    pub(crate) options: LoginOptions,
    pub(crate) ui: Ui,
    /// Is true if a browser is opened.
    pub(crate) browser: bool,
    pub(crate) no_browser: bool,
    /// The headers of `--header`. If `Authorization` is among them, no token is added.
    pub(crate) headers: HeaderMap,
    /// The server as the user typed it, for hints.
    pub(crate) subject: Subject,
    /// The file that is locked during a login, so that one process at a time logs in.
    pub(crate) lock: Option<PathBuf>,
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
}

/// The session that provides the tokens of the requests.
pub(super) struct ActiveSession {
    pub(super) session: Session,
    pub(super) authorized: Authorized,
    /// For the endpoint URL that a stream of MCP 2024-11-05 names.
    pub(super) at_origin: Authorized,
}

impl ServerConnection {
    /// Opens a connection with the stored login, if there is one. Starts no login.
    pub(crate) async fn open(config: ConnectionConfig) -> Result<Self, Failure> {
        let connection = Self(Arc::new(Inner {
            config,
            active: ArcSwapOption::empty(),
            sent_tokens: SentTokens::default(),
            login: watch::Sender::default(),
            logins: watch::Sender::default(),
            login_task: Mutex::default(),
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
        &self.0.config.platform
    }

    /// Returns whether there is a login, as far as that is known before a request.
    pub(crate) fn has_session(&self) -> bool {
        self.0.active.load().is_some()
    }

    pub(super) fn has_own_authorization(&self) -> bool {
        self.0.config.headers.contains_key(header::AUTHORIZATION)
    }

    pub(super) async fn stored_session(&self) -> Result<Option<Session>, Error> {
        let config = &self.0.config;
        Client::new(config.platform.clone(), config.store.clone())
            .session_with(config.key.server(), &config.options)
            .await
    }

    pub(super) fn use_session(&self, session: Session) {
        let platform = self.platform().clone();
        let source = TrackedTokens::new(session.clone(), self.0.sent_tokens.clone());
        let at_origin = TrackedTokens::at_origin(session.clone(), self.0.sent_tokens.clone());
        let authorized = Authorized::new(platform.clone(), Arc::new(source));
        let at_origin = Authorized::new(platform, Arc::new(at_origin));
        self.0.active.store(Some(Arc::new(ActiveSession {
            session,
            authorized,
            at_origin,
        })));
    }

    /// Aborts a login in progress.
    pub(crate) fn close(&self) {
        let mut work = self
            .0
            .login_task
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(work) = work.take() {
            work.abort();
        }
    }
}
