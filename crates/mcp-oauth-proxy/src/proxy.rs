//! The proxy, and its options.

use std::{path::PathBuf, sync::Arc, time::Duration};

use http::HeaderMap;
use mcp_client_oauth::{Client, Error, Secret, store::LoginKey};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use url::Url;

use crate::{
    connection::{ConnectionConfig, ServerConnection},
    error::ProxyError,
    filter::Filter,
    host::{DefaultHost, Host},
    lines::Lines,
    listen::Endpoint,
    login_files::LoginFiles,
    pipes, serving,
    settings::{LOGIN_WAIT, Limits, Settings, Transport},
    stdio,
};

/// A proxy for one server and one account. The [crate documentation](crate) has an example.
///
/// Each `serve` method ends a login in progress when it ends or is dropped.
pub struct Proxy {
    connection: ServerConnection,
    settings: Settings,
    bearer: Option<Secret<String>>,
}

impl Proxy {
    /// Returns a builder for a proxy that uses the logins, the network and the user interaction of `client`.
    /// `server` is a `&ServerUrl`, or a [`LoginKey`] if an account has a name.
    pub fn builder(client: &Client, server: impl Into<LoginKey>) -> ProxyBuilder {
        ProxyBuilder {
            client: client.clone(),
            key: server.into(),
            host: None,
            headers: HeaderMap::new(),
            transport: Transport::default(),
            limits: Limits::DEFAULT,
            hidden_tools: Vec::new(),
            login_wait: LOGIN_WAIT,
            directory: None,
            server_info: None,
            bearer: None,
        }
    }

    /// Returns the URL of the server.
    pub fn url(&self) -> &Url {
        self.connection.url()
    }

    /// Serves the client at the stdin and stdout of this process, until it closes one of them. Nothing else
    /// may use them.
    ///
    /// Two threads read and write. The one that reads cannot be cancelled: it ends with the process, or after
    /// the next line.
    pub async fn serve_stdio(self) {
        self.serve_lines(stdio::open()).await;
    }

    /// Serves a client that writes its messages to `reader`, one per line, and reads from `writer`. It
    /// ends when the client closes one of them; dropping the future ends it at once.
    ///
    /// ```no_run
    /// # async fn run(proxy: mcp_oauth_proxy::Proxy) {
    /// let (app, pipes) = tokio::io::duplex(1 << 16);         // `app` is for an MCP client
    /// let (reader, writer) = tokio::io::split(pipes);
    /// proxy.serve(reader, writer).await;
    /// # }
    /// ```
    pub async fn serve<R, W>(self, reader: R, writer: W)
    where
        R: AsyncRead + Send + 'static,
        W: AsyncWrite + Send + 'static,
    {
        self.serve_lines(pipes::open(reader, writer)).await;
    }

    /// Serves HTTP clients at a listener on loopback, at the path of the server's URL and at `/`, until the
    /// future is dropped. It adds the token to each request, and otherwise changes none.
    ///
    /// Requests with another `Host`, or with the `Origin` of a web page, are refused. Every process on this
    /// machine can use the endpoint, unless [`bearer_token`](ProxyBuilder::bearer_token) is set.
    ///
    /// ```no_run
    /// # async fn run(proxy: mcp_oauth_proxy::Proxy) -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// println!("http://{}{}", listener.local_addr()?, proxy.url().path());
    /// proxy.serve_http(listener).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ProxyError::NotLoopback`], [`ProxyError::CannotHideTools`], [`ProxyError::Listener`].
    pub async fn serve_http(self, listener: TcpListener) -> Result<(), ProxyError> {
        let address = listener.local_addr();
        let address = address.map_err(|error| ProxyError::Listener(error.to_string()))?;
        if !address.ip().is_loopback() {
            return Err(ProxyError::NotLoopback(address));
        }
        if self.settings.filter.hides_any() {
            return Err(ProxyError::CannotHideTools);
        }
        let _closing = self.connection.close_on_drop();
        // A client that cannot open a login is known only when its request has failed.
        self.connection.set_opens_by_client(true);
        Endpoint::new(self.connection, address, self.bearer, self.settings)
            .serve(listener)
            .await;
        Ok(())
    }

    async fn serve_lines(self, lines: Lines) {
        let _closing = self.connection.close_on_drop();
        serving::serve(self.connection, self.settings, lines).await;
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// The options of a [`Proxy`].
#[must_use]
pub struct ProxyBuilder {
    client: Client,
    key: LoginKey,
    host: Option<Arc<dyn Host>>,
    headers: HeaderMap,
    transport: Transport,
    limits: Limits,
    hidden_tools: Vec<String>,
    login_wait: Duration,
    directory: Option<PathBuf>,
    server_info: Option<(String, String)>,
    bearer: Option<Secret<String>>,
}

impl ProxyBuilder {
    /// Sets how a user logs in, and the messages. By default a login opens a browser.
    pub fn host(mut self, host: impl Host + 'static) -> Self {
        self.host = Some(Arc::new(host));
        self
    }

    /// Adds these headers to each request. With `Authorization` among them, no token is added, and there is
    /// no login.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// Sets the transports to try, and their order. An HTTP endpoint does not use it.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Sets how long the server may take to begin a response; five minutes by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.limits.timeout = timeout;
        self
    }

    /// Sets the size of the largest message of the server, in bytes; 64 MiB by default. An HTTP endpoint
    /// does not use it.
    pub fn max_response(mut self, bytes: usize) -> Self {
        self.limits.size = bytes;
        self
    }

    /// Hides tools from the client, and refuses calls of them. `*` in a name matches any text.
    pub fn hide_tools(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.hidden_tools = names.into_iter().map(Into::into).collect();
        self
    }

    /// Sets how long a call waits for a login that its client shows to the user, or that the tool `log_in` has
    /// started; 50 seconds by default, because clients give up a call after a minute. Then the call gets a
    /// text, and the login goes on.
    pub fn login_wait(mut self, limit: Duration) -> Self {
        self.login_wait = limit;
        self
    }

    /// Sets a directory for two files of each login: the capabilities of the server, for a client that starts
    /// while the server is unreachable, and a lock, so that one process at a time logs in. It is created
    /// for its owner only. Without it, nothing is remembered, and each process starts its own login.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Sets the name and the version that a client sees before the server is reached.
    pub fn server_info(mut self, name: impl Into<String>, version: impl Into<String>) -> Self {
        self.server_info = Some((name.into(), version.into()));
        self
    }

    /// Sets the bearer token that the clients of an HTTP endpoint must send.
    pub fn bearer_token(mut self, token: Secret<String>) -> Self {
        self.bearer = Some(token);
        self
    }

    /// Opens the stored login, if there is one. Starts no login, and sends nothing to the server.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn build(self) -> Result<Proxy, Error> {
        let directory = self.directory.as_deref();
        let files = directory.and_then(|directory| LoginFiles::create(directory, &self.key));
        let server_info = self.server_info.unwrap_or_else(|| {
            let version = env!("CARGO_PKG_VERSION");
            ("mcp-oauth".to_owned(), version.to_owned())
        });
        let settings = Settings {
            transport: self.transport,
            limits: self.limits,
            filter: Filter::new(self.hidden_tools),
            login_wait: self.login_wait,
            server_info,
            capability_file: files.as_ref().map(|files| files.path("json")),
        };
        let config = ConnectionConfig {
            client: self.client,
            files,
            key: self.key,
            host: self.host.unwrap_or_else(|| Arc::new(DefaultHost)),
            headers: self.headers,
        };
        Ok(Proxy {
            connection: ServerConnection::open(config).await?,
            settings,
            bearer: self.bearer,
        })
    }
}

impl std::fmt::Debug for ProxyBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProxyBuilder")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
