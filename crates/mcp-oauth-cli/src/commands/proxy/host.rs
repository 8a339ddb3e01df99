//! The command as the host of the proxy: its login, its terminal, and its hints.

use std::sync::Arc;

use async_trait::async_trait;
use mcp_client_oauth::{
    Client, Error, Grant, Session,
    error::AuthorizationError,
    flow::Scope,
    platform::{DevicePrompt, Interaction},
    store::LoginKey,
};
use mcp_oauth_proxy::{Host, LoginRequest, ProxyError, UserBrowser};
use url::Url;

use crate::{
    error::{Failure, RenderedError},
    hints::{Subject, forced_login},
    login_options::LoginOptions,
    terminal::Terminal,
    ui::Ui,
};

/// The command.
pub(super) struct CommandHost {
    pub(super) options: LoginOptions,
    pub(super) ui: Ui,
    pub(super) terminal: Arc<Terminal>,
    /// Is true if a browser is opened.
    pub(super) browser: bool,
    /// Is true if the user is on another machine, or has chosen that no browser is opened.
    pub(super) is_remote: bool,
    /// The server as the user typed it, for hints.
    pub(super) subject: Subject,
}

impl CommandHost {
    fn render(&self, error: &Error) -> RenderedError {
        Failure::from(error.clone()).render(Some(&self.subject))
    }
}

#[async_trait]
impl Host for CommandHost {
    async fn stored_session(
        &self,
        client: &Client,
        _: &LoginKey,
    ) -> Result<Option<Session>, Error> {
        match self.options.login(client).stored().await {
            Ok(session) => Ok(Some(session)),
            Err(Error::Authorization(AuthorizationError::LoginRequired(_))) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn log_in(&self, request: LoginRequest) -> Result<Session, Error> {
        let mut login = self.options.login(&request.client).reauthenticate();
        let stored = self.options.server.scope.as_ref();
        if let Some(scope) = Scope::union_of(stored, request.scope.as_ref()) {
            login = login.scope(scope);
        }
        if let Some(challenge) = request.challenge {
            login = login.challenge(challenge);
        }
        let _waiting = Waiting(&self.terminal);
        login.await
    }

    fn user_browser(&self) -> UserBrowser {
        match self.browser {
            true => UserBrowser::Local,
            false if self.is_remote => UserBrowser::Remote,
            // Applications start their servers with few variables, so `DISPLAY` may be missing.
            false => UserBrowser::Unknown,
        }
    }

    fn is_interactive(&self) -> bool {
        matches!(
            self.options.grant,
            Grant::Auto | Grant::Browser | Grant::DeviceCode | Grant::PreferDeviceCode
        )
    }

    fn login_ended(&self, outcome: Result<(), &Error>) {
        match outcome {
            Ok(()) => self.ui.progress("logged in"),
            Err(error) => self.ui.warn(self.render(error).message),
        }
    }

    fn message(&self, error: &ProxyError) -> String {
        match error {
            ProxyError::Request(error) => self.render(error).message,
            ProxyError::TooLarge { .. } => {
                format!("{error} of mcp-oauth proxy; --max-response raises it")
            }
            ProxyError::HeaderRejected(_) => format!("{error} of --header"),
            ProxyError::HiddenTool(_) => format!("{error} by --ignore-tool"),
            other => other.to_string(),
        }
    }

    fn hint(&self, error: &ProxyError) -> Option<String> {
        match error {
            ProxyError::Request(error) => self.render(error).hint,
            _ => None,
        }
    }

    fn browser_prompt(&self, url: &Url) -> String {
        let elsewhere = if self.browser {
            ""
        } else {
            "; if the browser is on another machine, run `mcp-oauth login --complete` on this one \
             and enter the URL of its last page"
        };
        format!("login required: open this URL in a browser{elsewhere}: {url}")
    }

    fn login_command(&self, force: bool) -> Option<String> {
        Some(if force {
            forced_login(&self.subject)
        } else {
            self.subject.login_command()
        })
    }
}

/// Removes the spinner when a login ends, also one that is cancelled.
struct Waiting<'a>(&'a Terminal);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.stop_waiting();
    }
}

/// The terminal without its input: stdin belongs to the client, so no URL can be pasted there;
/// `mcp-oauth login --complete` reads it.
pub(super) struct Display(pub(super) Arc<Terminal>);

#[async_trait]
impl Interaction for Display {
    async fn open(&self, url: &Url) {
        self.0.open(url).await;
    }

    async fn show_code(&self, prompt: &DevicePrompt) {
        self.0.show_code(prompt).await;
    }
}
