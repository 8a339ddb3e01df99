//! The session of one login: authorized requests to its server.

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use url::Url;

use super::{interactive::InteractiveSession, state::Client};
use crate::{
    authorized_client::{self, AuthorizedClient, Credentials, RequestBuilder, ResponseHead},
    dpop::ProofGenerator,
    error::Error,
    login::pending::ReturnPath,
    logout::Logout,
    platform::AddressSpace,
    proto::{challenge::Challenge, resource_metadata::Resource, token::AccessToken},
    server_url::ServerUrl,
    store::{LoginKey, Record},
    stored_session::StoredSession,
    token_source::TokenSource,
};

/// The session of one login: it sends requests to the server with a valid token. Cloning shares it.
///
/// A token is refreshed before it expires, by one task of one process. A request that the server refuses is
/// sent again with another token. It needs a tokio runtime.
///
/// ```no_run
/// # async fn run(session: mcp_client_oauth::Session) -> Result<(), mcp_client_oauth::Error> {
/// let notes = session.get("notes").send().await?;        // https://mcp.example.com/mcp/notes
/// println!("{}", notes.status);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Session {
    client: Client,
    kind: Kind,
    is_reused: bool,
    return_to: Option<ReturnPath>,
}

#[derive(Clone, Debug)]
enum Kind {
    /// It never asks the user.
    Stored(StoredSession),
    /// It logs in when that is necessary.
    Interactive(InteractiveSession),
}

impl Client {
    /// Returns the session of a stored login: of a server URL, or of a [`LoginKey`] that names an account. It
    /// never asks the user to log in.
    ///
    /// # Errors
    /// [`AuthorizationError::LoginRequired`](crate::error::AuthorizationError::LoginRequired) if there is no
    /// login, with the remedy [`Remedy::LogIn`](crate::Remedy::LogIn); [`Error::TokenStorage`].
    pub async fn session<K>(&self, key: K) -> Result<Session, Error>
    where
        K: TryInto<LoginKey>,
        K::Error: Into<Error>,
    {
        let key = key.try_into().map_err(Into::into)?;
        let stored = self.stored_session_or_error(&key).await?;
        Ok(Session::stored(self.clone(), stored, true))
    }
}

impl Session {
    pub(super) fn stored(client: Client, session: StoredSession, is_reused: bool) -> Self {
        Self {
            client,
            kind: Kind::Stored(session),
            is_reused,
            return_to: None,
        }
    }

    pub(super) fn with_return_path(mut self, return_to: Option<ReturnPath>) -> Self {
        self.return_to = return_to;
        self
    }

    pub(super) fn interactive(
        client: Client,
        session: InteractiveSession,
        is_reused: bool,
    ) -> Self {
        Self {
            client,
            kind: Kind::Interactive(session),
            is_reused,
            return_to: None,
        }
    }

    /// Returns whether the login was stored before: the user was not asked.
    pub fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Returns the path that [`Login::return_to`](crate::Login::return_to) has set, for the session that
    /// [`Client::finish`] returns. A redirect to it stays within the application.
    pub fn return_to(&self) -> Option<&str> {
        self.return_to.as_ref().map(ReturnPath::as_str)
    }

    /// Returns the server and the account.
    pub fn key(&self) -> LoginKey {
        match &self.kind {
            Kind::Stored(session) => session.key().clone(),
            Kind::Interactive(session) => session.key(),
        }
    }

    /// Returns the current record of the login; none before the first login of a session that logs in on
    /// demand.
    pub fn record(&self) -> Option<Record> {
        self.current().map(|session| session.record())
    }

    /// Returns a `GET` request. A relative `path` is appended to the server's path: `notes` at
    /// `https://host/mcp` is `https://host/mcp/notes`. A path with a leading slash starts at the host, and an
    /// absolute URL is used as it is; a token is sent only within the resource of the server (RFC 8707 §1).
    pub fn get(&self, path: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// Returns a `POST` request; see [`get`](Self::get).
    pub fn post(&self, path: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    /// Returns a request with any method; see [`get`](Self::get).
    pub fn request(&self, method: Method, path: impl AsRef<str>) -> RequestBuilder {
        let url = self.server().join(path.as_ref());
        self.authorized().request_to(method, url)
    }

    /// Calls `send` with the credentials of a request with this `method` to `url`, and again with another
    /// token or proof if the response is a challenge. `send` can use any HTTP client. It must build the same
    /// request each time, and not follow redirects. Its last outcome is returned.
    ///
    /// ```no_run
    /// # async fn run(session: mcp_client_oauth::Session, http: reqwest::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let url: url::Url = "https://mcp.example.com/mcp/notes".parse()?;
    /// let notes = session
    ///     .send(&http::Method::GET, &url, |credentials| {
    ///         http.get(url.clone()).headers(credentials.into()).send()
    ///     })
    ///     .await??;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`OutsideResource`](crate::error::AuthorizationError::OutsideResource) if `url` is not part of the
    /// token's resource; the error of the login or the refresh if there is no token.
    pub async fn send<R, E, F, Fut>(
        &self,
        method: &Method,
        url: &Url,
        send: F,
    ) -> Result<Result<R, E>, Error>
    where
        R: ResponseHead,
        F: Fn(Credentials) -> Fut,
        Fut: Future<Output = Result<R, E>>,
    {
        authorized_client::send(self, method, url, send).await
    }

    /// Returns the credentials of one request with this `method` to `url`: the `Authorization` header, and a
    /// proof if the token is bound to a key. For a caller that sends the request itself, once; the response is
    /// not seen here, so the caller replaces a refused token
    /// ([`header_after_rejection`](Self::header_after_rejection)).
    ///
    /// ```no_run
    /// # async fn run(session: mcp_client_oauth::Session) -> Result<(), Box<dyn std::error::Error>> {
    /// let url = "https://mcp.example/mcp/notes".parse()?;
    /// let mut headers = http::HeaderMap::new();
    /// session.credentials(&http::Method::GET, &url).await?.apply(&mut headers);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn credentials(&self, method: &Method, url: &Url) -> Result<Credentials, Error> {
        authorized_client::credentials(self, method, url).await
    }

    /// Returns the `Authorization` header with a valid token, which is refreshed if necessary. A token that is
    /// bound to a key needs a proof for each request too: [`request`](Self::request) and
    /// [`send`](Self::send) send both.
    ///
    /// # Errors
    /// [`Error::TokenRefresh`], or the error of a login.
    pub async fn header(&self) -> Result<HeaderValue, Error> {
        match self.cached_header() {
            Some(header) => Ok(header),
            None => self.token().await.map(|token| token.header()),
        }
    }

    /// Returns the `Authorization` header if the token is valid: no I/O, no lock, no allocation. A token that
    /// expires soon is refreshed in the background. Right before it expires the result is `None`;
    /// [`header`](Self::header) waits for a new token then.
    pub fn cached_header(&self) -> Option<HeaderValue> {
        match &self.kind {
            Kind::Stored(session) => session.cached_header(),
            Kind::Interactive(session) => session.session()?.cached_header(),
        }
    }

    /// Returns an `Authorization` header with another token than `refused`, after a response with this
    /// `status` and these `headers`. If `refused` is no longer the current header, the current one is
    /// returned, so many tasks may call this at once. For a caller that handles a 401 by itself.
    ///
    /// # Errors
    /// As [`header`](Self::header). After a 403, that the scope was not granted, unless the session logs in
    /// on demand.
    pub async fn header_after_rejection(
        &self,
        refused: &HeaderValue,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<HeaderValue, Error> {
        let challenge = Challenge::from_headers(status, headers).unwrap_or_default();
        match AccessToken::from_header(refused) {
            Some(token) => {
                let token = self.refresh_after_rejection(&token, &challenge).await?;
                Ok(token.header())
            }
            None => self.header().await,
        }
    }

    /// Returns a valid token, refreshed if necessary.
    ///
    /// # Errors
    /// As [`header`](Self::header).
    pub async fn token(&self) -> Result<AccessToken, Error> {
        self.source().token().await
    }

    /// Returns a token that does not expire soon: this waits for a new one where [`token`](Self::token) would
    /// still return the old one. For a caller that passes the token on.
    ///
    /// # Errors
    /// As [`token`](Self::token). There is no error if the old token is still valid and the server is
    /// unavailable, or issued no refresh token.
    pub async fn token_with_margin(&self) -> Result<AccessToken, Error> {
        match self.current() {
            Some(session) => session.token_with_margin().await,
            None => self.token().await,
        }
    }

    /// Refreshes the token now, even if it has not expired.
    ///
    /// # Errors
    /// As [`token`](Self::token), and
    /// [`TokenRefreshError::NotRefreshable`](crate::error::TokenRefreshError::NotRefreshable).
    pub async fn refresh(&self) -> Result<AccessToken, Error> {
        match self.current() {
            Some(session) => session.refresh().await,
            None => self.token().await,
        }
    }

    /// Returns a client of the official MCP SDK (`rmcp`) with the tokens of this session; see
    /// [`adapters::rmcp::connect`](crate::adapters::rmcp::connect).
    ///
    /// # Errors
    /// [`ConnectError`](crate::adapters::rmcp::ConnectError).
    #[cfg(feature = "mcp")]
    pub async fn mcp(
        &self,
    ) -> Result<
        rmcp::service::RunningService<rmcp::RoleClient, rmcp::model::ClientConfig>,
        crate::adapters::rmcp::ConnectError,
    > {
        let network = crate::platform::ReqwestClient::default();
        crate::adapters::rmcp::connect(self.clone(), &network, None).await
    }

    /// Removes the tokens of this login and revokes them at the server.
    ///
    /// # Errors
    /// As [`Client::logout`].
    pub async fn logout(&self) -> Result<Logout, Error> {
        self.client.logout(self.key()).await
    }

    /// Waits until the current refresh has ended, its tokens are saved, and the locks are released. Call it
    /// before the process ends, with a time limit: saving to a store that fails is retried for about an
    /// hour.
    pub async fn flush(&self) {
        if let Some(session) = self.current() {
            session.flush().await;
        }
    }

    fn authorized(&self) -> AuthorizedClient {
        AuthorizedClient::new(self.client.platform().clone(), self.clone())
    }

    fn source(&self) -> &dyn TokenSource {
        match &self.kind {
            Kind::Stored(session) => session,
            Kind::Interactive(session) => session,
        }
    }

    fn current(&self) -> Option<StoredSession> {
        match &self.kind {
            Kind::Stored(session) => Some(session.clone()),
            Kind::Interactive(session) => session.session(),
        }
    }
}

#[async_trait]
impl TokenSource for Session {
    fn resource(&self) -> Option<Resource> {
        self.source().resource()
    }

    fn server(&self) -> &ServerUrl {
        self.source().server()
    }

    fn address_space(&self) -> AddressSpace {
        self.source().address_space()
    }

    fn cached_token(&self) -> Option<AccessToken> {
        self.source().cached_token()
    }

    fn mcp_extension(&self) -> Option<&'static str> {
        self.source().mcp_extension()
    }

    fn proof_generator(&self) -> Option<Arc<ProofGenerator>> {
        self.source().proof_generator()
    }

    async fn token(&self) -> Result<AccessToken, Error> {
        self.source().token().await
    }

    async fn refresh_after_rejection(
        &self,
        refused: &AccessToken,
        challenge: &Challenge,
    ) -> Result<AccessToken, Error> {
        self.source()
            .refresh_after_rejection(refused, challenge)
            .await
    }
}
