//! A login in the background: the client gets responses meanwhile, and a notification when it is done.

use std::{sync::Arc, time::Duration};

use mcp_client_oauth::{
    Error, Session,
    flow::{Challenge, Scope},
};
use mcp_oauth_support::mutex::lock;
use tokio::sync::watch;

use super::{
    login_state::{Login, LoginNeeded, Opener},
    notifier::LoginNotifier,
    state::ServerConnection,
};
use crate::{
    error::ProxyError,
    host::{LoginRequest, UserBrowser},
    login_files::{LoginFiles, LoginLock},
    login_page::{LoginPage, LoginTarget},
};

/// The time that a call waits for the URL of the login.
const LOGIN_URL_TIMEOUT: Duration = Duration::from_secs(3);
/// The poll interval of a process that waits for the login of another process.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The poll interval for other logins while the own login waits for the user.
const OTHER_LOGIN_POLL_INTERVAL: Duration = Duration::from_secs(2);
/// The time after which a login that no request needs is polled for less often.
const IDLE_TIME: Duration = Duration::from_secs(5 * 60);
/// The poll interval for other logins after the own login has failed.
const FAILED_LOGIN_POLL_INTERVAL: Duration = Duration::from_secs(30);

impl ServerConnection {
    /// Returns a counter that changes with each completed login.
    pub(crate) fn logins(&self) -> watch::Receiver<u64> {
        self.0.logins.subscribe()
    }

    /// Returns what the user has to do. Waits for the URL of the login, at most [`LOGIN_URL_TIMEOUT`].
    pub(crate) async fn login_needed(&self) -> LoginNeeded {
        let mut login = self.0.login.subscribe();
        let is_known =
            |login: &Login| login.target.is_some() || login.text.is_some() || !login.is_running;
        tokio::select! {
            _known = login.wait_for(is_known) => {}
            () = self.platform().clock.sleep(LOGIN_URL_TIMEOUT) => {}
        }
        self.login_prompt()
    }

    /// Returns the message with the URL of the login, if it is known. A browser on this machine gets a link
    /// to the page of the login instead, so that its `state` is in no message.
    fn login_prompt(&self) -> LoginNeeded {
        let login = self.0.login.borrow();
        let page = login.page.as_ref();
        let page = page.filter(|_| self.host().user_browser() == UserBrowser::Local);
        let link = page.and_then(LoginPage::new_link);
        match &login.target {
            Some(LoginTarget::Browser(url)) => {
                let url = link.unwrap_or_else(|| url.clone());
                LoginNeeded {
                    text: self.host().browser_prompt(&url),
                    url: Some(url),
                }
            }
            Some(LoginTarget::Device(prompt)) => {
                let (at, code) = (&prompt.verification_uri, &prompt.user_code);
                let complete = prompt.verification_uri_complete.as_ref();
                LoginNeeded {
                    text: format!("login required: open {at} and enter the code {code}"),
                    url: Some(link.or(complete.cloned()).unwrap_or_else(|| at.clone())),
                }
            }
            None => LoginNeeded {
                url: None,
                text: login.text.clone().unwrap_or_else(|| self.login_text()),
            },
        }
    }

    /// Returns the message that a login is required.
    pub(super) fn login_text(&self) -> String {
        format!("login required for {}", self.url())
    }

    /// Lets `opener` open the login. A login that has failed is started again, because the user has made
    /// another request that needs it.
    pub(crate) fn request_start(&self, opener: Opener) {
        let now = self.platform().clock.now();
        let mut begins = false;
        self.0.login.send_if_modified(|login| {
            begins = login.has_failed && login.declined(now).is_none();
            if begins {
                login.begin(Some(opener));
                return true;
            }
            let waits = login.is_running && login.opener.is_none();
            if waits {
                login.opener = Some(opener);
            }
            waits
        });
        if begins {
            self.spawn_login();
        }
    }

    /// Starts a login, unless one is in progress or has failed. If the client opens it, it waits until a
    /// request of the client needs it.
    pub(super) fn start_login(&self, challenge: Option<Challenge>, scope: Option<&Scope>) {
        let waits = self.opens_by_client() && self.host().is_interactive();
        let begins = self.0.login.send_if_modified(|login| {
            login.require(challenge, scope);
            let begins = !login.is_running && !login.has_failed;
            if begins {
                login.begin((!waits).then_some(Opener::Host));
            }
            begins
        });
        if begins {
            self.spawn_login();
        }
    }

    fn spawn_login(&self) {
        let connection = self.clone();
        let task = tokio::spawn(async move { connection.run_login().await });
        // A failed login stops polling the store.
        if let Some(failed) = lock(&self.0.login_task).replace(task.abort_handle()) {
            failed.abort();
        }
    }

    /// Checks the store after a failed login, or before a login that no request has needed: another process
    /// may have logged in since.
    pub(crate) async fn check_store(&self) {
        let is_idle = {
            let login = self.0.login.borrow();
            login.has_failed || login.is_running && login.opener.is_none()
        };
        if is_idle && let Ok(Some(session)) = self.find_other_login(None).await {
            self.close();
            self.finish_login(session);
        }
    }

    async fn run_login(&self) {
        let outcome = tokio::select! {
            outcome = Box::pin(self.session_by_login()) => Some(outcome),
            () = self.login_declined() => None,
        };
        let session = match outcome {
            Some(Ok(session)) => session,
            failed => {
                match failed {
                    Some(Err(error)) => self.fail_login(error),
                    _ => self.0.login.send_modify(|login| login.fail(None)),
                }
                let scope = self.0.login.borrow().scope.clone();
                self.wait_for_other_login(scope.as_ref(), FAILED_LOGIN_POLL_INTERVAL)
                    .await
            }
        };
        self.finish_login(session);
    }

    /// Returns when the user has declined the login.
    async fn login_declined(&self) {
        let mut login = self.0.login.subscribe();
        // The sender lives as long as `self`.
        drop(login.wait_for(|login| login.declined.is_some()).await);
    }

    fn finish_login(&self, session: Session) {
        self.use_session(session);
        self.host().login_ended(Ok(()));
        // First, so that a call that waits sees a login that is done, and not one that has ended.
        self.0.logins.send_modify(|done| *done += 1);
        self.0.login.send_modify(|login| *login = Login::default());
    }

    fn fail_login(&self, error: Error) {
        self.host().login_ended(Err(&error));
        let why = self.host().describe(&ProxyError::Request(error));
        let text = format!("login required: {why}");
        self.0.login.send_modify(|login| login.fail(Some(text)));
    }

    /// Waits until a request needs the login, and holds no lock and no port meanwhile. Returns the login of
    /// another process, if there is one first.
    async fn wait_until_requested(&self) -> Option<Session> {
        let mut login = self.0.login.subscribe();
        let scope = login.borrow().scope.clone();
        let other = async {
            tokio::select! {
                found = self.wait_for_other_login(scope.as_ref(), OTHER_LOGIN_POLL_INTERVAL) => found,
                // An application may be open for days.
                () = self.platform().clock.sleep(IDLE_TIME) => {
                    self.wait_for_other_login(scope.as_ref(), FAILED_LOGIN_POLL_INTERVAL).await
                }
            }
        };
        tokio::select! {
            biased;
            _requested = login.wait_for(|login| login.opener.is_some()) => None,
            found = other => Some(found),
        }
    }

    /// Logs in. Of several processes that need a login at the same time, one opens the browser, and the
    /// others wait for its tokens.
    async fn session_by_login(&self) -> Result<Session, Error> {
        if let Some(found) = self.wait_until_requested().await {
            return Ok(found);
        }
        let (challenge, scope) = {
            let login = self.0.login.borrow();
            (login.challenge.clone(), login.scope.clone())
        };
        let _lock = loop {
            let lock = self.0.config.files.as_ref().map(LoginFiles::try_lock);
            if let Some(session) = self.find_other_login(scope.as_ref()).await? {
                return Ok(session);
            }
            match lock {
                Some(LoginLock::Held) => {
                    let text = "login required: a login is in progress in another window";
                    self.0
                        .login
                        .send_modify(|login| login.text = Some(text.to_owned()));
                    self.platform().clock.sleep(POLL_INTERVAL).await;
                }
                Some(LoginLock::Acquired(file)) => break Some(file),
                // Where no file can be locked, each process starts its own login.
                Some(LoginLock::Unavailable) | None => break None,
            }
        };
        let known = self
            .0
            .active
            .load()
            .as_ref()
            .and_then(|active| active.session.record()?.known_scope());
        let request = LoginRequest {
            client: self.client_with(Arc::new(LoginNotifier::new(self))),
            key: self.0.config.key.clone(),
            challenge,
            scope: Scope::union_of(known.as_ref(), scope.as_ref()),
        };
        tokio::select! {
            outcome = self.host().log_in(request) => outcome,
            found = self.wait_for_other_login(scope.as_ref(), OTHER_LOGIN_POLL_INTERVAL) => Ok(found),
        }
    }
}
