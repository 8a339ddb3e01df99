//! What a login keeps in the store between its two requests.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use mcp_oauth_support::Secret;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{LoginContext, ReturnPath};
use crate::{
    client_registration::{ClientIdentity, RegisteredClient},
    discovery::Discovery,
    dpop::ProofGenerator,
    error::{AuthorizationError, Error},
    platform::Platform,
    proto::{
        authorization::{PendingAuthorization, State},
        browser_secret::{self, BrowserSecret, BrowserSecretHash},
        dpop::DpopKey,
        scope::Scope,
    },
    store::{LoginKey, PendingName, TokenStore},
};

/// The default time that the user has to authorize the client.
const TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Holds what the end of a login needs. The store encrypts it: it has the code verifier, the credentials of
/// the client, and the key that the tokens are bound to.
#[derive(Deserialize, Serialize)]
pub(super) struct PendingLogin {
    pub(super) key: LoginKey,
    pub(super) authorization: PendingAuthorization,
    browser: BrowserSecretHash,
    pub(super) discovery: Discovery,
    pub(super) identity: ClientIdentity,
    /// Says whether the client was registered by an earlier login.
    is_known_client: bool,
    pub(super) requested: Option<Scope>,
    pub(super) dpop: Option<DpopKey>,
    pub(super) return_to: Option<ReturnPath>,
    pub(super) begun_at: SystemTime,
    timeout: Duration,
}

/// Holds the results of the steps before the browser is redirected.
pub(super) struct Begun {
    pub(super) discovery: Discovery,
    pub(super) identity: ClientIdentity,
    pub(super) is_known_client: bool,
    pub(super) requested: Option<Scope>,
    pub(super) proof_generator: Option<Arc<ProofGenerator>>,
}

impl LoginContext<'_> {
    /// Stores a login for its callback, and returns the secret of the browser that may end it.
    pub(super) async fn store_pending(
        &self,
        authorization: PendingAuthorization,
        begun: Begun,
    ) -> Result<Secret<String>, Error> {
        let account = self.key.account();
        let secret = browser_secret::generate(account).map_err(AuthorizationError::from)?;
        let name = PendingName::new(&authorization.state().hash(), account);
        let timeout = self.options.timeout.unwrap_or(TIMEOUT);
        let login = PendingLogin {
            key: self.key.clone(),
            authorization,
            browser: BrowserSecret::new(&secret).hash(),
            discovery: begun.discovery,
            identity: begun.identity,
            is_known_client: begun.is_known_client,
            requested: begun.requested,
            dpop: begun
                .proof_generator
                .map(|generator| generator.key().clone()),
            return_to: self.options.return_to.clone(),
            begun_at: self.platform.clock.now(),
            timeout,
        };
        self.add_pending(&name, timeout).await?;
        self.store.save_pending(&name, &login, timeout).await?;
        Ok(secret)
    }
}

impl PendingLogin {
    /// Removes the login that `callback` ends from the store, and returns it. A callback that is not bound to
    /// the browser of the login, or not in time, removes nothing; any other one does, whatever it says, so
    /// that no callback is accepted twice.
    ///
    /// # Errors
    /// [`AuthorizationError::NotPending`], [`AuthorizationError::OtherBrowser`],
    /// [`AuthorizationError::TimedOut`]; [`Error::TokenStorage`].
    pub(super) async fn take(
        platform: &Platform,
        store: &TokenStore,
        callback: &Url,
        browser_secret: &Secret<String>,
    ) -> Result<Self, Error> {
        let secret = BrowserSecret::new(browser_secret);
        let state = State::of_callback(callback).ok_or(AuthorizationError::NotPending)?;
        let name = PendingName::new(&state.hash(), secret.account().as_deref());
        let found = store.load_pending::<Self>(&name).await?;
        let (login, revision) = found.ok_or(AuthorizationError::NotPending)?;
        // A back end should authenticate the name; the state is compared for one that does not.
        if !login.authorization.matches_state(callback) {
            return Err(AuthorizationError::NotPending.into());
        }
        if !login.browser.is_of(&secret) {
            return Err(AuthorizationError::OtherBrowser.into());
        }
        if login.has_expired(platform.clock.now()) {
            return Err(AuthorizationError::TimedOut(login.timeout).into());
        }
        // RFC 9700 §4.7.1 and §4.5: of several requests with this callback, one goes on.
        if !store.take_pending(&name, revision).await? {
            return Err(AuthorizationError::NotPending.into());
        }
        Ok(login)
    }

    /// Returns the client, if it was registered by an earlier login.
    pub(super) fn known_client(&self) -> Option<&RegisteredClient> {
        let registration = self.identity.registration();
        registration.filter(|_| self.is_known_client)
    }

    /// Returns the proof generator, if the tokens are to be bound to a key.
    pub(super) fn proof_generator(&self, platform: &Platform) -> Option<ProofGenerator> {
        let key = self.dpop.clone()?;
        Some(ProofGenerator::new(key, Arc::clone(&platform.clock)))
    }

    pub(super) fn has_expired(&self, now: SystemTime) -> bool {
        let end = self.begun_at.checked_add(self.timeout);
        end.is_some_and(|end| end <= now)
    }
}
