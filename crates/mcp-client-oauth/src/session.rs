//! Step 6: a token that is good now, renewed by one task at a time, in one process at a time.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use async_trait::async_trait;
use http::HeaderValue;
use tokio::{runtime::Handle, sync::oneshot};

use crate::{
    discovery::DiscoveryOptions,
    dpop::ProofGenerator,
    error::{Error, Remedy, TokenRefreshError},
    non_interactive::{NonInteractiveGrant, RecordedGrant},
    platform::Platform,
    proto::{challenge::Challenge, resource_metadata::Resource, scope::Scope, token::AccessToken},
    server_url::ServerUrl,
    store::{LoginKey, Record, Revision, TokenStore},
};

mod inner;
mod pending_save;
mod refresh;
mod refresh_state_machine;
mod refresh_task;
mod save_unsaved;
mod shared;
mod token_state;

use inner::{Inner, LastAttempt};
use pending_save::UnsavedTokens;
use refresh::GivenGrant;
pub use refresh::refresh;
pub(crate) use shared::{Borrowed, Target, borrow};
use token_state::{Current, Freshness, TokenRequirement};

/// Anything that can give a token for one resource.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// Returns where its tokens may be sent; none if it has no token yet.
    fn resource(&self) -> Option<Resource>;

    /// Returns the server whose tokens these are.
    fn server(&self) -> &ServerUrl;

    /// Returns a token that is at hand and good now: no I/O, no waiting. None if it takes more than that.
    fn cached_token(&self) -> Option<AccessToken>;

    /// Returns the MCP extension by which its tokens are got, if it is one (spec-checklist J14).
    fn mcp_extension(&self) -> Option<&'static str> {
        None
    }

    /// Returns what proves, for each request with one of its tokens, that we have the key that the token is
    /// bound to; none if its tokens are bearer tokens.
    fn prover(&self) -> Option<Arc<ProofGenerator>> {
        None
    }

    /// Returns a token that is good now.
    async fn token(&self) -> Result<AccessToken, Error>;

    /// Returns a token other than `refused`, which the server would not take. It is a compare-and-swap: if
    /// `refused` is no longer the current token, the current one is the answer.
    async fn refresh_after_rejection(
        &self,
        refused: &AccessToken,
        challenge: &Challenge,
    ) -> Result<AccessToken, Error>;
}

/// The tokens of one login. Cloning shares it.
///
/// It never asks a person: [`InteractiveSession`](crate::Interactive) does. A token that is still good is
/// handed out without a lock. In its last quarter, a minute at most, it is renewed in the background
/// while it is still handed out; at its very end everybody waits for the new one. One task of one
/// process renews it, and that task is not stopped when its caller gives up: with rotation, a
/// refresh that is dropped between "sent" and "saved" loses the login. What cannot be saved is kept
/// in memory, and saving it is tried again; see [`settle`](Self::settle).
///
/// It needs a tokio runtime.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

impl Session {
    /// Starts with a record that has just been stored with `revision`.
    pub fn new(
        platform: Platform,
        store: TokenStore,
        key: LoginKey,
        record: Record,
        revision: Revision,
    ) -> Self {
        let current = Current::new(record, Some(revision), None, &platform.clock);
        Self(Arc::new(Inner {
            platform,
            store,
            key,
            current: ArcSwap::from_pointee(current),
            given: ArcSwapOption::empty(),
            unsaved: UnsavedTokens::default(),
            gate: Arc::default(),
            attempts: AtomicU64::new(0),
            widenings: AtomicUsize::new(0),
        }))
    }

    /// Goes on with what the store has, if anything.
    ///
    /// # Errors
    /// [`Error::TokenStorage`].
    pub async fn open(
        platform: Platform,
        store: TokenStore,
        key: LoginKey,
    ) -> Result<Option<Self>, Error> {
        let stored = store.load(&key).await?;
        Ok(stored.map(|(record, revision)| Self::new(platform, store, key, record, revision)))
    }

    /// Gives this session, and every clone of it, the grant of a login that presents an assertion. It
    /// names the source of the assertion, which no record holds. [`login`](crate::login()) and
    /// [`InteractiveSession`](crate::Interactive) do this by their options.
    ///
    /// Where others than the user of this machine may write records
    /// ([`Backend::is_shared`](crate::store::Backend::is_shared)), the authorization server is found
    /// again, with these options of `discovery`, before the assertion is sent.
    #[must_use]
    pub fn with_grant(self, grant: NonInteractiveGrant, discovery: &DiscoveryOptions) -> Self {
        let mut discovery = discovery.clone();
        discovery.challenge = None;
        self.0.given.store(Some(Arc::new(GivenGrant {
            grant,
            discovery: Some(discovery).filter(|_| self.0.store.is_shared()),
        })));
        self
    }

    /// Returns whether the session has a grant, and another one than this.
    pub(crate) fn has_other_grant(&self, grant: &NonInteractiveGrant) -> bool {
        let given = self.0.given.load();
        given.as_ref().is_some_and(|given| given.grant != *grant)
    }

    /// TargetArgs tokens these are.
    pub fn key(&self) -> &LoginKey {
        &self.0.key
    }

    /// Returns what is known of the login at this moment.
    pub fn record(&self) -> Record {
        self.0.current.load().record.clone()
    }

    /// Returns the scope that was asked for and not granted.
    pub fn missing_scope(&self) -> Option<Scope> {
        self.0.current.load().record.missing_scope()
    }

    /// Returns the `Authorization` header if it is at hand and good now: no I/O, no lock, no allocation.
    /// When the token nears its end this has it renewed in the background. None at its very end;
    /// [`header`](Self::header) waits for a fresh one then.
    ///
    /// With a token that is bound to a key ([`prover`](TokenSource::prover)) each request needs a
    /// proof besides; [`Authorized`](crate::Authorized) sends both.
    pub fn ready_header(&self) -> Option<HeaderValue> {
        let current = self.current()?;
        Some(current.record.tokens.authorization_header())
    }

    /// Returns what is handed out now, if it is good, with a renewal begun if it is time for one.
    fn current(&self) -> Option<Guard<Arc<Current>>> {
        let current = self.0.current.load();
        match current.age(self.0.platform.clock.now()) {
            Freshness::Fresh => {}
            Freshness::Advisory => self.renew_ahead(&current),
            Freshness::Mandatory => return None,
        }
        Some(current)
    }

    /// Renews in the background, once for each token. Without a runtime that waits until it must be
    /// done.
    fn renew_ahead(&self, current: &Current) {
        if let Ok(runtime) = Handle::try_current()
            && current.may_renew_ahead()
        {
            let session = self.clone();
            runtime.spawn(async move {
                if let Err(error) = session.renew(TokenRequirement::Fresh).await {
                    tracing::warn!(server = %session.key(), %error, "not renewed ahead of its time");
                }
            });
        }
    }

    /// Returns the `Authorization` header with a token that is good now, renewed if need be.
    ///
    /// # Errors
    /// As [`token`](TokenSource::token).
    pub async fn header(&self) -> Result<HeaderValue, Error> {
        match self.ready_header() {
            Some(header) => Ok(header),
            None => self.token().await.map(|token| token.header()),
        }
    }

    /// Returns a token that is not near its end: this waits for a new one where [`token`](TokenSource::token)
    /// would hand out the old one. For whoever takes the token elsewhere.
    ///
    /// # Errors
    /// As [`token`](TokenSource::token); not if the old token is still good and the server cannot
    /// answer now, or gave no refresh token.
    pub async fn token_with_margin(&self) -> Result<AccessToken, Error> {
        match self.renew(TokenRequirement::Fresh).await {
            Err(error) if error.remedy() == Remedy::Retry || has_no_refresh_token(&error) => {
                self.0.token_for(&TokenRequirement::Good).ok_or(error)
            }
            outcome => outcome,
        }
    }

    /// Renews the token now, however good it still looks.
    ///
    /// # Errors
    /// As [`token`](TokenSource::token), and [`TokenRefreshError::NotRefreshable`].
    pub async fn refresh(&self) -> Result<AccessToken, Error> {
        let current = self.0.current.load().record.tokens.access_token.clone();
        match self.renew(TokenRequirement::Other(current)).await {
            Err(error) if has_no_refresh_token(&error) => {
                Err(self.0.unless_expired(error, |server, left| {
                    TokenRefreshError::NotRefreshable { server, left }
                }))
            }
            outcome => outcome,
        }
    }

    /// Waits until nothing is under way: no renewal, no tokens that are still to be stored, nothing
    /// that is to be let go. Call it before the process ends, with a time limit: a store that fails
    /// is tried for about an hour.
    pub async fn flush(&self) {
        let _nobody_renews = self.0.gate.lock().await;
        self.0.unsaved.stored().await;
        self.0.store.flush().await;
    }

    /// Renews unless the current token is what is wished for.
    ///
    /// Behind the gate stand those who found the token wanting at the same time. The first renews;
    /// the others find a good token, or the failure of the attempt that they waited for.
    async fn renew(&self, wish: TokenRequirement) -> Result<AccessToken, Error> {
        let seen = self.0.attempts.load(Ordering::Acquire);
        let mut gate = Arc::clone(&self.0.gate).lock_owned().await;
        if let Some(token) = self.0.token_for(&wish) {
            return Ok(token);
        }
        if gate.number > seen
            && let Some(failure) = &gate.failure
        {
            return Err(failure.clone());
        }
        let inner = Arc::clone(&self.0);
        let (told, outcome) = oneshot::channel();
        // Owned by nobody who could give up. The gate goes with it, so that it opens when the work
        // is done, and not when the caller is gone.
        let renewal = self.0.store.tasks().spawn(async move {
            let outcome = inner.renew(&wish).await;
            let number = inner.attempts.fetch_add(1, Ordering::AcqRel) + 1;
            *gate = LastAttempt {
                number,
                failure: outcome.as_ref().err().cloned(),
            };
            drop(gate);
            // A caller that is gone needs no answer.
            let _ = told.send(outcome);
            inner.store_unsaved().await;
        });
        match outcome.await {
            Ok(outcome) => outcome,
            Err(_ended) => {
                let why = renewal.await.err().map(|error| error.to_string());
                Err(TokenRefreshError::Aborted(why.unwrap_or_default()).into())
            }
        }
    }
}

fn has_no_refresh_token(error: &Error) -> bool {
    matches!(
        error,
        Error::TokenRefresh(TokenRefreshError::NoRefreshToken(_))
    )
}

#[async_trait]
impl TokenSource for Session {
    fn resource(&self) -> Option<Resource> {
        Some(self.0.current.load().record.discovery.resource.clone())
    }

    fn server(&self) -> &ServerUrl {
        self.0.key.server()
    }

    fn cached_token(&self) -> Option<AccessToken> {
        let current = self.current()?;
        Some(current.record.tokens.access_token.clone())
    }

    fn prover(&self) -> Option<Arc<ProofGenerator>> {
        self.0.current.load().prover.clone()
    }

    async fn token(&self) -> Result<AccessToken, Error> {
        match self.cached_token() {
            Some(token) => Ok(token),
            None => self.renew(TokenRequirement::Good).await,
        }
    }

    fn mcp_extension(&self) -> Option<&'static str> {
        let current = self.0.current.load();
        current
            .record
            .machine
            .as_ref()
            .and_then(RecordedGrant::extension)
    }

    /// Returns a refresh brings no wider scope (RFC 6749 §6), so `insufficient_scope` is answered with what
    /// another process may have got meanwhile, with what can be got without a person, or with
    /// [`AuthorizationError::ScopeNotGranted`](crate::error::AuthorizationError::ScopeNotGranted).
    async fn refresh_after_rejection(
        &self,
        refused: &AccessToken,
        challenge: &Challenge,
    ) -> Result<AccessToken, Error> {
        let wish = TokenRequirement::Other(refused.clone());
        if let Some(token) = self.0.token_for(&wish) {
            return Ok(token);
        }
        if challenge.is_insufficient_scope() {
            let nobody_renews = self.0.gate.lock().await;
            let adopted = self.0.adopt_wider(refused, challenge).await;
            drop(nobody_renews);
            let Some(scope) = adopted
                .is_err()
                .then(|| self.0.scope_to_ask_for(challenge))
                .flatten()
            else {
                return adopted;
            };
            return self
                .renew(TokenRequirement::Wider(refused.clone(), scope))
                .await;
        }
        match self.renew(wish).await {
            Err(error) if has_no_refresh_token(&error) => Err(self
                .0
                .unless_expired(error, |server, _left| TokenRefreshError::Rejected(server))),
            outcome => outcome,
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("key", &self.0.key)
            .finish_non_exhaustive()
    }
}
