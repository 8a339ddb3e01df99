//! Each step of a login alone, for `mcp_client_oauth.compat`.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mcp_client_oauth::{
    Client as Library, Login as LibraryLogin, Secret, ServerUrl,
    error::{AuthorizationError, RegistrationError},
    flow::{
        self, AccessToken, Challenge, ClientIdentity, Discovery, DiscoveryOptions, IdentityOptions,
        PreregisteredClient, Scope, TokenSet, TokenTypeHint,
    },
    platform::Platform,
    store::Record,
};
use pyo3::{exceptions::PyValueError, prelude::*};
use url::Url;

use crate::{
    client::Client,
    errors::{exception, invalid},
    headers,
    login_options::LoginOptions,
    named_logins::StoredClient,
    operation::Operation,
    session::Session,
    tokens::Tokens,
};

mod values;

pub(crate) use values::resource_metadata_url;
use values::{Discovered, metadata, parse_challenge, quirks};

/// The target of log records: the logger `mcp_client_oauth.compat`.
const LOG: &str = "mcp_client_oauth::compat";

/// The steps of a login to one server, and their results.
#[pyclass(frozen, module = "mcp_client_oauth._native")]
pub(crate) struct Flow(Arc<Shared>);

struct Shared {
    client: Client,
    server: ServerUrl,
    options: DiscoveryOptions,
    state: Mutex<State>,
}

/// The results of the steps so far.
#[derive(Default)]
struct State {
    discovery: Option<Discovery>,
    /// A client that the program has given.
    preregistered: Option<PreregisteredClient>,
    identity: Option<ClientIdentity>,
    pending: Option<Pending>,
}

type Exchanged = Pin<Box<dyn Future<Output = PyResult<TokenSet>> + Send>>;

/// An authorization request that waits for its callback.
struct Pending {
    /// The callback that a bare code stands for: it has the `state` and the `iss` of the request.
    callback: Url,
    /// Checks a callback and exchanges its code.
    exchange: Box<dyn FnOnce(Platform, Url) -> Exchanged + Send>,
}

#[pymethods]
impl Flow {
    /// Creates the steps of a login. With endpoints, no metadata is requested.
    #[new]
    #[pyo3(signature = (client, server_url, endpoints = None, extra_params = None, *, with_resource = true))]
    fn new(
        client: &Client,
        server_url: &str,
        endpoints: Option<BTreeMap<String, Option<String>>>,
        extra_params: Option<BTreeMap<String, String>>,
        with_resource: bool,
    ) -> PyResult<Self> {
        let server: ServerUrl = server_url.parse().map_err(exception)?;
        let mut options = DiscoveryOptions::default();
        options.legacy = true;
        options.manual = endpoints.map(|given| metadata(&given)).transpose()?;
        options.quirks = quirks(extra_params.unwrap_or_default(), with_resource)?;
        Ok(Self(Arc::new(Shared {
            client: client.clone(),
            server,
            options,
            state: Mutex::default(),
        })))
    }

    /// Sets a client that is registered with the authorization server.
    fn set_client(&self, client_id: String, client_secret: Option<String>) {
        let client = PreregisteredClient::new(client_id, client_secret.map(Secret::new));
        self.0.state().preregistered = Some(client);
    }

    /// Discovers the authorization server, with the challenge of a response if there is one.
    fn discover(&self, challenge: Option<&str>) -> PyResult<Operation> {
        let challenge = challenge.map(parse_challenge).transpose()?;
        Ok(self.operation(|flow| async move {
            let platform = flow.platform().await?;
            let discovery = flow.discover(&platform, challenge).await?;
            Ok(Discovered::from(&discovery))
        }))
    }

    /// Registers a client.
    fn register(&self, client_name: String, redirect_uri: &str) -> PyResult<Operation> {
        let redirect_uri = headers::url("redirect_uri", redirect_uri)?;
        Ok(self.operation(|flow| async move { flow.register(client_name, &redirect_uri).await }))
    }

    /// Returns the URL where the user authorizes the client. It sends no request.
    #[pyo3(signature = (redirect_uri, scope = None))]
    fn authorization_url(&self, redirect_uri: &str, scope: Option<&str>) -> PyResult<Operation> {
        let redirect_uri = headers::url("redirect_uri", redirect_uri)?;
        let scope: Option<Scope> = scope.map(str::parse).transpose().map_err(exception)?;
        Ok(self.operation(|flow| async move { flow.request(redirect_uri, scope.as_ref()).await }))
    }

    /// Exchanges a callback, or the code of one, for tokens. Each request is exchanged once.
    fn exchange(&self, code: &str, is_url: bool) -> PyResult<Operation> {
        let pending = self.0.state().pending.take();
        let Pending {
            mut callback,
            exchange,
        } = pending.ok_or_else(|| {
            PyValueError::new_err(
                "no authorization was requested: call get_authorization_url first",
            )
        })?;
        if is_url {
            callback = headers::url("callback", code)?;
        } else {
            tracing::warn!(
                target: LOG,
                "a bare code was passed: the state and the issuer of its callback are not checked; pass \
                 the whole URL of the callback"
            );
            callback.query_pairs_mut().append_pair("code", code);
        }
        Ok(self.operation(|flow| async move {
            let tokens = exchange(flow.platform().await?, callback).await?;
            Ok(Tokens::from(&tokens))
        }))
    }

    /// Requests new tokens with a refresh token.
    fn refresh(&self, refresh_token: String) -> Operation {
        self.operation(|flow| async move {
            let platform = flow.platform().await?;
            let discovery = flow.discovery(&platform).await?;
            let identity = flow.identified(&platform, &discovery).await?;
            // A refresh needs no access token; a record has one.
            let unused = AccessToken::new("unused");
            let unused = unused.ok_or_else(|| PyValueError::new_err("no token"))?;
            let mut tokens = TokenSet::new(unused, platform.clock.now());
            tokens.refresh_token = Some(Secret::new(refresh_token));
            let record = Record::new(discovery, identity, None, tokens);
            let tokens = flow::refresh(&platform, &record).await;
            Ok(Tokens::from(&tokens.map_err(exception)?))
        })
    }

    /// Revokes a token. Returns whether the server has revoked it.
    #[pyo3(signature = (token, hint = None))]
    fn revoke(&self, token: String, hint: Option<&str>) -> PyResult<Operation> {
        let hint = match hint {
            None | Some("refresh_token") => TokenTypeHint::Refresh,
            Some("access_token") => TokenTypeHint::Access,
            Some(_) => {
                return Err(invalid(
                    "token_type_hint",
                    "use access_token or refresh_token",
                ));
            }
        };
        Ok(self.operation(|flow| async move {
            let platform = flow.platform().await?;
            let discovery = flow.discovery(&platform).await?;
            let identity = flow.identified(&platform, &discovery).await?;
            let revoked = flow::revoke(&platform, &discovery, &identity, &token, hint).await;
            if let Err(error) = &revoked {
                tracing::warn!(target: LOG, "the token was not revoked: {error}");
            }
            Ok(revoked.is_ok())
        }))
    }

    /// Logs in with the client that was registered or given before, in the store of `client`.
    #[pyo3(signature = (client, account = None, redirect_uri = None, scope = None))]
    fn login(
        &self,
        client: &Client,
        account: Option<String>,
        redirect_uri: Option<&str>,
        scope: Option<&str>,
    ) -> PyResult<Operation> {
        let redirect_uri = redirect_uri
            .map(|uri| headers::url("redirect_uri", uri))
            .transpose()?;
        let scope: Option<Scope> = scope.map(str::parse).transpose().map_err(exception)?;
        let client = client.clone();
        Ok(self.operation(|flow| async move {
            let mut login = flow.login(&client.library().await?);
            if let Some(account) = account {
                login = login.account(account);
            }
            if let Some(redirect_uri) = redirect_uri {
                login = login.redirect_uri(redirect_uri);
            }
            if let Some(scope) = scope {
                login = login.scope(scope);
            }
            let session = login.await.map_err(exception)?;
            flow.keep(session.record());
            let options = LoginOptions::of_stored(session.key());
            Ok(Session::opened(client, Arc::new(options), session))
        }))
    }
}

impl Flow {
    fn operation<T, F, Fut>(&self, work: F) -> Operation
    where
        T: for<'py> IntoPyObject<'py> + Send + 'static,
        F: FnOnce(Arc<Shared>) -> Fut,
        Fut: Future<Output = PyResult<T>> + Send + 'static,
    {
        Operation::new(work(Arc::clone(&self.0)))
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn platform(&self) -> PyResult<Platform> {
        Ok(self.client.library().await?.platform().clone())
    }

    async fn discover(
        &self,
        platform: &Platform,
        challenge: Option<Challenge>,
    ) -> PyResult<Discovery> {
        let mut options = self.options.clone();
        options.challenge = challenge;
        let discovery = flow::discover(platform, &self.server, &options).await;
        let discovery = discovery.map_err(exception)?;
        self.state().discovery = Some(discovery.clone());
        Ok(discovery)
    }

    /// Returns the discovery, which is done now if it was not done before.
    async fn discovery(&self, platform: &Platform) -> PyResult<Discovery> {
        let known = self.state().discovery.clone();
        match known {
            Some(discovery) => Ok(discovery),
            None => self.discover(platform, None).await,
        }
    }

    /// Returns the discovery that was done before, or that of the given endpoints.
    async fn discovered(&self, platform: &Platform) -> PyResult<Discovery> {
        if self.state().discovery.is_none() && self.options.manual.is_none() {
            return Err(PyValueError::new_err(
                "the server is not known yet: await discover_authorization_server() first",
            ));
        }
        self.discovery(platform).await
    }

    /// Returns the client that was registered or given before.
    async fn identified(
        &self,
        platform: &Platform,
        discovery: &Discovery,
    ) -> PyResult<ClientIdentity> {
        let (registered, given) = {
            let state = self.state();
            (state.identity.clone(), state.preregistered.clone())
        };
        if let Some(registered) = registered {
            return Ok(registered);
        }
        if given.is_none() {
            return Err(PyValueError::new_err(
                "no client is registered: await register_client() first, or pass client_id",
            ));
        }
        let mut options = IdentityOptions::default();
        options.preregistered = given;
        let identity = flow::identify(platform, discovery, &options, None, None).await;
        identity.map_err(exception)
    }

    async fn register(&self, client_name: String, redirect_uri: &Url) -> PyResult<StoredClient> {
        let platform = self.platform().await?;
        let discovery = self.discovery(&platform).await?;
        let mut options = IdentityOptions::default();
        options.client_name = client_name;
        let identity =
            flow::identify(&platform, &discovery, &options, None, Some(redirect_uri)).await;
        let identity = identity.map_err(exception)?;
        let client = StoredClient::of(&identity);
        self.state().identity = Some(identity);
        client.ok_or_else(|| exception(RegistrationError::NoClient(discovery.issuer().clone())))
    }

    /// Returns the URL of an authorization request, and remembers what its callback must have.
    async fn request(&self, redirect_uri: Url, scope: Option<&Scope>) -> PyResult<String> {
        let platform = self.platform().await?;
        let discovery = self.discovered(&platform).await?;
        let identity = self.identified(&platform, &discovery).await?;
        let (url, pending) =
            flow::authorization_url(&discovery, &identity, &redirect_uri, scope, None)
                .map_err(exception)?;
        let state = url.query_pairs().find(|(name, _)| name == "state");
        let mut callback = redirect_uri;
        callback
            .query_pairs_mut()
            .append_pair("state", &state.unwrap_or_default().1);
        if discovery
            .metadata
            .authorization_response_iss_parameter_supported
        {
            let issuer = discovery.issuer().as_str();
            callback.query_pairs_mut().append_pair("iss", issuer);
        }
        let exchange = Box::new(move |platform: Platform, callback: Url| -> Exchanged {
            Box::pin(async move {
                let code = pending.accept(&callback);
                let code = code.map_err(|error| exception(AuthorizationError::Callback(error)))?;
                let tokens = flow::exchange(&platform, &discovery, &identity, &code, None).await;
                tokens.map_err(exception)
            })
        });
        self.state().pending = Some(Pending { callback, exchange });
        Ok(url.into())
    }

    /// Returns a login with the client that was registered or given before.
    fn login(&self, library: &Library) -> LibraryLogin {
        let mut login = library
            .login(self.server.clone())
            .quirks(self.options.quirks.clone())
            .legacy();
        if let Some(metadata) = self.options.manual.clone() {
            login = login.server_metadata(metadata);
        }
        let state = self.state();
        let given = state.preregistered.as_ref();
        let registered = match &state.identity {
            Some(ClientIdentity::Registered(client)) => {
                Some((&client.client_id, &client.client_secret))
            }
            _ => given.map(|client| (&client.client_id, &client.client_secret)),
        };
        if let Some((client_id, secret)) = registered {
            login = login.client_id(client_id);
            if let Some(secret) = secret.clone() {
                login = login.client_secret(secret);
            }
        }
        login
    }

    /// Keeps the results of a login for later steps.
    fn keep(&self, record: Option<Record>) {
        if let Some(record) = record {
            let mut state = self.state();
            state.discovery = Some(record.discovery);
            state.identity = Some(record.identity);
        }
    }
}
