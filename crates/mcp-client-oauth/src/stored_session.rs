//! Step 6: a valid token of a stored login, refreshed by one task at a time, in one process at a time.

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
    grant::{Grant, RecordedGrant},
    platform::{AddressSpace, Platform},
    proto::{challenge::Challenge, resource_metadata::Resource, scope::Scope, token::AccessToken},
    server_url::ServerUrl,
    store::{LoginKey, Record, Revision, TokenStore},
    token_source::TokenSource,
};

mod inner;
mod pending_save;
mod refresh;
mod refresh_state_machine;
mod refresh_task;
mod save_unsaved;
mod shared_login;
mod token_state;

use inner::{Inner, LastAttempt};
use pending_save::UnsavedTokens;
use refresh::GivenGrant;
pub use refresh::refresh;
pub(crate) use shared_login::{SharedTokens, Target, refresh_shared_login};
use token_state::{Current, Freshness, TokenRequirement};

/// The tokens of one login. Cloning shares it.
///
/// It never asks the user to log in: `client::InteractiveSession` does. A valid token is
/// returned without a lock. In the last quarter of its lifetime, a minute at most, it is refreshed in
/// the background and still returned; right before it expires every caller waits for the new one. One task
/// of one process refreshes it, and that task is not cancelled with its caller: with rotation, a refresh
/// that is dropped between "sent" and "saved" loses the login. Tokens that cannot be saved are kept in
/// memory, and saving them is retried; see [`flush`](Self::flush).
///
/// It needs a tokio runtime.
#[derive(Clone)]
pub(crate) struct StoredSession(Arc<Inner>);

impl StoredSession {
    /// Creates a session for a record that has just been stored with `revision`.
    pub(crate) fn new(
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

    /// Creates a session for the stored record, if there is one.
    ///
    /// # Errors
    /// [`Error::TokenStorage`].
    pub(crate) async fn open(
        platform: Platform,
        store: TokenStore,
        key: LoginKey,
    ) -> Result<Option<Self>, Error> {
        let stored = store.load(&key).await?;
        Ok(stored.map(|(record, revision)| Self::new(platform, store, key, record, revision)))
    }

    /// Sets the grant of a login that presents an assertion, for this session and every clone of it. The
    /// grant names the source of the assertion, which no record holds. A login, also one on demand,
    /// does this by its options.
    ///
    /// If other users may write records ([`Backend::is_shared`](mcp_oauth_store::Backend::is_shared)), the
    /// authorization server is discovered again, with these options of `discovery`, before the assertion
    /// is sent.
    #[must_use]
    pub(crate) fn with_grant(self, grant: Grant, discovery: &DiscoveryOptions) -> Self {
        let mut discovery = discovery.clone();
        discovery.challenge = None;
        self.0.given.store(Some(Arc::new(GivenGrant {
            grant,
            discovery: Some(discovery).filter(|_| self.0.store.is_shared()),
        })));
        self
    }

    /// Returns whether the session has another grant than this one.
    pub(crate) fn has_other_grant(&self, grant: &Grant) -> bool {
        let given = self.0.given.load();
        given.as_ref().is_some_and(|given| given.grant != *grant)
    }

    /// Returns the key of the login.
    pub(crate) fn key(&self) -> &LoginKey {
        &self.0.key
    }

    /// Returns whether the session is refreshing, or has tokens that are not saved yet: then another session
    /// of this login would have to wait for it.
    pub(crate) fn is_busy(&self) -> bool {
        self.0.gate.try_lock().is_err() || self.0.unsaved.is_pending()
    }

    /// Returns whether there is another clone of the session.
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Returns the current record of the login.
    pub(crate) fn record(&self) -> Record {
        self.0.current.load().record.clone()
    }

    /// Returns the part of the requested scope that was not granted.
    pub(crate) fn missing_scope(&self) -> Option<Scope> {
        self.0.current.load().record.missing_scope()
    }

    /// Returns the `Authorization` header if the token is valid: no I/O, no lock, no allocation. If the
    /// token expires soon, this starts a refresh in the background. Right before it expires the result is
    /// `None`; [`token`](TokenSource::token) waits for a new token then.
    ///
    /// With a DPoP-bound token ([`proof_generator`](TokenSource::proof_generator)) each request needs a proof
    /// too; [`Session`](crate::Session) sends both.
    pub(crate) fn cached_header(&self) -> Option<HeaderValue> {
        let current = self.current()?;
        Some(current.record.tokens.authorization_header())
    }

    /// Returns the current record if its token is valid, and starts a refresh if it expires soon.
    fn current(&self) -> Option<Guard<Arc<Current>>> {
        let current = self.0.current.load();
        match current.freshness(self.0.platform.clock.now()) {
            Freshness::Fresh => {}
            Freshness::Advisory => self.refresh_in_background(&current),
            Freshness::Mandatory => return None,
        }
        Some(current)
    }

    /// Refreshes in the background, once for each token. Without a runtime, the token is refreshed when a
    /// caller must wait for it.
    fn refresh_in_background(&self, current: &Current) {
        if let Ok(runtime) = Handle::try_current()
            && current.claim_background_refresh()
        {
            let session = self.clone();
            runtime.spawn(async move {
                if let Err(error) = session.refresh_unless_met(TokenRequirement::Fresh).await {
                    tracing::warn!(server = %session.key(), %error, "background refresh failed");
                }
            });
        }
    }

    /// Returns a token that does not expire soon: this waits for a new one where
    /// [`token`](TokenSource::token) would still return the old one. For a caller that passes the token on.
    ///
    /// # Errors
    /// As [`token`](TokenSource::token). There is no error if the old token is still valid and the server
    /// is unavailable, or issued no refresh token.
    pub(crate) async fn token_with_margin(&self) -> Result<AccessToken, Error> {
        match self.refresh_unless_met(TokenRequirement::Fresh).await {
            Err(error) if error.remedy() == Remedy::Retry || has_no_refresh_token(&error) => {
                self.0.token_for(&TokenRequirement::Valid).ok_or(error)
            }
            outcome => outcome,
        }
    }

    /// Refreshes the token now, even if it has not expired.
    ///
    /// # Errors
    /// As [`token`](TokenSource::token), and [`TokenRefreshError::NotRefreshable`].
    pub(crate) async fn refresh(&self) -> Result<AccessToken, Error> {
        let current = self.0.current.load().record.tokens.access_token.clone();
        match self
            .refresh_unless_met(TokenRequirement::Other(current))
            .await
        {
            Err(error) if has_no_refresh_token(&error) => {
                Err(self.0.unless_expired(error, |server, left| {
                    TokenRefreshError::NotRefreshable { server, left }
                }))
            }
            outcome => outcome,
        }
    }

    /// Waits until the current refresh has ended, its tokens are saved, and the locks are released. Call it
    /// before the process ends, with a time limit: saving to a store that fails is retried for about an
    /// hour.
    pub(crate) async fn flush(&self) {
        let _no_refresh = self.0.gate.lock().await;
        self.0.unsaved.wait_until_saved().await;
        self.0.store.flush().await;
    }

    /// Refreshes the token unless the current one meets the requirement.
    ///
    /// Callers that need a new token at the same time wait at the gate. The first refreshes; the others
    /// get its token, or the error of the attempt that they waited for.
    async fn refresh_unless_met(
        &self,
        requirement: TokenRequirement,
    ) -> Result<AccessToken, Error> {
        let seen = self.0.attempts.load(Ordering::Acquire);
        let mut gate = Arc::clone(&self.0.gate).lock_owned().await;
        if let Some(token) = self.0.token_for(&requirement) {
            return Ok(token);
        }
        if gate.number > seen
            && let Some(failure) = &gate.failure
        {
            return Err(failure.clone());
        }
        let inner = Arc::clone(&self.0);
        let (result, outcome) = oneshot::channel();
        // The task is not cancelled with its caller. It owns the gate, so that the gate opens when the
        // work is done, and not when the caller is dropped.
        let renewal = self.0.store.tasks().spawn(async move {
            let outcome = inner.refresh(&requirement).await;
            let number = inner.attempts.fetch_add(1, Ordering::AcqRel) + 1;
            *gate = LastAttempt {
                number,
                failure: outcome.as_ref().err().cloned(),
            };
            drop(gate);
            // The caller may have been cancelled.
            let _ = result.send(outcome);
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
impl TokenSource for StoredSession {
    fn resource(&self) -> Option<Resource> {
        Some(self.0.current.load().record.discovery.resource.clone())
    }

    fn server(&self) -> &ServerUrl {
        self.0.key.server()
    }

    fn address_space(&self) -> AddressSpace {
        self.0.platform.address_space_for(self.0.key.server())
    }

    fn cached_token(&self) -> Option<AccessToken> {
        let current = self.current()?;
        Some(current.record.tokens.access_token.clone())
    }

    fn proof_generator(&self) -> Option<Arc<ProofGenerator>> {
        self.0.current.load().proof_generator.clone()
    }

    async fn token(&self) -> Result<AccessToken, Error> {
        match self.cached_token() {
            Some(token) => Ok(token),
            None => self.refresh_unless_met(TokenRequirement::Valid).await,
        }
    }

    fn mcp_extension(&self) -> Option<&'static str> {
        let current = self.0.current.load();
        current
            .record
            .non_interactive
            .as_ref()
            .and_then(RecordedGrant::extension)
    }

    /// Returns another token after a rejection. A refresh cannot widen the scope (RFC 6749 §6), so after
    /// `insufficient_scope` this returns a token that another process has stored since, or one of a
    /// non-interactive grant, or the error
    /// [`AuthorizationError::ScopeNotGranted`](crate::error::AuthorizationError::ScopeNotGranted).
    async fn refresh_after_rejection(
        &self,
        refused: &AccessToken,
        challenge: &Challenge,
    ) -> Result<AccessToken, Error> {
        let requirement = TokenRequirement::Other(refused.clone());
        if let Some(token) = self.0.token_for(&requirement) {
            return Ok(token);
        }
        if challenge.is_insufficient_scope() {
            let no_refresh = self.0.gate.lock().await;
            let adopted = self.0.adopt_wider(refused, challenge).await;
            drop(no_refresh);
            let Some(scope) = adopted
                .is_err()
                .then(|| self.0.scope_to_request(challenge))
                .flatten()
            else {
                return adopted;
            };
            return self
                .refresh_unless_met(TokenRequirement::Wider(refused.clone(), scope))
                .await;
        }
        match self.refresh_unless_met(requirement).await {
            Err(error) if has_no_refresh_token(&error) => Err(self
                .0
                .unless_expired(error, |server, _left| TokenRefreshError::Rejected(server))),
            outcome => outcome,
        }
    }
}

impl std::fmt::Debug for StoredSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredSession")
            .field("key", &self.0.key)
            .finish_non_exhaustive()
    }
}
