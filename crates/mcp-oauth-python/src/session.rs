//! The session of a login: headers and requests.

use std::{sync::Arc, time::UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use mcp_client_oauth::{Secret, Session as Library, flow::Scope, store::Record};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyString},
};

use crate::{
    client::{Client, account_of},
    errors::{exception, invalid},
    headers::{self, HeaderList},
    login_options::LoginOptions,
    operation::Operation,
    per_process::PerProcess,
    runtime,
};

/// A session. Cloning shares it.
#[pyclass(frozen, module = "mcp_client_oauth._native")]
#[derive(Clone)]
pub(crate) struct Session(Arc<Shared>);

struct Shared {
    client: Client,
    /// The options to open it again in a forked process.
    options: Arc<LoginOptions>,
    logs_in: bool,
    is_reused: bool,
    return_to: Option<String>,
    library: PerProcess<Library>,
}

/// A response: its status, headers and body.
struct Response(u16, HeaderList, Bytes);

impl<'py> IntoPyObject<'py> for Response {
    type Target = pyo3::types::PyTuple;
    type Output = Bound<'py, Self::Target>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        (self.0, self.1, PyBytes::new(py, &self.2)).into_pyobject(py)
    }
}

#[pymethods]
impl Session {
    /// Finishes a login that `Login.begin` began, and returns its session.
    #[staticmethod]
    fn finish(client: &Client, callback_url: &str, browser_secret: String) -> PyResult<Operation> {
        let client = client.clone();
        let callback = headers::url("callback_url", callback_url)?;
        let secret = Secret::new(browser_secret);
        Ok(Operation::new(async move {
            let library = client.library().await?;
            let session = library
                .finish(&callback, &secret)
                .await
                .map_err(exception)?;
            let options = Arc::new(LoginOptions::of_stored(session.key()));
            Ok(Self::opened(client, options, session))
        }))
    }

    /// The server URL.
    #[getter]
    fn url(&self) -> String {
        self.0.options.key.server().to_string()
    }

    /// The account.
    #[getter]
    fn account(&self) -> Option<String> {
        account_of(&self.0.options.key)
    }

    /// Says whether the login was stored before.
    #[getter]
    fn is_reused(&self) -> bool {
        self.0.is_reused
    }

    /// The path of the application to return to.
    #[getter]
    fn return_to(&self) -> Option<&str> {
        self.0.return_to.as_deref()
    }

    /// The granted scope.
    #[getter]
    fn scope(&self) -> Option<String> {
        self.of_record(|record| record.tokens.scope.clone().or(record.requested))
    }

    /// The part of the requested scope that was not granted.
    #[getter]
    fn missing_scope(&self) -> Option<String> {
        self.of_record(|record| record.missing_scope())
    }

    /// The time at which the access token expires, in seconds since 1970.
    #[getter]
    fn expires_at(&self) -> Option<f64> {
        let at = self.record()?.tokens.expires_at?;
        let at = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Some(at.as_secs_f64())
    }

    /// Returns the `Authorization` header if the token is valid now, without waiting.
    fn cached_header<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        let header = self.0.library.with(|session| {
            // A token that expires soon is refreshed in the background, by the runtime.
            runtime::enter(|| session.cached_header())
        });
        let text = |header: HeaderValue| Ok(PyString::new(py, headers::text(&header)?));
        header.flatten().map(text).transpose()
    }

    /// Returns the `Authorization` header with a valid token.
    fn header(&self) -> Operation {
        self.operation(async |session| {
            let header = session.header().await.map_err(exception)?;
            headers::text(&header).map(str::to_owned)
        })
    }

    /// Returns another header than `refused`, after a response with this status and these headers.
    fn header_after_rejection(
        &self,
        refused: &str,
        status: u16,
        headers: HeaderList,
    ) -> PyResult<Operation> {
        let refused =
            HeaderValue::from_str(refused).map_err(|_| invalid("header", "not a token"))?;
        let status = StatusCode::from_u16(status).map_err(|error| invalid("status", error))?;
        let headers = headers::challenge(headers)?;
        Ok(self.operation(async move |session| {
            let header = session
                .header_after_rejection(&refused, status, &headers)
                .await;
            let header = header.map_err(exception)?;
            headers::text(&header).map(str::to_owned)
        }))
    }

    /// Returns the headers that authorize one request: `Authorization`, and `DPoP` if the token is bound to a
    /// key.
    fn credentials(&self, method: &str, url: &str) -> PyResult<Operation> {
        let (method, url) = (headers::method(method)?, headers::url("url", url)?);
        Ok(self.operation(async move |session| {
            let credentials = session
                .credentials(&method, &url)
                .await
                .map_err(exception)?;
            Ok(headers::list(&HeaderMap::from(credentials)))
        }))
    }

    /// Sends a request, and returns status, headers and body of the response.
    #[pyo3(signature = (method, path, *, headers, body = None, timeout = None, retry_on_401 = true))]
    fn request(
        &self,
        method: &str,
        path: String,
        headers: HeaderList,
        body: Option<&Bound<'_, PyBytes>>,
        timeout: Option<f64>,
        retry_on_401: bool,
    ) -> PyResult<Operation> {
        let (method, headers) = (headers::method(method)?, headers::parse(headers)?);
        let timeout = timeout.map(headers::seconds).transpose()?;
        let body = body.map(|body| Bytes::copy_from_slice(body.as_bytes()));
        Ok(self.operation(async move |session| {
            let mut request = session.request(method, path).retry_on_401(retry_on_401);
            for (name, value) in &headers {
                request = request.header(name.clone(), value.clone());
            }
            if let Some(body) = body {
                request = request.body(body);
            }
            if let Some(timeout) = timeout {
                request = request.timeout(timeout);
            }
            let response = request.send().await.map_err(exception)?;
            let headers = headers::list(&response.headers);
            Ok(Response(response.status.as_u16(), headers, response.body))
        }))
    }

    /// Refreshes the token now.
    fn refresh(&self) -> Operation {
        self.operation(async |session| session.refresh().await.map(drop).map_err(exception))
    }

    /// Removes the tokens and revokes them.
    fn logout(&self) -> Operation {
        let session = self.clone();
        Operation::new(async move {
            let key = session.0.options.key.clone();
            session.0.client.log_out(key).await
        })
    }
}

impl Session {
    /// Creates the session of a login that is stored.
    pub(crate) fn opened(client: Client, options: Arc<LoginOptions>, library: Library) -> Self {
        Self(Arc::new(Shared {
            client,
            options,
            logs_in: false,
            is_reused: library.is_reused(),
            return_to: library.return_to().map(str::to_owned),
            library: PerProcess::new(Some(library)),
        }))
    }

    /// Creates a session that logs in when that is necessary.
    pub(crate) fn on_demand(client: Client, options: Arc<LoginOptions>) -> Self {
        Self(Arc::new(Shared {
            client,
            options,
            logs_in: true,
            is_reused: false,
            return_to: None,
            library: PerProcess::new(None),
        }))
    }

    /// Returns the session of this process, and opens it first.
    pub(crate) async fn library(&self) -> PyResult<Library> {
        self.0.open().await
    }

    /// Returns the session of this process, if it is open.
    pub(crate) fn current(&self) -> Option<Library> {
        self.0.library.with(Library::clone)
    }

    /// Returns an operation on the session of this process, which is opened first.
    fn operation<T, F, Fut>(&self, work: F) -> Operation
    where
        T: for<'py> IntoPyObject<'py> + Send + 'static,
        F: FnOnce(Library) -> Fut + Send + 'static,
        Fut: Future<Output = PyResult<T>> + Send,
    {
        let session = self.clone();
        Operation::new(async move { work(session.library().await?).await })
    }

    pub(crate) fn record(&self) -> Option<Record> {
        self.0.library.with(Library::record).flatten()
    }

    fn of_record(&self, scope: impl FnOnce(Record) -> Option<Scope>) -> Option<String> {
        Some(scope(self.record()?)?.to_string())
    }
}

impl Shared {
    async fn open(&self) -> PyResult<Library> {
        let slot = self.library.slot();
        // On the heap: a login is a large future.
        let make = Box::pin(async {
            let library = self.client.library().await?;
            let login = self.options.apply(&library);
            let session = if self.logs_in {
                login.on_demand().await
            } else {
                login.stored().await
            };
            session.map_err(exception)
        });
        slot.get_or_make(make).await.cloned()
    }
}
