//! A token source that may ask the person: it logs in where a [`Session`] alone cannot go on.

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
    login::{DpopPolicy, LoginOptions, login},
    platform::Platform,
    proto::{
        challenge::Challenge,
        resource_metadata::Resource,
        scope::Scope,
        token::{AccessToken, AuthScheme},
    },
    server_url::ServerUrl,
    session::{Session, TokenSource},
    store::TokenStore,
};

/// Says how often a login is tried for the same wider scope (spec-checklist G6, H71).
const UPGRADES: usize = 2;

/// One server's tokens, with a person at hand. Cloning shares it.
///
/// A login begins when there is no token, when a refresh is refused for good, when the server begins
/// to want tokens that are bound to a key, and when it asks for a wider scope: then for the union of what was asked before and what is asked now
/// (spec-checklist G4). Of many callers who find that out at once, one logs in, and the others
/// share what it brings, also if it brings nothing: the person is asked once.
#[derive(Clone)]
pub struct InteractiveSession(Arc<Inner>);

struct Inner {
    platform: Platform,
    store: TokenStore,
    server: ServerUrl,
    options: LoginOptions,
    session: ArcSwapOption<Session>,
    /// Held while the person is asked.
    desk: Mutex<LoginState>,
    /// Says how many logins have ended.
    logins: AtomicU64,
}

/// Holds what the person has been asked for before.
#[derive(Default)]
struct LoginState {
    upgrades: HashMap<Option<Scope>, usize>,
    /// The last login that failed, by its number.
    failure: Option<(u64, Error)>,
}

impl InteractiveSession {
    /// Starts with what the store has, if anything. Nobody is asked before a token is needed.
    ///
    /// # Errors
    /// [`Error::TokenStorage`].
    pub async fn open(
        platform: Platform,
        store: TokenStore,
        server: ServerUrl,
        options: LoginOptions,
    ) -> Result<Self, Error> {
        let key = options.key(&server);
        let session = Session::open(platform.clone(), store.clone(), key).await?;
        let session = session.map(|session| options.give_grant(session));
        Ok(Self(Arc::new(Inner {
            platform,
            store,
            server,
            options,
            session: ArcSwapOption::from(session.map(Arc::new)),
            desk: Mutex::default(),
            logins: AtomicU64::new(0),
        })))
    }

    /// Returns the session, once somebody has logged in.
    pub fn session(&self) -> Option<Session> {
        self.0.session.load().as_deref().cloned()
    }
}

impl Inner {
    /// Asks the person, unless somebody else did while we waited for our turn: then the token in
    /// `session` is no longer the one that was found wanting, or the failure is ours too.
    async fn ask(
        &self,
        refused: Option<&AccessToken>,
        challenge: Option<&Challenge>,
    ) -> Result<AccessToken, Error> {
        let seen = self.logins.load(Ordering::Acquire);
        let mut desk = self.desk.lock().await;
        if let Some(session) = &*self.session.load()
            && let Some(token) = session
                .cached_token()
                .filter(|token| Some(token) != refused)
        {
            return Ok(token);
        }
        if let Some((_, failure)) = desk.failure.as_ref().filter(|(number, _)| *number > seen) {
            return Err(failure.clone());
        }
        if let Some(token) = self.found_elsewhere(refused, challenge).await? {
            return Ok(token);
        }
        let outcome = self.log_in(&mut desk, challenge).await;
        let number = self.logins.fetch_add(1, Ordering::AcqRel) + 1;
        desk.failure = outcome.as_ref().err().map(|error| (number, error.clone()));
        outcome
    }

    /// Returns what another process has brought to the store since we looked, if it is good enough.
    async fn found_elsewhere(
        &self,
        refused: Option<&AccessToken>,
        challenge: Option<&Challenge>,
    ) -> Result<Option<AccessToken>, Error> {
        let key = self.options.key(&self.server);
        let stored = Session::open(self.platform.clone(), self.store.clone(), key).await?;
        let Some(session) = stored.map(|session| self.options.give_grant(session)) else {
            return Ok(None);
        };
        let token = session
            .cached_token()
            .filter(|token| Some(token) != refused);
        let wanted = challenge.and_then(|challenge| challenge.scope.as_ref());
        let known = session.record().known_scope();
        let narrow = wanted
            .is_some_and(|wanted| known.is_none_or(|known| wanted.missing_from(&known).is_some()));
        if token.is_some() && !narrow {
            self.session.store(Some(Arc::new(session)));
            return Ok(token);
        }
        Ok(None)
    }

    async fn log_in(
        &self,
        desk: &mut LoginState,
        challenge: Option<&Challenge>,
    ) -> Result<AccessToken, Error> {
        let mut options = self.options.clone();
        // The caller's own challenge is what made the first login necessary, and no later one.
        let first = options.discovery.challenge.take();
        let first = first.filter(|_| self.session.load().is_none());
        options.discovery.challenge = challenge.cloned().or(first);
        let upgrade = challenge.filter(|challenge| challenge.is_insufficient_scope());
        options.scope = match upgrade {
            Some(challenge) => Some(self.upgrade(desk, challenge)?),
            // A new login asks for no less than the last one did (spec-checklist G4).
            None => Scope::union_of(options.scope.as_ref(), self.known_scope().as_ref()),
        };
        let session = login(&self.platform, &self.store, &self.server, &options).await?;
        let token = session.token().await?;
        if session.missing_scope().is_none() {
            desk.upgrades.remove(&options.scope);
        }
        self.session.store(Some(Arc::new(session)));
        Ok(token)
    }

    /// Returns whether the server has begun to want tokens that are bound to a key: a refresh would bring
    /// one more that is not.
    fn is_of_no_use(&self, refused: &AccessToken, challenge: &Challenge) -> bool {
        challenge.demands_dpop
            && refused.scheme() == AuthScheme::Bearer
            && self.options.dpop != DpopPolicy::Never
    }

    fn known_scope(&self) -> Option<Scope> {
        self.session
            .load()
            .as_ref()
            .and_then(|session| session.record().known_scope())
    }

    /// Returns the scope to ask for next; an error if asking has not helped before (H71, H72).
    fn upgrade(&self, desk: &mut LoginState, challenge: &Challenge) -> Result<Scope, Error> {
        let before = self.known_scope();
        let wanted = Scope::union_of(before.as_ref(), challenge.scope.as_ref());
        let tries = desk.upgrades.entry(wanted.clone()).or_default();
        *tries += 1;
        match wanted {
            Some(wanted) if *tries <= UPGRADES && before.as_ref() != Some(&wanted) => Ok(wanted),
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
            .and_then(|session| session.resource())
    }

    fn server(&self) -> &ServerUrl {
        &self.0.server
    }

    fn cached_token(&self) -> Option<AccessToken> {
        self.0
            .session
            .load()
            .as_ref()
            .and_then(|session| session.cached_token())
    }

    fn mcp_extension(&self) -> Option<&'static str> {
        match &*self.0.session.load() {
            Some(session) => session.mcp_extension(),
            None => self.0.options.machine.as_ref()?.extension(),
        }
    }

    fn prover(&self) -> Option<Arc<ProofGenerator>> {
        let session = self.0.session.load();
        session.as_ref().and_then(|session| session.prover())
    }

    async fn token(&self) -> Result<AccessToken, Error> {
        let Some(session) = self.session() else {
            return self.0.ask(None, None).await;
        };
        match session.token().await {
            Err(error) if error.remedy() == Remedy::LogIn => self.0.ask(None, None).await,
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
            .filter(|_| !self.0.is_of_no_use(refused, challenge));
        let Some(session) = session else {
            return self.0.ask(Some(refused), Some(challenge)).await;
        };
        match session.refresh_after_rejection(refused, challenge).await {
            Err(error) if error.remedy() == Remedy::LogIn => {
                self.0.ask(Some(refused), Some(challenge)).await
            }
            outcome => outcome,
        }
    }
}

impl std::fmt::Debug for InteractiveSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interactive")
            .field("server", &self.0.server)
            .finish_non_exhaustive()
    }
}
