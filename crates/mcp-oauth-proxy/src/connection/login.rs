//! A login in the background: the client gets responses meanwhile, and a notification when it is done.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use mcp_client_oauth::{
    Error, Session,
    adapters::TokenSource as _,
    flow::{Challenge, Scope},
    platform::{DevicePrompt, Interaction},
};
use mcp_oauth_support::mutex::lock;
use tokio::sync::watch;
use url::Url;

use super::{
    login_state::{Login, LoginNeeded},
    state::{Inner, ServerConnection},
};
use crate::{
    error::ProxyError,
    host::LoginRequest,
    login_files::{LoginFiles, LoginLock},
};

/// The time that a call waits for the URL of the login.
const LOGIN_URL_TIMEOUT: Duration = Duration::from_secs(3);
/// The poll interval of a process that waits for the login of another process.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The poll interval for other logins while the own login waits for the user.
const OTHER_LOGIN_POLL_INTERVAL: Duration = Duration::from_secs(2);
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
        let known = login.wait_for(|login| login.is_ready || !login.is_running);
        tokio::select! {
            _known = known => {}
            () = self.platform().clock.sleep(LOGIN_URL_TIMEOUT) => {}
        }
        self.0.login.borrow().needed.clone()
    }

    /// Starts a failed login again, because the user has made another request that needs it.
    pub(crate) fn retry_login(&self) {
        let again = |login: &mut Login| std::mem::take(&mut login.has_failed);
        if self.0.login.send_if_modified(again) {
            self.start_login(None, None);
        }
    }

    /// Starts a login, unless one is in progress or has failed.
    pub(super) fn start_login(&self, challenge: Option<Challenge>, scope: Option<Scope>) {
        let begins = self.0.login.send_if_modified(|login| {
            let begins = !login.is_running && !login.has_failed;
            if begins {
                let text = format!("login required for {}", self.url());
                let needed = LoginNeeded { url: None, text };
                *login = Login {
                    is_running: true,
                    needed,
                    ..Login::default()
                };
            }
            begins
        });
        if begins {
            let connection = self.clone();
            let task = tokio::spawn(async move { connection.run_login(challenge, scope).await });
            // A failed login stops polling the store.
            if let Some(failed) = lock(&self.0.login_task).replace(task.abort_handle()) {
                failed.abort();
            }
        }
    }

    /// Checks the store after a failed login: another process may have logged in since.
    pub(crate) async fn check_store(&self) {
        if self.0.login.borrow().has_failed
            && let Ok(Some(session)) = self.find_other_login(None).await
        {
            self.close();
            self.finish_login(session);
        }
    }

    async fn run_login(&self, challenge: Option<Challenge>, scope: Option<Scope>) {
        let outcome = Box::pin(self.session_by_login(challenge, scope.as_ref())).await;
        let session = match outcome {
            Ok(session) => session,
            Err(error) => {
                self.fail_login(error);
                self.wait_for_other_login(scope.as_ref(), FAILED_LOGIN_POLL_INTERVAL)
                    .await
            }
        };
        self.finish_login(session);
    }

    fn finish_login(&self, session: Session) {
        self.use_session(session);
        self.host().login_ended(Ok(()));
        self.0.login.send_modify(|login| {
            login.is_running = false;
            login.has_failed = false;
        });
        self.0.logins.send_modify(|done| *done += 1);
    }

    fn fail_login(&self, error: Error) {
        self.host().login_ended(Err(&error));
        let why = self.host().describe(&ProxyError::Request(error));
        self.0.login.send_modify(|login| {
            login.is_running = false;
            login.has_failed = true;
            login.needed = LoginNeeded {
                url: None,
                text: format!("login required: {why}"),
            };
        });
    }

    /// Logs in. Of several processes that need a login at the same time, one opens the browser, and the
    /// others wait for its tokens.
    async fn session_by_login(
        &self,
        challenge: Option<Challenge>,
        scope: Option<&Scope>,
    ) -> Result<Session, Error> {
        let _lock = loop {
            let lock = self.0.config.files.as_ref().map(LoginFiles::try_lock);
            if let Some(session) = self.find_other_login(scope).await? {
                return Ok(session);
            }
            match lock {
                Some(LoginLock::Held) => {
                    let text = "login required: a login is in progress in another window";
                    self.set_login_needed(None, text.to_owned());
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
        let notifier = LoginNotifier {
            of_host: Arc::clone(&self.platform().interaction),
            connection: Arc::downgrade(&self.0),
        };
        let request = LoginRequest {
            client: self.client_with(Arc::new(notifier)),
            key: self.0.config.key.clone(),
            challenge,
            scope: Scope::union_of(known.as_ref(), scope),
        };
        tokio::select! {
            outcome = self.host().log_in(request) => outcome,
            found = self.wait_for_other_login(scope, OTHER_LOGIN_POLL_INTERVAL) => Ok(found),
        }
    }

    /// Waits for the login of another process. It polls only the store, because this takes long; a store
    /// that cannot be read is not polled again.
    async fn wait_for_other_login(&self, scope: Option<&Scope>, pause: Duration) -> Session {
        let token = |session: &Session| session.record().map(|record| record.tokens.access_token);
        let before = self
            .0
            .active
            .load()
            .as_ref()
            .and_then(|active| token(&active.session));
        loop {
            self.platform().clock.sleep(pause).await;
            match self.stored_session().await {
                Ok(Some(session)) if covers_scope(&session, scope) && token(&session) != before => {
                    return session;
                }
                Ok(_) => {}
                Err(_) => std::future::pending().await,
            }
        }
    }

    /// Returns a login that another process has stored since the last check, if it has the missing scope
    /// and another access token.
    async fn find_other_login(&self, scope: Option<&Scope>) -> Result<Option<Session>, Error> {
        let Some(session) = self.stored_session().await? else {
            return Ok(None);
        };
        let refused = self
            .0
            .active
            .load()
            .as_ref()
            .and_then(|active| active.session.cached_token());
        let token = session.token().await.ok();
        let is_other = token.is_some() && token != refused;
        Ok((covers_scope(&session, scope) && is_other).then_some(session))
    }

    fn set_login_needed(&self, url: Option<Url>, text: String) {
        let needed = LoginNeeded { url, text };
        self.0.login.send_modify(|login| {
            login.needed = needed;
            login.is_ready = true;
        });
    }
}

fn covers_scope(session: &Session, scope: Option<&Scope>) -> bool {
    let known = session.record().and_then(|record| record.known_scope());
    scope.is_none_or(|scope| known.is_some_and(|known| scope.missing_from(&known).is_none()))
}

/// Shows the login to the user by the interaction of the host, and to the client in its responses.
struct LoginNotifier {
    of_host: Arc<dyn Interaction>,
    /// The session of the login keeps this value, and the connection keeps the session.
    connection: Weak<Inner>,
}

impl LoginNotifier {
    fn set_login_needed(&self, url: &Url, text: impl FnOnce(&ServerConnection) -> String) {
        if let Some(connection) = self.connection.upgrade().map(ServerConnection) {
            let text = text(&connection);
            connection.set_login_needed(Some(url.clone()), text);
        }
    }
}

#[async_trait]
impl Interaction for LoginNotifier {
    async fn open(&self, url: &Url) {
        self.set_login_needed(url, |connection| connection.host().browser_prompt(url));
        self.of_host.open(url).await;
    }

    async fn show_code(&self, prompt: &DevicePrompt) {
        let at = &prompt.verification_uri;
        let complete = prompt.verification_uri_complete.as_ref();
        self.set_login_needed(complete.unwrap_or(at), |_| {
            let code = &prompt.user_code;
            format!("login required: open {at} and enter the code {code}")
        });
        self.of_host.show_code(prompt).await;
    }

    async fn callback(&self) -> String {
        self.of_host.callback().await
    }
}
