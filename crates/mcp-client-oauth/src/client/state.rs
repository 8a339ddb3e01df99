//! A client: its interfaces, its logins, and the sessions that are open.

use std::{fmt, sync::Arc};

use super::open_sessions::OpenSessions;
use crate::{
    client_registration::IdentityOptions,
    error::{AuthorizationError, Error},
    logout::{Logout, logout},
    platform::{Interaction, Platform},
    store::{LoginKey, TokenStore},
    stored_session::StoredSession,
};

/// A client of any number of MCP servers. It logs in, opens the session of each server when it is first
/// needed, and shares it. Cloning shares the client.
///
/// It keeps at most about 10,000 sessions open. Then, or after half an hour without use, a session that no
/// caller holds is closed, and the next call of [`Client::session`] reads its login from the store again. A
/// session that is refreshing or has unsaved tokens stays open, and one that a caller holds keeps working.
///
/// ```no_run
/// # async fn run() -> Result<(), mcp_client_oauth::Error> {
/// use mcp_client_oauth::Client;
///
/// let client = Client::new().await?;
/// let session = client.login("https://mcp.example.com/mcp").await?;
/// let notes = session.get("notes").send().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    platform: Platform,
    store: TokenStore,
    /// The identity of the application, which each login starts with.
    identity: IdentityOptions,
    open: OpenSessions,
}

impl Client {
    /// Creates a client of this platform and store, for a caller that has its own implementation of each.
    pub fn with_platform(platform: Platform, store: TokenStore) -> Self {
        Self::from_parts(platform, store, IdentityOptions::default())
    }

    pub(super) fn from_parts(
        platform: Platform,
        store: TokenStore,
        identity: IdentityOptions,
    ) -> Self {
        Self(Arc::new(Inner {
            platform,
            store,
            identity,
            open: OpenSessions::default(),
        }))
    }

    /// Returns the keys of all stored logins, sorted.
    ///
    /// # Errors
    /// [`Error::TokenStorage`].
    pub async fn logins(&self) -> Result<Vec<LoginKey>, Error> {
        Ok(self.0.store.keys().await?)
    }

    /// Removes the tokens of a login, also of one that cannot be read, and revokes them at the server.
    ///
    /// # Errors
    /// [`Error::TokenStorage`] if the store is locked or encrypted with another key, and is unchanged. The
    /// outcome of the revocation is in the [`Logout`].
    pub async fn logout<K>(&self, key: K) -> Result<Logout, Error>
    where
        K: TryInto<LoginKey>,
        K::Error: Into<Error>,
    {
        let key = key.try_into().map_err(Into::into)?;
        let outcome = logout(&self.0.platform, &self.0.store, &key).await;
        // Afterwards, so that no other task opens the session again from the record before it is removed.
        self.0.open.remove(&key);
        outcome
    }

    /// Removes the tokens of a login from the store without revoking them. Returns whether there were any.
    ///
    /// # Errors
    /// [`Error::TokenStorage`].
    pub async fn remove<K>(&self, key: K) -> Result<bool, Error>
    where
        K: TryInto<LoginKey>,
        K::Error: Into<Error>,
    {
        let key = key.try_into().map_err(Into::into)?;
        let outcome = self.0.store.remove(&key).await;
        self.0.open.remove(&key);
        Ok(outcome?)
    }

    /// Returns a client over the same store with another interaction with the user. It opens its own
    /// sessions, so it finds the logins of other processes too.
    #[must_use]
    pub fn with_interaction(&self, interaction: Arc<dyn Interaction>) -> Self {
        let platform = self.0.platform.clone().with_interaction(interaction);
        Self::from_parts(platform, self.0.store.clone(), self.0.identity.clone())
    }

    /// Returns the interfaces to the outside.
    pub fn platform(&self) -> &Platform {
        &self.0.platform
    }

    /// Returns the store.
    pub fn store(&self) -> &TokenStore {
        &self.0.store
    }

    /// Waits until every refresh that was sent has ended and its tokens are saved. Call it before the process
    /// ends; see [`TokenStore::flush`].
    pub async fn flush(&self) {
        self.0.store.flush().await;
    }

    pub(super) fn identity(&self) -> &IdentityOptions {
        &self.0.identity
    }

    /// Returns the session of `key`, if the store has its login.
    pub(super) async fn stored_session(
        &self,
        key: &LoginKey,
    ) -> Result<Option<StoredSession>, Error> {
        self.0.platform.check_server(key.server())?;
        if let Some(session) = self.0.open.get(key, self.0.platform.clock.now()) {
            return Ok(Some(session));
        }
        let (platform, store) = (self.0.platform.clone(), self.0.store.clone());
        let session = StoredSession::open(platform, store, key.clone()).await?;
        // A login that has ended in the meantime is newer than the record that was read here.
        Ok(session.map(|session| self.cache(session, false)))
    }

    pub(super) async fn stored_session_or_error(
        &self,
        key: &LoginKey,
    ) -> Result<StoredSession, Error> {
        let session = self.stored_session(key).await?;
        Ok(session.ok_or_else(|| AuthorizationError::LoginRequired(key.server().clone()))?)
    }

    /// Caches `session` for the next call, unless another one is cached and `replace` is false. Returns the
    /// cached one.
    pub(super) fn cache(&self, session: StoredSession, replace: bool) -> StoredSession {
        self.0
            .open
            .insert(session, replace, self.0.platform.clock.now())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("store", &self.0.store)
            .finish_non_exhaustive()
    }
}
