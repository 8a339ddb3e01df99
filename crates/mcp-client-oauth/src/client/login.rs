//! One login: a builder, which logs in when it is awaited.

use std::{future::IntoFuture, pin::Pin, time::Duration};

use mcp_oauth_support::Secret;
use url::Url;

use super::{interactive::InteractiveSession, reuse::reuse, session::Session, state::Client};
use crate::{
    client_registration::PreregisteredClient,
    error::{Error, RegistrationError},
    grant::{Grant, RedirectTarget},
    login::{DpopPolicy, LoginOptions, log_in},
    proto::{
        challenge::Challenge,
        private_key::PrivateKey,
        scope::Scope,
        server_metadata::{Issuer, ServerMetadata},
    },
    quirks::Quirks,
    server_url::ServerUrl,
};

/// A login to one server, made by [`Client::login`]. Await it to get a [`Session`].
///
/// A stored login that satisfies the options is reused, refreshed if necessary, without the user
/// ([`Session::is_reused`]). Otherwise a new login starts. It also requests the scope that was requested or
/// granted before.
///
/// A login that fails stores nothing but the client's registration, which the next attempt reuses. Dropping
/// the future (Ctrl-C) closes the listener and stores nothing.
#[derive(Clone, Debug)]
#[must_use = "a login does nothing until it is awaited"]
pub struct Login {
    client: Client,
    pub(super) server: Result<ServerUrl, Error>,
    pub(super) options: LoginOptions,
    /// The parts of a pre-registered client, which can be given in any order.
    preregistered: Option<PreregisteredClient>,
    reauthenticate: bool,
}

impl Client {
    /// Returns a login to `server`, to be configured and awaited: a `&str`, a `String` or a [`ServerUrl`].
    /// A stored login is reused; otherwise the user logs in, by default in the browser.
    ///
    /// ```no_run
    /// # async fn run(client: mcp_client_oauth::Client) -> Result<(), mcp_client_oauth::Error> {
    /// let session = client
    ///     .login("https://mcp.example.com/mcp")
    ///     .account("work")
    ///     .scope("notes:read notes:write")
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn login<U>(&self, server: U) -> Login
    where
        U: TryInto<ServerUrl>,
        U::Error: Into<Error>,
    {
        let mut options = LoginOptions::default();
        options.identity.clone_from(self.identity());
        Login {
            client: self.clone(),
            server: server.try_into().map_err(Into::into),
            options,
            preregistered: None,
            reauthenticate: false,
        }
    }
}

impl Login {
    /// Sets the name of the account, if the user has several at the server. Each has its own login.
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.options.account = Some(account.into());
        self
    }

    /// Sets the scope to request, separated by spaces, instead of the one that the server suggests. A scope
    /// that RFC 6749 §3.3 does not allow is an error of the login.
    pub fn scope<S>(mut self, scope: S) -> Self
    where
        S: TryInto<Scope>,
        S::Error: Into<Error>,
    {
        match scope.try_into() {
            Ok(scope) => self.options.scope = Some(scope),
            Err(error) => self.server = self.server.and(Err(error.into())),
        }
        self
    }

    /// Sets the grant. Without it, the user logs in in the browser.
    pub fn grant(mut self, grant: Grant) -> Self {
        self.options.grant = grant;
        self
    }

    /// Sets the client ID of a pre-registered client. It is bound to the first issuer that it is used with
    /// (MCP authorization, Authorization Server Binding).
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.preregistered().client_id = client_id.into();
        self
    }

    /// Sets the secret of a pre-registered client.
    pub fn client_secret(mut self, secret: impl Into<Secret<String>>) -> Self {
        self.preregistered().client_secret = Some(secret.into());
        self
    }

    /// Sets the key by which a pre-registered client authenticates, instead of a secret (`private_key_jwt`,
    /// RFC 7523 §2.2).
    pub fn private_key(mut self, key: PrivateKey) -> Self {
        self.preregistered().private_key = Some(key);
        self
    }

    /// Sets the issuer that a pre-registered client is bound to. Without it, that is the first issuer that it is
    /// used with (MCP authorization, Authorization Server Binding).
    pub fn client_issuer(mut self, issuer: Issuer) -> Self {
        self.preregistered().issuer = Some(issuer);
        self
    }

    /// Sets the `https` URL of a client metadata document, and its private key if it has one; see
    /// [`ClientBuilder::client_metadata_url`](crate::ClientBuilder::client_metadata_url).
    pub fn client_metadata_url(mut self, url: Url, key: Option<PrivateKey>) -> Self {
        self.options.identity.document = Some(url);
        self.options.identity.document_key = key;
        self
    }

    /// Sets the name of the application, which the consent page shows after dynamic registration.
    pub fn client_name(mut self, name: impl Into<String>) -> Self {
        self.options.identity.client_name = name.into();
        self
    }

    /// Sets the port of the loopback redirect URI `http://127.0.0.1:PORT/callback`. Without it, the port that
    /// was registered before is used, or one that the operating system selects.
    pub fn redirect_port(mut self, port: u16) -> Self {
        self.options.redirect = RedirectTarget::Port(port);
        self
    }

    /// Sets the redirect URI. One on loopback is listened to. The response to any other (`https`,
    /// `com.example.app:/callback`) comes from
    /// [`Interaction::callback`](crate::platform::Interaction::callback), or is passed to
    /// [`Client::finish`].
    pub fn redirect_uri(mut self, uri: Url) -> Self {
        self.options.redirect = RedirectTarget::Uri(uri);
        self
    }

    /// Sets the time that the user has to authorize the client: five minutes by default, and ten for
    /// [`begin`](Self::begin). A device code may expire earlier.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// Logs in again, also if a login is stored. Its discovery and client registration are reused.
    pub fn reauthenticate(mut self) -> Self {
        self.reauthenticate = true;
        self
    }

    /// Logs in again, and repeats discovery and dynamic registration. A pre-registered client stays bound to
    /// its issuer.
    pub fn force(mut self) -> Self {
        self.options.force = true;
        self
    }

    /// Reuses a login of the same account at another resource of the same issuer, if there is one: its
    /// refresh token gets a token for this resource too, if the issuer allows that, without the user. Each
    /// resource still has its own access token.
    pub fn reuse_issuer_login(mut self) -> Self {
        self.options.reuse_issuer_login = true;
        self
    }

    /// Sets whether the tokens are bound to a key (DPoP, RFC 9449), so that a stolen token cannot be used:
    /// always or never. Without it, they are bound if the server requires that.
    pub fn dpop(mut self, is_bound: bool) -> Self {
        self.options.dpop = if is_bound {
            DpopPolicy::Always
        } else {
            DpopPolicy::Never
        };
        self
    }

    /// Sets the challenge of the response that made the login necessary: its metadata URL and scope are used.
    pub fn challenge(mut self, challenge: Challenge) -> Self {
        self.options.discovery.challenge = Some(challenge);
        self
    }

    /// Accepts a server of the revision 2025-03-26, without protected resource metadata: its own origin is
    /// then its authorization server.
    pub fn legacy(mut self) -> Self {
        self.options.discovery.legacy = true;
        self
    }

    /// Sets the metadata of the authorization server, where discovery is impossible. No metadata is requested.
    pub fn server_metadata(mut self, metadata: ServerMetadata) -> Self {
        self.options.discovery.manual = Some(metadata);
        self
    }

    /// Sets how the server differs from the specifications, in addition to what is known of its provider.
    pub fn quirks(mut self, quirks: Quirks) -> Self {
        self.options.discovery.quirks = quirks;
        self
    }

    /// Returns the session of the stored login with these options: for a grant with the source of an
    /// assertion, which no record holds. It never logs in; [`Client::session`] does the same without options.
    ///
    /// # Errors
    /// As [`Client::session`].
    pub async fn stored(self) -> Result<Session, Error> {
        let (client, server, options) = self.into_parts()?;
        let session = client
            .stored_session_or_error(&options.key(&server))
            .await?;
        Ok(Session::stored(client, options.apply_grant(session), true))
    }

    /// Returns a session that logs in by itself when a token is needed: for the first request, when the
    /// issuer finally refuses a refresh, when the server requires a wider scope or tokens that are bound to a
    /// key. If several callers need a login at once, the user is asked once.
    ///
    /// # Errors
    /// [`Error::TokenStorage`]; a server URL or scope that is not valid.
    pub async fn on_demand(self) -> Result<Session, Error> {
        let (client, server, options) = self.into_parts()?;
        let stored = client.stored_session(&options.key(&server)).await?;
        let is_reused = stored.is_some();
        let stored = stored.map(|session| options.apply_grant(session));
        let (platform, store) = (client.platform().clone(), client.store().clone());
        let session = InteractiveSession::new(platform, store, server, options, stored);
        Ok(Session::interactive(client, session, is_reused))
    }

    async fn run(self) -> Result<Session, Error> {
        let must_log_in = self.reauthenticate || self.options.force;
        let (client, server, mut options) = self.into_parts()?;
        let stored = client.stored_session(&options.key(&server)).await?;
        if let Some(session) = stored.filter(|_| !must_log_in) {
            // The record is gone after a logout in another process, or after a refresh that the server finally
            // refused. The open session may still have an access token, which the server no longer accepts.
            let is_removed = matches!(client.store().load(session.key()).await, Ok(None));
            if !is_removed && let Some(session) = reuse(&session, &options).await? {
                return Ok(Session::stored(client, session, true));
            }
            // A new login also requests the scope that was requested or granted before (MCP authorization,
            // Step-Up Authorization Flow).
            let known = session.record().known_scope();
            options.scope = Scope::union_of(options.scope.as_ref(), known.as_ref());
        }
        // On the heap: the future is large, and it should not enlarge the caller's.
        let login = Box::pin(log_in(client.platform(), client.store(), &server, &options));
        let session = client.cache(login.await?, true);
        Ok(Session::stored(client, session, false))
    }

    pub(super) fn into_parts(mut self) -> Result<(Client, ServerUrl, LoginOptions), Error> {
        let server = self.server?;
        self.client.platform().check_server(&server)?;
        if let Some(preregistered) = self.preregistered {
            if preregistered.client_id.is_empty() {
                return Err(RegistrationError::ClientIdRequired.into());
            }
            self.options.identity.preregistered = Some(preregistered);
        }
        Ok((self.client, server, self.options))
    }

    fn preregistered(&mut self) -> &mut PreregisteredClient {
        let empty = || PreregisteredClient::new(String::new(), None);
        self.preregistered.get_or_insert_with(empty)
    }
}

impl IntoFuture for Login {
    type Output = Result<Session, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
