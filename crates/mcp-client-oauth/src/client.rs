//! The entry point of an application that uses several servers and accounts over one store.

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
    platform::{Interaction, Platform},
    proto::scope::Scope,
    server_url::ServerUrl,
    session::{Session, TokenSource},
    store::{LoginKey, TokenStore},
};

/// A client of any number of servers. It opens the session of each when it is first needed. Cloning shares
/// the sessions.
///
/// ```no_run
/// # async fn run() -> Result<(), mcp_client_oauth::Error> {
/// use mcp_client_oauth::{Client, LoginOptions, TokenStore, platform::Platform};
///
/// let client = Client::new(Platform::system(), TokenStore::memory());
/// let server = "https://mcp.example/mcp".parse().unwrap();
/// client.ensure(&server, &LoginOptions::default()).await?;      // logs in if there is no login yet
/// let header = client.ready_header(&(&server).into());          // no I/O
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    platform: Platform,
    store: TokenStore,
    /// Replaced as a whole, so that a lookup takes no lock.
    open: Arc<ArcSwap<HashMap<LoginKey, Session>>>,
}

/// A session, and whether a login was needed for it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Ensured {
    /// The login existed already and satisfies the options. The user was not involved.
    Reused(Session),
    /// A new login.
    LoggedIn(Session),
}

impl Ensured {
    /// Returns the session.
    pub fn into_session(self) -> Session {
        match self {
            Self::Reused(session) | Self::LoggedIn(session) => session,
        }
    }
}

impl Client {
    /// Uses `platform` and `store` for all sessions.
    pub fn new(platform: Platform, store: TokenStore) -> Self {
        Self {
            platform,
            store,
            open: Arc::default(),
        }
    }

    /// Returns the interfaces to the outside.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// Returns a client over the same store with another interaction with the user. It opens its own
    /// sessions, so it finds the logins of other processes too.
    #[must_use]
    pub fn with_interaction(&self, interaction: Arc<dyn Interaction>) -> Self {
        let platform = self.platform.clone().with_interaction(interaction);
        Self::new(platform, self.store.clone())
    }

    /// Returns the store.
    pub fn store(&self) -> &TokenStore {
        &self.store
    }

    /// Returns the session of `key`, if the store has its login. Never starts a login.
    ///
    /// # Errors
    /// [`Error::TokenStorage`].
    pub async fn session(&self, key: &LoginKey) -> Result<Option<Session>, Error> {
        if let Some(session) = self.opened(key) {
            return Ok(Some(session));
        }
        let (platform, store) = (self.platform.clone(), self.store.clone());
        let session = Session::open(platform, store, key.clone()).await?;
        // A login that has ended in the meantime is newer than the record that was read here.
        Ok(session.map(|session| self.cache(session, false)))
    }

    /// Returns the session of `server`, if the store has its login, with the grant of `options`: a grant with
    /// an assertion needs the source for each new token, and no record holds it. Never starts a login.
    ///
    /// # Errors
    /// [`Error::TokenStorage`].
    pub async fn session_with(
        &self,
        server: &ServerUrl,
        options: &LoginOptions,
    ) -> Result<Option<Session>, Error> {
        let session = self.session(&options.key(server)).await?;
        Ok(session.map(|session| options.apply_grant(session)))
    }

    /// Returns the session of `key`, or an error if the store has no login for it.
    ///
    /// # Errors
    /// [`AuthorizationError::LoginRequired`], [`Error::TokenStorage`].
    pub async fn session_or_error(&self, key: &LoginKey) -> Result<Session, Error> {
        let session = self.session(key).await?;
        Ok(session.ok_or_else(|| AuthorizationError::LoginRequired(key.server().clone()))?)
    }

    /// Returns a session with a valid token that has the scope of `options`: the existing one, refreshed if
    /// necessary, otherwise that of a new login.
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

    /// Does the same as [`ensure`](Self::ensure), and returns whether the login existed already.
    ///
    /// # Errors
    /// As [`login`].
    pub async fn ensure_or_reuse(
        &self,
        server: &ServerUrl,
        options: &LoginOptions,
    ) -> Result<Ensured, Error> {
        let existing = self.session(&options.key(server)).await?;
        let Some(session) = existing.filter(|_| !options.force) else {
            return self.login(server, options).await.map(Ensured::LoggedIn);
        };
        if !is_insufficient(&session, options) {
            let session = options.apply_grant(session.clone());
            match session.token().await {
                Ok(_) => return Ok(Ensured::Reused(session)),
                Err(error) if error.remedy() == Remedy::LogIn => {}
                Err(error) => return Err(error),
            }
        }
        // A new login also requests the scope that was requested or granted before (MCP authorization,
        // Step-Up Authorization Flow).
        let mut options = options.clone();
        options.scope = Scope::union_of(
            options.scope.as_ref(),
            session.record().known_scope().as_ref(),
        );
        self.login(server, &options).await.map(Ensured::LoggedIn)
    }

    /// Logs in, also if there is a login already.
    ///
    /// # Errors
    /// As [`login`](crate::login()).
    pub async fn login(
        &self,
        server: &ServerUrl,
        options: &LoginOptions,
    ) -> Result<Session, Error> {
        let session = login(&self.platform, &self.store, server, options).await?;
        Ok(self.cache(session, true))
    }

    /// Returns the `Authorization` header of `key`, if its session is open and has a valid token. No I/O.
    pub fn ready_header(&self, key: &LoginKey) -> Option<HeaderValue> {
        self.opened(key)?.ready_header()
    }

    /// Returns `extra` and an `Authorization` header with a valid token. An `Authorization` header in
    /// `extra` is replaced in the result. A token that is bound to a key needs a proof for each request
    /// too: [`request`](Self::request) sends both.
    ///
    /// # Errors
    /// [`AuthorizationError::LoginRequired`], or the error of a refresh.
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

    /// Removes the tokens of `key` and revokes them at the server.
    ///
    /// # Errors
    /// As [`logout`](crate::logout()).
    pub async fn logout(&self, key: &LoginKey) -> Result<Logout, Error> {
        let outcome = logout(&self.platform, &self.store, key).await;
        // Afterwards, so that no other task opens the session again from the record before it is removed.
        self.close(key);
        outcome
    }

    /// Removes the tokens of `key` from the store without revoking them. Returns whether there were any.
    ///
    /// # Errors
    /// [`Error::TokenStorage`].
    pub async fn remove(&self, key: &LoginKey) -> Result<bool, Error> {
        let outcome = self.store.remove(key).await;
        self.close(key);
        Ok(outcome?)
    }

    /// Returns the keys of all logins in the store.
    ///
    /// # Errors
    /// [`Error::TokenStorage`].
    pub async fn keys(&self) -> Result<Vec<LoginKey>, Error> {
        Ok(self.store.keys().await?)
    }

    fn opened(&self, key: &LoginKey) -> Option<Session> {
        self.open.load().get(key).cloned()
    }

    /// Caches `session` for the next call, unless another one is cached and `replace` is false. Returns the
    /// cached one.
    fn cache(&self, session: Session, replace: bool) -> Session {
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

/// Returns whether `session` does not satisfy `options`: they need a scope that was not requested yet, the
/// other kind of token, another client, other quirks or another grant.
fn is_insufficient(session: &Session, options: &LoginOptions) -> bool {
    let record = session.record();
    let missing = match (&options.scope, record.known_scope()) {
        (Some(requested), Some(known)) => requested.missing_from(&known).is_some(),
        (Some(_), None) => true,
        (None, _) => false,
    };
    let preregistered = options.identity.preregistered.as_ref();
    let bound = record.dpop.is_some();
    let is_other_kind = match options.dpop {
        DpopPolicy::Auto => false,
        DpopPolicy::Always => !bound,
        DpopPolicy::Never => bound,
    };
    let quirks = &options.discovery.quirks;
    let discovery = &record.discovery;
    let has_other_quirks =
        !quirks.is_empty() && discovery.clone().with_quirks(quirks).quirks != discovery.quirks;
    missing
        || is_other_kind
        || has_other_quirks
        || preregistered.is_some_and(|client| record.identity.client_id() != client.client_id)
        || options.non_interactive.as_ref().is_some_and(|grant| {
            let recorded = record.non_interactive.as_ref().map(RecordedGrant::name);
            recorded != Some(grant.name()) || session.has_other_grant(grant)
        })
}
