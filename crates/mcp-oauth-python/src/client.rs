//! The client: its options, and the client of the library in each process.

use std::sync::Arc;

use mcp_client_oauth::{
    Client as Library, RevocationOutcome, Secret, TokenStore, flow::PrivateKey, store::LoginKey,
};
use pyo3::{exceptions::PyTypeError, prelude::*};
use url::Url;

use crate::{
    errors::{exception, invalid},
    headers,
    interaction::{Hooks, PythonInteraction},
    operation::Operation,
    per_process::PerProcess,
    runtime,
    store::StoreOptions,
};

/// A client. It does nothing before its first operation, and a forked process makes its own connections.
#[pyclass(frozen, module = "mcp_client_oauth._native")]
#[derive(Clone)]
pub(crate) struct Client(Arc<Shared>);

struct Shared {
    options: ClientOptions,
    opened: PerProcess<Opened>,
}

/// The options of a client. Each process opens its own from them.
pub(crate) struct ClientOptions {
    pub(crate) store: StoreOptions,
    pub(crate) client_name: Option<String>,
    pub(crate) client_metadata: Option<(Url, Option<PrivateKey>)>,
    pub(crate) public_networks_only: bool,
    pub(crate) interaction: PythonInteraction,
}

/// The client of one process.
struct Opened {
    library: Library,
    /// That of the client, for the end of the process.
    store: Arc<TokenStore>,
}

/// The key of a login, or the outcome of a logout, as Python gets it.
type AccountOf = (String, Option<String>);

#[pymethods]
impl Client {
    #[new]
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a keyword argument of Python"
    )]
    #[pyo3(signature = (
        *, store = "auto", password = None, client_name = None, client_metadata_url = None,
        client_metadata_key = None, public_networks_only = false, on_authorization_url = None,
        on_device_code = None
    ))]
    fn new(
        store: &str,
        password: Option<String>,
        client_name: Option<String>,
        client_metadata_url: Option<&str>,
        client_metadata_key: Option<&str>,
        public_networks_only: bool,
        on_authorization_url: Option<Py<PyAny>>,
        on_device_code: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let hooks = Hooks {
            show_url: on_authorization_url,
            show_code: on_device_code,
        };
        Ok(Self::from(ClientOptions {
            store: StoreOptions::new(store, password)?,
            client_name,
            client_metadata: client_metadata(client_metadata_url, client_metadata_key)?,
            public_networks_only,
            interaction: PythonInteraction(Arc::new(hooks)),
        }))
    }

    /// Returns the server URL and the account of each stored login.
    fn logins(&self) -> Operation {
        let client = self.clone();
        Operation::new(async move {
            let keys = client.library().await?.logins().await.map_err(exception)?;
            let account = |key: &LoginKey| (key.server().to_string(), account_of(key));
            Ok(keys.iter().map(account).collect::<Vec<AccountOf>>())
        })
    }

    /// Removes the tokens of a login and revokes them.
    #[pyo3(signature = (url, *, account = None))]
    fn logout(&self, url: &str, account: Option<&str>) -> PyResult<Operation> {
        let (client, key) = (self.clone(), login_key(url, account)?);
        Ok(Operation::new(async move { client.log_out(key).await }))
    }

    /// Removes the tokens of a login without revoking them.
    #[pyo3(signature = (url, *, account = None))]
    fn remove(&self, url: &str, account: Option<&str>) -> PyResult<Operation> {
        let (client, key) = (self.clone(), login_key(url, account)?);
        Ok(Operation::new(async move {
            let library = client.library().await?;
            library.remove(key).await.map_err(exception)
        }))
    }

    /// Waits until refreshed tokens are saved.
    fn flush(&self) -> Operation {
        let client = self.clone();
        Operation::new(async move {
            if let Some(library) = client.0.opened.with(|opened| opened.library.clone()) {
                library.flush().await;
            }
            Ok(())
        })
    }

    /// The store spec.
    #[getter]
    fn store(&self) -> &str {
        self.0.options.store.label()
    }
}

impl Client {
    /// Returns the client of this process, and opens its store first.
    pub(crate) async fn library(&self) -> PyResult<Library> {
        let slot = self.0.opened.slot();
        let opened = slot.get_or_make(self.0.options.open()).await;
        opened.map(|opened| opened.library.clone())
    }

    pub(crate) async fn log_out(
        &self,
        key: LoginKey,
    ) -> PyResult<(bool, &'static str, Option<String>)> {
        let library = self.library().await?;
        let logout = library.logout(key).await.map_err(exception)?;
        let (remote, error) = match logout.remote {
            RevocationOutcome::Revoked => ("revoked", None),
            RevocationOutcome::AccessTokenNotRevoked => ("access_token_not_revoked", None),
            RevocationOutcome::NothingToRevoke => ("nothing_to_revoke", None),
            RevocationOutcome::NotSupported => ("not_supported", None),
            RevocationOutcome::Failed(error) => ("failed", Some(error.to_string())),
            _ => ("failed", None),
        };
        Ok((logout.removed, remote, error))
    }
}

impl From<ClientOptions> for Client {
    fn from(options: ClientOptions) -> Self {
        Self(Arc::new(Shared {
            options,
            opened: PerProcess::new(None),
        }))
    }
}

impl ClientOptions {
    async fn open(&self) -> PyResult<Opened> {
        let store = self.store.open().await;
        let store = store
            .map_err(mcp_client_oauth::Error::from)
            .map_err(exception)?;
        let mut builder = Library::builder()
            .store(store.clone())
            .interaction(self.interaction.clone());
        if let Some(name) = &self.client_name {
            builder = builder.client_name(name);
        }
        if let Some((url, key)) = self.client_metadata.clone() {
            builder = builder.client_metadata_url(url, key);
        }
        if self.public_networks_only {
            builder = builder.public_networks_only();
        }
        let store = Arc::new(store);
        runtime::register(&store);
        let library = builder.build().await.map_err(exception)?;
        Ok(Opened { library, store })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(store) = self.opened.with(|opened| Arc::clone(&opened.store)) {
            runtime::flush_later(store);
        }
    }
}

/// Returns the key of a login.
pub(crate) fn login_key(url: &str, account: Option<&str>) -> PyResult<LoginKey> {
    let key = LoginKey::try_from(url).map_err(exception)?;
    Ok(match account {
        Some(account) => key.with_account(account),
        None => key,
    })
}

/// Returns the account of a key.
pub(crate) fn account_of(key: &LoginKey) -> Option<String> {
    key.account().map(str::to_owned)
}

/// Parses the URL of a client metadata document, and its key.
pub(crate) fn client_metadata(
    url: Option<&str>,
    key: Option<&str>,
) -> PyResult<Option<(Url, Option<PrivateKey>)>> {
    let key = key
        .map(|key| private_key("client_metadata_key", key))
        .transpose()?;
    match url {
        Some(url) => Ok(Some((headers::url("client_metadata_url", url)?, key))),
        None if key.is_some() => Err(PyTypeError::new_err(
            "client_metadata_key is given without client_metadata_url",
        )),
        None => Ok(None),
    }
}

/// Parses a private key in PEM.
pub(crate) fn private_key(name: &str, pem: &str) -> PyResult<PrivateKey> {
    PrivateKey::from_pem(pem).map_err(|error| invalid(name, error))
}

/// Wraps a secret.
pub(crate) fn secret(text: String) -> Secret<String> {
    Secret::new(text)
}
