//! What an application can change: how a user logs in, and the messages.

use async_trait::async_trait;
use mcp_client_oauth::{
    Client, Error, Session,
    error::AuthorizationError,
    flow::{Challenge, Scope},
    store::LoginKey,
};
use url::Url;

use crate::error::{ProxyError, UNKNOWN_OUTCOME};

/// A login that the server requires.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoginRequest {
    /// The client to log in with. Its interaction with the user is that of the proxy's client, and reports
    /// the URL of the login to the MCP client too.
    pub client: Client,
    /// The server and the account.
    pub key: LoginKey,
    /// The challenge of the response that required the login.
    pub challenge: Option<Challenge>,
    /// The scope that the server has required, and the scope of the last login.
    pub scope: Option<Scope>,
}

/// The location of the user's browser.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum UserBrowser {
    /// On this machine. A client that supports URL elicitation (MCP 2025-11-25) shows the link to the user,
    /// and other clients get it in the texts of the proxy.
    #[default]
    Local,
    /// Not known, because the proxy has no display. A client that supports URL elicitation shows the link
    /// to the user; the texts for other clients have the URL of the authorization server.
    Unknown,
    /// On another machine, as over SSH: there is no link. A client that supports URL elicitation gets only
    /// the text of [`Host::login_command`].
    Remote,
}

/// The application that a proxy is part of. Every method has a default.
///
/// ```
/// use mcp_oauth_proxy::{Host, ProxyError};
///
/// struct DesktopApp;
///
/// impl Host for DesktopApp {
///     fn hint(&self, error: &ProxyError) -> Option<String> {
///         matches!(error, ProxyError::TooLarge { .. })
///             .then(|| "raise the limit in Settings > Servers".to_owned())
///     }
/// }
/// ```
#[async_trait]
pub trait Host: Send + Sync {
    /// Returns the stored login, if there is one. It must not involve the user.
    ///
    /// The default is [`Client::session`].
    ///
    /// # Errors
    /// The store cannot be read.
    async fn stored_session(
        &self,
        client: &Client,
        key: &LoginKey,
    ) -> Result<Option<Session>, Error> {
        match client.session(key).await {
            Ok(session) => Ok(Some(session)),
            Err(Error::Authorization(AuthorizationError::LoginRequired(_))) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Logs in, although a login may be stored. The proxy drops the future if another process logs in first.
    ///
    /// The default is [`Client::login`] with the challenge, the scope and the account of `request`: it opens
    /// a browser.
    ///
    /// # Errors
    /// The login failed. The next tool call starts another one.
    async fn log_in(&self, request: LoginRequest) -> Result<Session, Error> {
        let mut login = request.client.login(request.key.server()).reauthenticate();
        if let Some(account) = request.key.account() {
            login = login.account(account);
        }
        if let Some(scope) = request.scope {
            login = login.scope(scope);
        }
        if let Some(challenge) = request.challenge {
            login = login.challenge(challenge);
        }
        login.await
    }

    /// Returns where the browser of the user runs, which decides who gets a link to a page of the proxy on
    /// loopback. The page leads to the authorization server, and a link works once.
    ///
    /// The default is [`UserBrowser::Local`].
    fn user_browser(&self) -> UserBrowser {
        UserBrowser::Local
    }

    /// Returns whether [`log_in`](Self::log_in) needs the user. If it does not, it is called as soon as the
    /// server requires a login, and nothing is requested from the user.
    ///
    /// The default is true.
    fn is_interactive(&self) -> bool {
        true
    }

    /// Takes the outcome of a login, also of one in another process.
    ///
    /// The default logs it.
    fn login_ended(&self, outcome: Result<(), &Error>) {
        match outcome {
            Ok(()) => tracing::info!("logged in"),
            Err(error) => tracing::warn!(%error, "the login failed"),
        }
    }

    /// Returns the message that a client gets instead of a response.
    ///
    /// The default is the text of the error.
    fn message(&self, error: &ProxyError) -> String {
        error.to_string()
    }

    /// Returns what the user can do about an error; it follows the message.
    ///
    /// The default has no hint.
    fn hint(&self, error: &ProxyError) -> Option<String> {
        let _ = error;
        None
    }

    /// Returns the text that a client without URL elicitation gets while a login waits for the user at
    /// `url`.
    fn browser_prompt(&self, url: &Url) -> String {
        format!("login required: open this URL in a browser: {url}")
    }

    /// Returns a command that logs in, for a model to show to the user. With `force`, it must not reuse the
    /// stored login, because the server no longer accepts it.
    ///
    /// The default has no command: the text for the model then names only the URL that a call returns.
    fn login_command(&self, force: bool) -> Option<String> {
        let _ = force;
        None
    }
}

/// The host of a proxy that sets none.
pub(crate) struct DefaultHost;

impl Host for DefaultHost {}

impl dyn Host + '_ {
    /// Returns the message about an error, with its hint.
    pub(crate) fn describe(&self, error: &ProxyError) -> String {
        let error = error.cause();
        let message = self.message(error);
        match self.hint(error) {
            Some(hint) => format!("{message} ({hint})"),
            None => message,
        }
    }

    /// Returns the message for a call that may have been carried out. It has no hint to try again: a model
    /// would follow it and cause the side effect twice.
    pub(crate) fn describe_unknown_outcome(&self, error: &ProxyError) -> String {
        format!("{}; {UNKNOWN_OUTCOME}", self.message(error.cause()))
    }
}
