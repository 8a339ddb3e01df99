//! The front door for an application that talks to several servers over one store.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue, Method, header};
use url::Url;

use crate::{
    authorized::{Authorized, AuthorizedRequest},
    error::{AuthorizationError, Error, Remedy},
    login::{DpopPolicy, LoginOptions, login},
    logout::{Logout, logout},
    non_interactive::RecordedGrant,
    platform::Platform,
    proto::scope::Scope,
    server_url::ServerUrl,
    session::{Session, TokenSource},
    store::{LoginKey, TokenStore},
};

/// Client with any number of servers, opened when they are first needed. Cloning shares them.
///
/// ```no_run
/// # async fn run() -> Result<(), mcp_client_oauth::Error> {
/// use mcp_client_oauth::{LoginOptions, Client, TokenStore, platform::Platform};
///
/// let sessions = Client::new(Platform::system(), TokenStore::memory());
/// let server = "https://mcp.example/mcp".parse().unwrap();
/// sessions.ensure(&server, &LoginOptions::default()).await?;      // a login, if need be
/// let header = sessions.ready_header(&(&server).into());          // no I/O from now on
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    platform: Platform,
    store: TokenStore,
    /// Replaced as a whole, so that finding a session takes no lock.
    open: Arc<ArcSwap<HashMap<LoginKey, Session>>>,
}

/// A session, and whether a login was needed for it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Ensured {
    /// The login existed already and does what was requested. The user was not asked.
    Reused(Session),
    /// A new login.
    LoggedIn(Session),
}

impl Ensured {
    /// Returns the session of either.
    pub fn into_session(self) -> Session {
        match self {
            Self::Reused(session) | Self::LoggedIn(session) => session,
        }
    }
}

impl Client {
    /// Over one platform and one store.
    pub fn new(platform: Platform, store: TokenStore) -> Self {
        Self {
            platform,
            store,
            open: Arc::default(),
        }
    }

    /// Returns the store.
    pub fn store(&self) -> &TokenStore {
        &self.store
    }

    /// Returns the session of `key`, if somebody has logged in. Nobody is asked.
    ///
    /// # Errors
    /// [`Error::TokenStorage`].
    pub async fn session(&self, key: &LoginKey) -> Result<Option<Session>, Error> {
        if let Some(session) = self.opened(key) {
            return Ok(Some(session));
        }
        let (platform, store) = (self.platform.clone(), self.store.clone());
        let session = Session::open(platform, store, key.clone()).await?;
        // Who logged in meanwhile knows better than what was read before that.
        Ok(session.map(|session| self.remember(session, false)))
    }

    /// Returns the session of `server`, if its user has logged in, with the grant of `options`: a login
    /// by an assertion needs its source for each new token, and no record holds it. Nobody is asked.
    ///
    /// # Errors
    /// [`Error::TokenStorage`].
    pub async fn session_with(
        &self,
        server: &ServerUrl,
        options: &LoginOptions,
    ) -> Result<Option<Session>, Error> {
        let session = self.session(&options.key(server)).await?;
        Ok(session.map(|session| options.give_grant(session)))
    }

    /// Returns the session of `key`, or an error that says to log in.
    ///
    /// # Errors
    /// [`AuthorizationError::LoginRequired`], [`Error::TokenStorage`].
    pub async fn session_or_error(&self, key: &LoginKey) -> Result<Session, Error> {
        let session = self.session(key).await?;
        Ok(session.ok_or_else(|| AuthorizationError::LoginRequired(key.server().clone()))?)
    }

    /// Returns a session whose token is good now and has the scope that `options` ask for: the one that is
    /// there, refreshed if need be, else that of a new login.
    ///
    /// # Errors
    /// As [`login`].
    pub async fn ensure(
        &self,
        server: &ServerUrl,
        options: &LoginOptions,
    ) -> Result<Session, Error> {
        let ensured = self.ensure_or_reuse(server, options).await?;
        Ok(ensured.into_session())
    }

    /// Does the same as [`ensure`](Self::ensure), and tells whether the login existed already.
    ///
    /// # Errors
    /// As [`login`].
    pub async fn ensure_or_reuse(
        &self,
        server: &ServerUrl,
        options: &LoginOptions,
    ) -> Result<Ensured, Error> {
        let existing = self.session(&options.key(server)).await?;
        let Some(session) = existing.filter(|_| !options.afresh) else {
            return self.login(server, options).await.map(Ensured::LoggedIn);
        };
        if !lacks(&session, options) {
            let session = options.give_grant(session.clone());
            match session.token().await {
                Ok(_) => return Ok(Ensured::Reused(session)),
                Err(error) if error.remedy() == Remedy::LogIn => {}
                Err(error) => return Err(error),
            }
        }
        // Nothing that was asked for or granted before gets lost (spec-checklist G4).
        let mut options = options.clone();
        options.scope = Scope::union_of(
            options.scope.as_ref(),
            session.record().known_scope().as_ref(),
        );
        self.login(server, &options).await.map(Ensured::LoggedIn)
    }

    /// Logs in, whatever is there already.
    ///
    /// # Errors
    /// As [`login`](crate::login()).
    pub async fn login(
        &self,
        server: &ServerUrl,
        options: &LoginOptions,
    ) -> Result<Session, Error> {
        let session = login(&self.platform, &self.store, server, options).await?;
        Ok(self.remember(session, true))
    }

    /// Returns the `Authorization` header of `key`, if a good token is at hand: no I/O.
    pub fn ready_header(&self, key: &LoginKey) -> Option<HeaderValue> {
        self.opened(key)?.ready_header()
    }

    /// `extra` headers and the `Authorization` header, with a token that is good now. The caller's
    /// map is not changed; an `Authorization` in it is replaced in the copy. With a token that is
    /// bound to a key each request needs a proof besides: [`request`](Self::request) sends both.
    ///
    /// # Errors
    /// [`AuthorizationError::LoginRequired`], or what a refresh says.
    pub async fn headers(&self, key: &LoginKey, extra: &HeaderMap) -> Result<HeaderMap, Error> {
        let mut headers = extra.clone();
        let authorization = self.session_or_error(key).await?.header().await?;
        headers.insert(header::AUTHORIZATION, authorization);
        Ok(headers)
    }

    /// Returns a request with the token of `key`.
    ///
    /// # Errors
    /// [`AuthorizationError::LoginRequired`], [`Error::TokenStorage`].
    pub async fn request(
        &self,
        key: &LoginKey,
        method: Method,
        url: Url,
    ) -> Result<AuthorizedRequest, Error> {
        let session = self.session_or_error(key).await?;
        Ok(Authorized::new(self.platform.clone(), Arc::new(session)).request(method, url))
    }

    /// Forgets the tokens of `key` and tells the server.
    ///
    /// # Errors
    /// As [`logout`](crate::logout()).
    pub async fn logout(&self, key: &LoginKey) -> Result<Logout, Error> {
        let outcome = logout(&self.platform, &self.store, key).await;
        // Afterwards, so that nobody opens it again from what is about to go.
        self.close(key);
        outcome
    }

    /// Forgets the tokens of `key` here, and tells nobody. Whether there were any.
    ///
    /// # Errors
    /// [`Error::TokenStorage`].
    pub async fn remove(&self, key: &LoginKey) -> Result<bool, Error> {
        let outcome = self.store.forget(key).await;
        self.close(key);
        Ok(outcome?)
    }

    /// TargetArgs tokens the store has.
    ///
    /// # Errors
    /// [`Error::TokenStorage`].
    pub async fn keys(&self) -> Result<Vec<LoginKey>, Error> {
        Ok(self.store.keys().await?)
    }

    fn opened(&self, key: &LoginKey) -> Option<Session> {
        self.open.load().get(key).cloned()
    }

    /// Keeps `session` for the next call, unless another is kept that it must not replace. The one
    /// that is kept is the result.
    fn remember(&self, session: Session, replace: bool) -> Session {
        let key = session.key().clone();
        self.open.rcu(|open| {
            let mut open = HashMap::clone(open);
            if replace || !open.contains_key(&key) {
                open.insert(key.clone(), session.clone());
            }
            open
        });
        self.opened(&key).unwrap_or(session)
    }

    fn close(&self, key: &LoginKey) {
        self.open.rcu(|open| {
            let mut open = HashMap::clone(open);
            open.remove(key);
            open
        });
    }
}

/// Returns whether the caller wants a scope that was not even asked for yet, tokens of another kind, to be
/// another client, or to go another way.
fn lacks(session: &Session, options: &LoginOptions) -> bool {
    let record = session.record();
    let missing = match (&options.scope, record.known_scope()) {
        (Some(wanted), Some(known)) => wanted.missing_from(&known).is_some(),
        (Some(_), None) => true,
        (None, _) => false,
    };
    let wanted = options.identity.preregistered.as_ref();
    let bound = record.dpop.is_some();
    let otherwise = match options.dpop {
        DpopPolicy::Auto => false,
        DpopPolicy::Always => !bound,
        DpopPolicy::Never => bound,
    };
    let quirks = &options.discovery.quirks;
    let discovery = &record.discovery;
    let is_treated_otherwise =
        !quirks.is_empty() && discovery.clone().with_quirks(quirks).quirks != discovery.quirks;
    missing
        || otherwise
        || is_treated_otherwise
        || wanted.is_some_and(|client| record.identity.client_id() != client.client_id)
        || options.machine.as_ref().is_some_and(|machine| {
            let recorded = record.machine.as_ref().map(RecordedGrant::name);
            recorded != Some(machine.name()) || session.has_other_grant(machine)
        })
}
