//! What a connection holds: the tokens that requests go out with, and the login in progress.

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

use super::{login_state::Login, redact_body::SentTokens, tracked_tokens::Source};
use crate::{error::Failure, hints::Subject, ui::Ui};

/// Holds what the door needs to know.
pub(crate) struct ConnectionConfig {
    pub(crate) platform: Platform,
    pub(crate) store: TokenStore,
    pub(crate) key: LoginKey,
    pub(crate) options: LoginOptions,
    pub(crate) ui: Ui,
    /// Says whether a browser is opened, and whether that is all that may be asked of the person.
    pub(crate) browser: bool,
    pub(crate) no_browser: bool,
    /// The person's own headers. With an `Authorization` among them the token is none of ours.
    pub(crate) headers: HeaderMap,
    /// Holds what was typed, for hints.
    pub(crate) subject: Subject,
    /// The file that is locked while somebody logs in there.
    pub(crate) lock: Option<PathBuf>,
}

/// The way to the server. Cloning shares it.
#[derive(Clone)]
pub(crate) struct ServerConnection(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) terms: ConnectionConfig,
    pub(super) pass: ArcSwapOption<ActiveSession>,
    pub(super) shown: SentTokens,
    pub(super) login: watch::Sender<Login>,
    /// Says how many logins have brought a token.
    pub(super) logins: watch::Sender<u64>,
    pub(super) work: Mutex<Option<AbortHandle>>,
}

/// The tokens that requests go out with.
pub(super) struct ActiveSession {
    pub(super) session: Session,
    pub(super) authorized: Authorized,
    /// For the place that a stream of 2024-11-05 names.
    pub(super) at_origin: Authorized,
}

impl ServerConnection {
    /// Opens with what the store has, if anything. Nobody is asked.
    pub(crate) async fn open(terms: ConnectionConfig) -> Result<Self, Failure> {
        let connection = Self(Arc::new(Inner {
            terms,
            pass: ArcSwapOption::empty(),
            shown: SentTokens::default(),
            login: watch::Sender::default(),
            logins: watch::Sender::default(),
            work: Mutex::default(),
        }));
        if !connection.has_own_authorization() {
            let found = connection.stored().await?;
            if let Some(session) = found {
                connection.go_on_with(session);
            }
        }
        Ok(connection)
    }

    pub(crate) fn url(&self) -> &Url {
        self.0.terms.key.server().as_url()
    }

    pub(crate) fn platform(&self) -> &Platform {
        &self.0.terms.platform
    }

    /// Returns whether somebody is logged in, as far as that is known before the server is asked.
    pub(crate) fn has_session(&self) -> bool {
        self.0.pass.load().is_some()
    }

    pub(super) fn has_own_authorization(&self) -> bool {
        self.0.terms.headers.contains_key(header::AUTHORIZATION)
    }

    pub(super) async fn stored(&self) -> Result<Option<Session>, Error> {
        let terms = &self.0.terms;
        Client::new(terms.platform.clone(), terms.store.clone())
            .session_with(terms.key.server(), &terms.options)
            .await
    }

    pub(super) fn go_on_with(&self, session: Session) {
        let platform = self.platform().clone();
        let source = Source::new(session.clone(), self.0.shown.clone());
        let at_origin = Source::at_origin(session.clone(), self.0.shown.clone());
        let authorized = Authorized::new(platform.clone(), Arc::new(source));
        let at_origin = Authorized::new(platform, Arc::new(at_origin));
        self.0.pass.store(Some(Arc::new(ActiveSession {
            session,
            authorized,
            at_origin,
        })));
    }

    /// Gives up a login that is under way.
    pub(crate) fn close(&self) {
        let mut work = self.0.work.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(work) = work.take() {
            work.abort();
        }
    }
}
