//! A login in two requests, for web applications: [`Login::begin`] and [`Client::finish`].

use mcp_oauth_support::Secret;
use url::Url;

use super::{login::Login, session::Session, state::Client};
use crate::{
    error::Error,
    login::pending::{self, BegunLogin, ReturnPath},
    proto::scope::Scope,
};

impl Login {
    /// Sets the path of the application to return to, which [`Session::return_to`] has after
    /// [`Client::finish`]: a path with one `/` at its start, percent-encoded, maybe with a query. Any other text
    /// is an error of [`begin`](Self::begin), because a redirect to it could lead the user to another site.
    pub fn return_to(mut self, path: impl Into<String>) -> Self {
        match ReturnPath::try_from(path.into()) {
            Ok(path) => self.options.return_to = Some(path),
            Err(error) => self.server = self.server.and(Err(error.into())),
        }
        self
    }

    /// Begins a login that another request finishes, on any host with the same store: for a web application. It
    /// needs a [`redirect_uri`](Self::redirect_uri), which is a page of the application, and it always begins a
    /// login, also if one is stored. It requests the scope that was requested or granted before, too, and that
    /// of a [`challenge`](Self::challenge) which demands more.
    ///
    /// The login is stored, encrypted, for ten minutes ([`timeout`](Self::timeout)). One account has at most ten
    /// pending logins: a further one replaces the oldest.
    ///
    /// ```no_run
    /// # async fn run(client: mcp_client_oauth::Client, user: &str, url: url::Url, cookie: mcp_client_oauth::Secret<String>)
    /// # -> Result<(), Box<dyn std::error::Error>> {
    /// // GET /connect: redirect to `begun.url`, with the secret in a cookie that is HttpOnly, Secure and SameSite=Lax.
    /// let begun = client
    ///     .login("https://mcp.example.com/mcp")
    ///     .account(user)
    ///     .redirect_uri("https://app.example/callback".parse()?)
    ///     .return_to("/settings")
    ///     .begin()
    ///     .await?;
    ///
    /// // GET /callback: pass the whole URL, and the cookie.
    /// let session = client.finish(&url, &cookie).await?;
    /// println!("Location: {}", session.return_to().unwrap_or("/"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of each step until the browser is redirected;
    /// [`AuthorizationError::RedirectUriRequired`](crate::error::AuthorizationError::RedirectUriRequired);
    /// [`AuthorizationError::TooManyPending`](crate::error::AuthorizationError::TooManyPending) if 10,000 logins
    /// are pending in the store.
    pub async fn begin(self) -> Result<BegunLogin, Error> {
        let (client, server, mut options) = self.into_parts()?;
        if !options.force
            && let Some((record, _)) = client.store().load(&options.key(&server)).await?
        {
            let known = record.known_scope();
            options.scope = Scope::union_of(options.scope.as_ref(), known.as_ref());
        }
        let challenge = options.discovery.challenge.as_ref();
        if let Some(challenge) = challenge.filter(|challenge| challenge.is_insufficient_scope()) {
            options.scope = Scope::union_of(options.scope.as_ref(), challenge.scope.as_ref());
        }
        // On the heap: the future is large, and it should not enlarge the caller's.
        Box::pin(pending::begin(
            client.platform(),
            client.store(),
            &server,
            &options,
        ))
        .await
    }
}

impl Client {
    /// Finishes a login that [`Login::begin`] has begun, in any process or on any host with the same store, and
    /// returns its session. `callback` is the URL of the request to the redirect URI, with its query;
    /// `browser_secret` is the secret of the same browser.
    ///
    /// A callback that belongs to no pending login, or comes from another browser, changes nothing. Any other
    /// one ends the login, whatever it says: it is accepted once. If the future is dropped, the login still
    /// goes on; [`flush`](Self::flush) waits for it.
    ///
    /// # Errors
    /// [`AuthorizationError::NotPending`](crate::error::AuthorizationError::NotPending),
    /// [`AuthorizationError::OtherBrowser`](crate::error::AuthorizationError::OtherBrowser),
    /// [`AuthorizationError::TimedOut`](crate::error::AuthorizationError::TimedOut),
    /// [`AuthorizationError::Denied`](crate::error::AuthorizationError::Denied), all with the remedy
    /// [`Remedy::LogIn`](crate::Remedy::LogIn): begin again. Others as those of a [`Login`].
    pub async fn finish(
        &self,
        callback: &Url,
        browser_secret: &Secret<String>,
    ) -> Result<Session, Error> {
        let finished = pending::finish(self.platform(), self.store(), callback, browser_secret);
        let (session, return_to) = finished.await?;
        let session = self.cache(session, true);
        Ok(Session::stored(self.clone(), session, false).with_return_path(return_to))
    }
}
