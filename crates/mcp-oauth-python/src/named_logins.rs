//! The logins of a store by name, for `mcp_client_oauth.compat`: there a name is the account of a login.
//!
//! Programs of the old library save tokens under a name before they say which server the tokens are for. Until
//! the name gets a URL, these tokens are in an entry of their own.

use mcp_client_oauth::{
    Client as Library, LoginKey, Secret, TokenStore,
    error::TokenStorageError,
    flow::{
        self, ClientIdentity, DiscoveryOptions, IdentityOptions, PreregisteredClient, TokenSet,
    },
    store::Record,
};
use mcp_oauth_store::{Entry, NameQuery, Revision, all_names};
use pyo3::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    client::{Client, login_key},
    errors::{exception, storage},
    operation::Operation,
    session::Session,
    tokens::Tokens,
};

/// The start of the name of an entry without a URL.
const UNBOUND: &str = "unbound login#";
/// The capacity of the buffer for an entry: two tokens of 16 KiB, and a scope.
const CAPACITY: usize = 64 * 1024;

/// The logins of a client by name.
#[pyclass(frozen, module = "mcp_client_oauth._native")]
pub(crate) struct NamedLogins(Client);

/// The tokens and the client of a name that has no URL.
#[derive(Default, Deserialize, Serialize)]
struct Unbound {
    tokens: Option<TokenSet>,
    client: Option<StoredClient>,
    /// Says whether the login that the old library has stored was moved, so that it is moved once.
    #[serde(default)]
    moved: bool,
}

/// The members of `compat.DynamicClientRegistration`.
#[derive(Clone, Deserialize, FromPyObject, IntoPyObject, Serialize)]
#[pyo3(from_item_all)]
#[expect(
    clippy::struct_field_names,
    reason = "they are members of a registration response (RFC 7591 §3.2.1)"
)]
pub(crate) struct StoredClient {
    pub(crate) client_id: String,
    pub(crate) client_secret: Option<String>,
    pub(crate) client_id_issued_at: Option<u64>,
    pub(crate) client_secret_expires_at: u64,
}

#[pymethods]
impl NamedLogins {
    #[new]
    fn new(client: &Client) -> Self {
        Self(client.clone())
    }

    /// Returns the tokens of a name, if there are any.
    fn load(&self, name: String) -> Operation {
        self.operation(|names| async move {
            if let Some(key) = names.only_login(&name).await? {
                let stored = names.store().load(&key).await.map_err(exception)?;
                return Ok(stored.map(|(record, _)| Tokens::from(&record.tokens)));
            }
            let (unbound, _) = names.unbound(&name).await?;
            Ok(unbound.tokens.as_ref().map(Tokens::from))
        })
    }

    /// Stores tokens in the login of a name, or without a URL if it has none.
    fn save(&self, name: String, tokens: Tokens) -> Operation {
        self.operation(|names| async move {
            let tokens = tokens.into_set(names.now())?;
            let Some(key) = names.only_login(&name).await? else {
                return names
                    .change(&name, |unbound| unbound.tokens = Some(tokens))
                    .await;
            };
            let mut lock = names.store().lock(&key).await.map_err(exception)?;
            if let Some(mut record) = lock.record().cloned() {
                record.tokens = tokens;
                names
                    .store()
                    .save(&mut lock, &record)
                    .await
                    .map_err(exception)?;
            }
            Ok(())
        })
    }

    /// Removes the tokens of a name, of all its servers. Returns whether there were any.
    fn delete(&self, name: String) -> Operation {
        self.operation(|names| async move {
            let mut removed = false;
            for key in names.store().keys_of(&name).await.map_err(exception)? {
                removed |= names.0.remove(key).await.map_err(exception)?;
            }
            let (unbound, _) = names.unbound(&name).await?;
            if unbound.tokens.is_some() {
                names.change(&name, |unbound| unbound.tokens = None).await?;
                removed = true;
            }
            Ok(removed)
        })
    }

    /// Returns the names that have tokens, sorted.
    fn names(&self) -> Operation {
        self.operation(|names| async move {
            let keys = names.store().keys().await.map_err(exception)?;
            let mut found: Vec<_> = keys
                .iter()
                .filter_map(|key| key.account().map(str::to_owned))
                .collect();
            let backend = &**names.store().backend();
            for name in all_names(backend, NameQuery::default())
                .await
                .map_err(exception)?
            {
                if let Some(name) = name.strip_prefix(UNBOUND)
                    && names.unbound(name).await?.0.tokens.is_some()
                {
                    found.push(name.to_owned());
                }
            }
            found.sort_unstable();
            found.dedup();
            Ok(found)
        })
    }

    /// Returns the client of a name, if there is one.
    fn load_client(&self, name: String) -> Operation {
        self.operation(|names| async move {
            if let Some(key) = names.only_login(&name).await? {
                let stored = names.store().load(&key).await.map_err(exception)?;
                return Ok(stored.and_then(|(record, _)| StoredClient::of(&record.identity)));
            }
            Ok(names.unbound(&name).await?.0.client)
        })
    }

    /// Stores the client of a name that has no URL.
    fn save_client(&self, name: String, client: StoredClient) -> Operation {
        self.operation(|names| async move {
            names
                .change(&name, |unbound| unbound.client = Some(client))
                .await
        })
    }

    /// Removes the client of a name that has no URL. Returns whether there was one.
    fn delete_client(&self, name: String) -> Operation {
        self.operation(|names| async move {
            let existed = names.unbound(&name).await?.0.client.is_some();
            if existed {
                names.change(&name, |unbound| unbound.client = None).await?;
            }
            Ok(existed)
        })
    }

    /// Returns whether a name has a login at this server.
    fn has_login(&self, name: &str, url: &str) -> PyResult<Operation> {
        let key = login_key(url, Some(name))?;
        Ok(self.operation(|names| async move {
            let stored = names.store().load(&key).await.map_err(exception)?;
            Ok(stored.is_some())
        }))
    }

    /// Returns whether the old login of a name was moved.
    fn is_moved(&self, name: String) -> Operation {
        self.operation(|names| async move { Ok(names.unbound(&name).await?.0.moved) })
    }

    /// Stores the old login of a name, unless it was moved before or the name has tokens. Returns whether it
    /// was.
    #[pyo3(signature = (name, tokens, client))]
    fn move_old(&self, name: String, tokens: Tokens, client: Option<StoredClient>) -> Operation {
        self.operation(|names| async move {
            let tokens = tokens.into_set(names.now())?;
            let mut is_new = false;
            let is_new_here = &mut is_new;
            names
                .change(&name, move |unbound| {
                    if !unbound.moved && unbound.tokens.is_none() {
                        *is_new_here = true;
                        unbound.tokens = Some(tokens);
                        unbound.client = client;
                    }
                    unbound.moved = true;
                })
                .await?;
            Ok(is_new)
        })
    }

    /// Makes the tokens of a name a login at this server. Returns whether there were any.
    fn bind(&self, name: String, url: &str) -> PyResult<Operation> {
        let key = login_key(url, Some(&name))?;
        Ok(self.operation(|names| async move { names.bind(&name, &key).await }))
    }
}

/// Returns the tokens of a session; none before the first login of one that logs in on demand.
#[pyfunction]
pub(crate) fn tokens_of(session: &Session) -> Option<Tokens> {
    session.record().map(|record| Tokens::from(&record.tokens))
}

impl NamedLogins {
    fn operation<T, F, Fut>(&self, work: F) -> Operation
    where
        T: for<'py> IntoPyObject<'py> + Send + 'static,
        F: FnOnce(Names) -> Fut + Send + 'static,
        Fut: Future<Output = PyResult<T>> + Send,
    {
        let client = self.0.clone();
        Operation::new(async move { work(Names(client.library().await?)).await })
    }
}

/// The names of an open store.
struct Names(Library);

impl Names {
    fn store(&self) -> &TokenStore {
        self.0.store()
    }

    fn now(&self) -> std::time::SystemTime {
        self.0.platform().clock.now()
    }

    /// Returns the login of a name. Several are an error: a token of one server must not go to another.
    async fn only_login(&self, name: &str) -> PyResult<Option<LoginKey>> {
        let mut keys = self.store().keys_of(name).await.map_err(exception)?;
        if keys.len() > 1 {
            let servers: Vec<_> = keys.iter().map(|key| key.server().to_string()).collect();
            return Err(storage(format!(
                "{name} has logins at several servers: {}; use Client.session(url, account={name:?})",
                servers.join(", ")
            )));
        }
        Ok(keys.pop())
    }

    async fn unbound(&self, name: &str) -> PyResult<(Unbound, Option<Revision>)> {
        let entry = format!("{UNBOUND}{name}");
        let Some(stored) = self
            .store()
            .backend()
            .get(&entry)
            .await
            .map_err(exception)?
        else {
            return Ok((Unbound::default(), None));
        };
        let unbound = serde_json::from_slice(stored.entry.bytes.expose());
        let unbound = unbound.map_err(|_| {
            exception(TokenStorageError::Corrupt {
                location: format!("the record `{entry}`"),
                why: "it is not a record of mcp-client-oauth",
            })
        })?;
        Ok((unbound, Some(stored.revision)))
    }

    /// Changes what is stored for a name without a URL, under its lock.
    async fn change(&self, name: &str, change: impl FnOnce(&mut Unbound) + Send) -> PyResult<()> {
        let entry = format!("{UNBOUND}{name}");
        let backend = self.store().backend();
        let _held = backend.lock(&entry).await.map_err(exception)?;
        let (mut unbound, revision) = self.unbound(name).await?;
        change(&mut unbound);
        // The buffer does not grow, which would leave a copy of the tokens in memory.
        let mut bytes = Secret::new(Vec::with_capacity(CAPACITY));
        serde_json::to_writer(bytes.expose_mut(), &unbound)
            .map_err(|error| storage(error.to_string()))?;
        let content = Entry::new(bytes);
        backend
            .put(&entry, revision, &content)
            .await
            .map_err(exception)?;
        Ok(())
    }

    async fn bind(&self, name: &str, key: &LoginKey) -> PyResult<bool> {
        let (unbound, _) = self.unbound(name).await?;
        let Some(tokens) = unbound.tokens else {
            return Ok(false);
        };
        let record = self.record(key, tokens, unbound.client).await?;
        let mut lock = self.store().lock(key).await.map_err(exception)?;
        let is_new = lock.record().is_none();
        if is_new {
            self.store()
                .save(&mut lock, &record)
                .await
                .map_err(exception)?;
        }
        drop(lock);
        self.change(name, |unbound| {
            (unbound.tokens, unbound.client) = (None, None);
        })
        .await?;
        Ok(is_new)
    }

    /// Discovers the server that tokens without a URL are used at.
    async fn record(
        &self,
        key: &LoginKey,
        tokens: TokenSet,
        client: Option<StoredClient>,
    ) -> PyResult<Record> {
        let platform = self.0.platform();
        let mut options = DiscoveryOptions::default();
        options.legacy = true;
        let discovery = flow::discover(platform, key.server(), &options)
            .await
            .map_err(exception)?;
        let identity = match client {
            Some(client) => {
                let mut options = IdentityOptions::default();
                let secret = client.client_secret.map(Secret::new);
                options.preregistered = Some(PreregisteredClient::new(client.client_id, secret));
                let identity = flow::identify(platform, &discovery, &options, None, None).await;
                identity.map_err(exception)?
            }
            // The access token can be used until it expires.
            None => ClientIdentity::Anonymous,
        };
        let requested = tokens.scope.clone();
        Ok(Record::new(discovery, identity, requested, tokens))
    }
}

impl StoredClient {
    /// Returns the client of a login, unless its ID is the URL of a document.
    pub(crate) fn of(identity: &ClientIdentity) -> Option<Self> {
        let ClientIdentity::Registered(client) = identity else {
            return None;
        };
        let expires = client.secret_expires_at;
        let expires = expires.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        Some(Self {
            client_id: client.client_id.clone(),
            client_secret: client
                .client_secret
                .as_ref()
                .map(|secret| secret.expose().clone()),
            client_id_issued_at: None,
            client_secret_expires_at: expires.map_or(0, |at| at.as_secs()),
        })
    }
}
