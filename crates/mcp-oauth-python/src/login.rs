//! A login with the arguments of Python, and its outcomes.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use mcp_client_oauth::{
    Secret,
    error::AuthorizationError,
    flow::{Challenge, Issuer, Scope},
};
use pyo3::prelude::*;

use crate::{
    client::{Client, client_metadata, login_key, private_key},
    errors::{exception, invalid},
    grant::GrantArgument,
    headers,
    login_options::LoginOptions,
    operation::Operation,
    session::Session,
};

/// A login that was configured. It can be run several times.
#[pyclass(frozen, module = "mcp_client_oauth._native")]
pub(crate) struct Login {
    client: Client,
    options: Arc<LoginOptions>,
}

/// The scope of a login: one text, or a list of scopes.
#[derive(FromPyObject)]
enum ScopeArgument {
    Text(String),
    List(Vec<String>),
}

#[pymethods]
impl Login {
    #[new]
    #[expect(
        clippy::too_many_arguments,
        clippy::fn_params_excessive_bools,
        reason = "each is a keyword argument of Python"
    )]
    #[pyo3(signature = (
        client, url, *, account = None, scope = None, grant = None, client_id = None,
        client_secret = None, private_key = None, client_issuer = None, client_metadata_url = None,
        client_metadata_key = None, client_name = None, redirect_port = None, redirect_uri = None,
        timeout = None, return_to = None, reauthenticate = false, force = false,
        reuse_issuer_login = false, dpop = None, legacy = false, challenge = None,
        server_metadata = None, quirks = None
    ))]
    fn new(
        client: &Client,
        url: &str,
        account: Option<&str>,
        scope: Option<ScopeArgument>,
        grant: Option<GrantArgument>,
        client_id: Option<String>,
        client_secret: Option<String>,
        private_key: Option<&str>,
        client_issuer: Option<String>,
        client_metadata_url: Option<&str>,
        client_metadata_key: Option<&str>,
        client_name: Option<String>,
        redirect_port: Option<u16>,
        redirect_uri: Option<&str>,
        timeout: Option<f64>,
        return_to: Option<String>,
        reauthenticate: bool,
        force: bool,
        reuse_issuer_login: bool,
        dpop: Option<bool>,
        legacy: bool,
        challenge: Option<&str>,
        server_metadata: Option<&str>,
        quirks: Option<&str>,
    ) -> PyResult<Self> {
        let options = LoginOptions {
            key: login_key(url, account)?,
            scope: scope.map(ScopeArgument::scope).transpose()?.flatten(),
            grant: grant
                .map(GrantArgument::grant)
                .transpose()?
                .unwrap_or_default(),
            client_id,
            client_secret: client_secret.map(Secret::new),
            private_key: private_key
                .map(|key| self::private_key("private_key", key))
                .transpose()?,
            client_issuer: client_issuer.map(Issuer::from),
            client_metadata: client_metadata(client_metadata_url, client_metadata_key)?,
            client_name,
            redirect_port,
            redirect_uri: redirect_uri
                .map(|uri| headers::url("redirect_uri", uri))
                .transpose()?,
            timeout: timeout.map(headers::seconds).transpose()?,
            return_to,
            reauthenticate,
            force,
            reuse_issuer_login,
            dpop,
            legacy,
            challenge: challenge.map(self::challenge).transpose()?,
            server_metadata: server_metadata
                .map(|json| parse("server_metadata", json))
                .transpose()?,
            quirks: quirks.map(|json| parse("quirks", json)).transpose()?,
        };
        Ok(Self {
            client: client.clone(),
            options: Arc::new(options),
        })
    }

    /// Returns the stored session, or logs in.
    fn run(&self) -> Operation {
        let (client, options) = (self.client.clone(), Arc::clone(&self.options));
        Operation::new(async move {
            let library = client.library().await?;
            let session = options.apply(&library).await.map_err(exception)?;
            Ok(Session::opened(client, options, session))
        })
    }

    /// Returns the stored session; none if there is no login.
    fn stored(&self) -> Operation {
        let (client, options) = (self.client.clone(), Arc::clone(&self.options));
        Operation::new(async move {
            let library = client.library().await?;
            match options.apply(&library).stored().await {
                Ok(session) => Ok(Some(Session::opened(client, options, session))),
                Err(error) if is_login_required(&error) => Ok(None),
                Err(error) => Err(exception(error)),
            }
        })
    }

    /// Returns a session that logs in when that is necessary. Nothing is read before it is used.
    fn on_demand(&self) -> Session {
        Session::on_demand(self.client.clone(), Arc::clone(&self.options))
    }

    /// Begins a login that another request finishes: the URL to send the browser to, and the secret of the
    /// browser.
    fn begin(&self) -> Operation {
        let (client, options) = (self.client.clone(), Arc::clone(&self.options));
        Operation::new(async move {
            let library = client.library().await?;
            let begun = options.apply(&library).begin().await.map_err(exception)?;
            Ok((begun.url.to_string(), begun.browser_secret.expose().clone()))
        })
    }
}

impl ScopeArgument {
    fn scope(self) -> PyResult<Option<Scope>> {
        let text = match self {
            Self::Text(text) => text,
            Self::List(scopes) => scopes.join(" "),
        };
        if text.is_empty() {
            return Ok(None);
        }
        let scope = text.parse().map_err(mcp_client_oauth::Error::Scope);
        scope.map(Some).map_err(exception)
    }
}

/// Returns whether there is no stored login.
fn is_login_required(error: &mcp_client_oauth::Error) -> bool {
    use mcp_client_oauth::Error::Authorization;
    matches!(error, Authorization(AuthorizationError::LoginRequired(_)))
}

/// Parses the value of a `WWW-Authenticate` header.
fn challenge(value: &str) -> PyResult<Challenge> {
    let value = HeaderValue::from_str(value).map_err(|error| invalid("challenge", error))?;
    let headers = HeaderMap::from_iter([(header::WWW_AUTHENTICATE, value)]);
    Ok(Challenge::from_headers(StatusCode::UNAUTHORIZED, &headers).unwrap_or_default())
}

fn parse<T: serde::de::DeserializeOwned>(name: &str, json: &str) -> PyResult<T> {
    serde_json::from_str(json).map_err(|error| invalid(name, error))
}
