//! A token source that may involve the user: it logs in when a [`StoredSession`] cannot get a token.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::{
    dpop::ProofGenerator,
    error::{AuthorizationError, Error, Remedy},
    login::{DpopPolicy, LoginOptions, log_in},
    platform::{AddressSpace, Platform},
    proto::{
        challenge::Challenge,
        resource_metadata::Resource,
        scope::Scope,
        token::{AccessToken, AuthScheme},
    },
    server_url::ServerUrl,
    store::{LoginKey, TokenStore},
    stored_session::StoredSession,
    token_source::TokenSource,
};

/// The number of logins for the same wider scope (MCP authorization, Step-Up Authorization Flow: "no more
/// than a few times").
const MAX_STEP_UPS: usize = 2;

/// Provides one server's tokens, and logs in when that is necessary. Cloning shares it.
///
/// A login starts when there is no token, when the issuer finally refuses a refresh, when the server starts
/// to require tokens that are bound to a key, and when it requires a wider scope. The login then requests
/// the union of the scope that was requested before and the one of the challenge (MCP authorization, Step-Up
/// Authorization Flow). If several callers need a login at once, one logs in and the others share its
/// outcome, also if it fails: the user is involved once.
#[derive(Clone)]
pub(crate) struct InteractiveSession(Arc<Inner>);

struct Inner {
    platform: Platform,
    store: TokenStore,
    server: ServerUrl,
    options: LoginOptions,
    session: ArcSwapOption<StoredSession>,
    /// Locked during a login.
    login_state: Mutex<LoginState>,
    /// The number of logins that have ended.
    logins: AtomicU64,
}

/// Holds the outcomes of earlier logins.
#[derive(Default)]
struct LoginState {
    /// The number of logins for each wider scope.
    step_ups: HashMap<Option<Scope>, usize>,
    /// The number and the error of the last login, if it failed.
    failure: Option<(u64, Error)>,
}

impl InteractiveSession {
    /// Creates a session from the `stored` login, if there is one. Starts no login before a token is needed.
    pub(crate) fn new(
        platform: Platform,
        store: TokenStore,
        server: ServerUrl,
        options: LoginOptions,
        stored: Option<StoredSession>,
    ) -> Self {
        Self(Arc::new(Inner {
            platform,
            store,
            server,
            options,
            session: ArcSwapOption::from(stored.map(Arc::new)),
            login_state: Mutex::default(),
            logins: AtomicU64::new(0),
        }))
    }

    /// Returns the server and the account.
    pub(crate) fn key(&self) -> LoginKey {
        self.0.options.key(&self.0.server)
    }

    /// Returns the session, or none before the first login.
    pub(crate) fn session(&self) -> Option<StoredSession> {
        self.0.session.load().as_deref().cloned()
    }
}

impl Inner {
    /// Logs in, unless another caller did so while this one waited for the lock: then returns the token or
    /// the error of that login.
    async fn request_login(
        &self,
        refused: Option<&AccessToken>,
        challenge: Option<&Challenge>,
    ) -> Result<AccessToken, Error> {
        let seen = self.logins.load(Ordering::Acquire);
        let mut login_state = self.login_state.lock().await;
        if let Some(session) = &*self.session.load()
            && let Some(token) = session
                .cached_token()
                .filter(|token| Some(token) != refused)
        {
            return Ok(token);
        }
        if let Some((_, failure)) = login_state
            .failure
            .as_ref()
            .filter(|(number, _)| *number > seen)
        {
            return Err(failure.clone());
        }
        if let Some(token) = self.stored_by_another_process(refused, challenge).await? {
            return Ok(token);
        }
        let outcome = self.log_in(&mut login_state, challenge).await;
        let number = self.logins.fetch_add(1, Ordering::AcqRel) + 1;
        login_state.failure = outcome.as_ref().err().map(|error| (number, error.clone()));
        outcome
    }

    /// Returns the token that another process has stored in the meantime, if it has the required scope.
    async fn stored_by_another_process(
        &self,
        refused: Option<&AccessToken>,
        challenge: Option<&Challenge>,
    ) -> Result<Option<AccessToken>, Error> {
        let key = self.options.key(&self.server);
        let stored = StoredSession::open(self.platform.clone(), self.store.clone(), key).await?;
        let Some(session) = stored.map(|session| self.options.apply_grant(session)) else {
            return Ok(None);
        };
        let token = session
            .cached_token()
            .filter(|token| Some(token) != refused);
        let required = challenge.and_then(|challenge| challenge.scope.as_ref());
        let known = session.record().known_scope();
        let is_missing = |scope: &Scope| {
            known
                .as_ref()
                .is_none_or(|known| scope.missing_from(known).is_some())
        };
        let narrow = required.is_some_and(is_missing);
        if token.is_some() && !narrow {
            self.session.store(Some(Arc::new(session)));
            return Ok(token);
        }
        Ok(None)
    }

    async fn log_in(
        &self,
        login_state: &mut LoginState,
        challenge: Option<&Challenge>,
    ) -> Result<AccessToken, Error> {
        let mut options = self.options.clone();
        // The challenge in the options belongs to the first login only.
        let first = options.discovery.challenge.take();
        let first = first.filter(|_| self.session.load().is_none());
        options.discovery.challenge = challenge.cloned().or(first);
        let step_up = challenge.filter(|challenge| challenge.is_insufficient_scope());
        options.scope = match step_up {
            Some(challenge) => Some(self.scope_for_step_up(login_state, challenge)?),
            // A new login requests the scope of the last one too (MCP authorization, Step-Up
            // Authorization Flow).
            None => Scope::union_of(options.scope.as_ref(), self.known_scope().as_ref()),
        };
        let session = log_in(&self.platform, &self.store, &self.server, &options);
        let session = Box::pin(session).await?;
        let token = session.token().await?;
        if session.missing_scope().is_none() {
            login_state.step_ups.remove(&options.scope);
        }
        self.session.store(Some(Arc::new(session)));
        Ok(token)
    }

    /// Returns whether the server requires tokens that are bound to a key, and refused a bearer token: a
    /// refresh would only return another bearer token, so a login is needed.
    fn requires_other_kind(&self, refused: &AccessToken, challenge: &Challenge) -> bool {
        challenge.requires_dpop
            && refused.scheme() == AuthScheme::Bearer
            && self.options.dpop != DpopPolicy::Never
    }

    fn known_scope(&self) -> Option<Scope> {
        self.session
            .load()
            .as_ref()
            .and_then(|session| session.record().known_scope())
    }

    /// Returns the scope of the next login.
    ///
    /// # Errors
    /// [`AuthorizationError::ScopeNotGranted`] if earlier logins for this scope did not help, or it is no
    /// wider than the known one (MCP authorization, Step-Up Authorization Flow);
    /// [`AuthorizationError::LoginRequired`] if no scope is known at all.
    fn scope_for_step_up(
        &self,
        login_state: &mut LoginState,
        challenge: &Challenge,
    ) -> Result<Scope, Error> {
        let before = self.known_scope();
        let requested = Scope::union_of(before.as_ref(), challenge.scope.as_ref());
        let tries = login_state.step_ups.entry(requested.clone()).or_default();
        *tries += 1;
        match requested {
            Some(scope) if *tries <= MAX_STEP_UPS && before.as_ref() != Some(&scope) => Ok(scope),
            Some(scope) => {
                let server = self.server.clone();
                Err(AuthorizationError::ScopeNotGranted { server, scope }.into())
            }
            None => Err(AuthorizationError::LoginRequired(self.server.clone()).into()),
        }
    }
}

#[async_trait]
impl TokenSource for InteractiveSession {
    fn resource(&self) -> Option<Resource> {
        self.0
            .session
            .load()
            .as_ref()
            .and_then(|session| TokenSource::resource(&**session))
    }

    fn server(&self) -> &ServerUrl {
        &self.0.server
    }

    fn address_space(&self) -> AddressSpace {
        self.0.platform.address_space_for(&self.0.server)
    }

    fn cached_token(&self) -> Option<AccessToken> {
        self.0
            .session
            .load()
            .as_ref()
            .and_then(|session| TokenSource::cached_token(&**session))
    }

    fn mcp_extension(&self) -> Option<&'static str> {
        match &*self.0.session.load() {
            Some(session) => session.mcp_extension(),
            None => self.0.options.grant.extension(),
        }
    }

    fn proof_generator(&self) -> Option<Arc<ProofGenerator>> {
        let session = self.0.session.load();
        session
            .as_ref()
            .and_then(|session| TokenSource::proof_generator(&**session))
    }

    async fn token(&self) -> Result<AccessToken, Error> {
        let Some(session) = self.session() else {
            return self.0.request_login(None, None).await;
        };
        match session.token().await {
            Err(error) if error.remedy() == Remedy::LogIn => self.0.request_login(None, None).await,
            outcome => outcome,
        }
    }

    async fn refresh_after_rejection(
        &self,
        refused: &AccessToken,
        challenge: &Challenge,
    ) -> Result<AccessToken, Error> {
        let session = self
            .session()
            .filter(|_| !self.0.requires_other_kind(refused, challenge));
        let Some(session) = session else {
            return self.0.request_login(Some(refused), Some(challenge)).await;
        };
        match session.refresh_after_rejection(refused, challenge).await {
            Err(error) if error.remedy() == Remedy::LogIn => {
                self.0.request_login(Some(refused), Some(challenge)).await
            }
            outcome => outcome,
        }
    }
}

impl std::fmt::Debug for InteractiveSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InteractiveSession")
            .field("server", &self.0.server)
            .finish_non_exhaustive()
    }
}
