//! The credentials of `rmcp`'s own `AuthorizationManager` in the stores of `mcp-client-oauth`: encrypted files, a
//! keychain or Vault; with one refresh at a time, across processes.
//!
//! They are stored in `rmcp`'s own format and not as a record of `mcp-client-oauth`, so a
//! [`Session`](mcp_client_oauth::Session) does not find them. An application that does not depend on
//! `AuthorizationManager` gets more from [`adapters::rmcp`](mcp_client_oauth::adapters::rmcp).
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use mcp_client_oauth::{ServerUrl, TokenStore};
//! use mcp_oauth_adapters::rmcp_credentials::RmcpCredentials;
//! use rmcp::transport::auth::AuthorizationManager;
//!
//! let server: ServerUrl = "https://mcp.example/mcp".parse()?;
//! let store = TokenStore::open("auto:")?;
//! let mut manager = AuthorizationManager::new(server.as_str()).await?;
//! manager.set_credential_store(RmcpCredentials::new(&store, &(&server).into()));
//! # Ok(())
//! # }
//! ```

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use mcp_client_oauth::{Secret, TokenStore, error::TokenStorageError, store::LoginKey};
use mcp_oauth_store::{Backend, Entry};
use rmcp::transport::auth::{
    AuthError, CredentialRefreshGuard, CredentialStore, StoredCredentials,
};

/// The prefix of the names of `rmcp`'s documents. The records of `mcp-client-oauth` have other prefixes.
const NAME: &str = "rmcp ";

/// The credential store of `rmcp` for one server and account.
#[derive(Clone)]
pub struct RmcpCredentials {
    backend: Arc<dyn Backend>,
    name: String,
}

impl RmcpCredentials {
    /// Uses the backend of `store`, with a name made of `key`.
    pub fn new(store: &TokenStore, key: &LoginKey) -> Self {
        let account = key.account().map(|account| format!("#{account}"));
        Self {
            backend: Arc::clone(store.backend()),
            name: format!("{NAME}{}{}", key.server(), account.unwrap_or_default()),
        }
    }
}

#[async_trait]
impl CredentialStore for RmcpCredentials {
    async fn load(&self) -> Result<Option<StoredCredentials>, AuthError> {
        let stored = self.backend.get(&self.name).await.map_err(failure)?;
        let read = |bytes: &Secret<Vec<u8>>| serde_json::from_slice(bytes.expose());
        let credentials = stored.map(|stored| read(&stored.entry.bytes)).transpose();
        // The cause may quote secrets, so it is dropped.
        credentials.map_err(|_| unreadable(&self.name))
    }

    async fn save(&self, credentials: StoredCredentials) -> Result<(), AuthError> {
        // Room for the largest tokens, so that no copy is left behind when the buffer grows.
        let mut bytes = Secret::new(Vec::with_capacity(96 * 1024));
        serde_json::to_writer(bytes.expose_mut(), &credentials)
            .map_err(|_| unreadable(&self.name))?;
        let before = self.backend.get(&self.name).await.map_err(failure)?;
        let expected = before.map(|before| before.revision);
        let entry = Entry::new(bytes);
        let saved = self.backend.put(&self.name, expected, &entry).await;
        saved.map(drop).map_err(failure)
    }

    async fn clear(&self) -> Result<(), AuthError> {
        let cleared = self.backend.delete(&self.name, None).await;
        cleared.map(drop).map_err(failure)
    }

    /// Returns the store's lock across processes: with rotation, two refreshes at once would lose the login
    /// (RFC 9700 §4.14.2).
    async fn acquire_refresh_guard(&self) -> Result<Option<CredentialRefreshGuard>, AuthError> {
        let held = self.backend.lock(&self.name).await.map_err(failure)?;
        Ok(Some(CredentialRefreshGuard::new(held)))
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is given to `map_err` by name"
)]
fn failure(error: TokenStorageError) -> AuthError {
    AuthError::CredentialStoreError(error.to_string())
}

fn unreadable(name: &str) -> AuthError {
    AuthError::CredentialStoreError(format!("`{name}` does not hold credentials of rmcp"))
}

impl fmt::Debug for RmcpCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RmcpCredentials")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
