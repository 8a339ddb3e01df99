//! A login beside the calls: the client has its answers meanwhile, and learns when it is done.

use std::{
    fs::File,
    io::ErrorKind,
    path::Path,
    sync::{Arc, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use mcp_client_oauth::{
    Ensured, Error, Session, TokenSource as _,
    platform::{DevicePrompt, Interaction},
    proto::{challenge::Challenge, scope::Scope},
};
use tokio::sync::watch;
use url::Url;

use super::{
    login_state::{Login, LoginNeeded},
    state::ServerConnection,
};
use crate::{error::Failure, login_flow::LoginFlow, terminal::Terminal};

/// Says how long a call waits to learn where the person can log in.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Says how often one that waits for somebody else's login looks whether it is done.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Says how often one that waits for its own person looks whether another login is done.
const GLANCE_ASIDE: Duration = Duration::from_secs(2);
/// Says how often one looks whose own login has failed.
const RARE_GLANCE: Duration = Duration::from_secs(30);

impl ServerConnection {
    /// Moves with every login that is done.
    pub(crate) fn logins(&self) -> watch::Receiver<u64> {
        self.0.logins.subscribe()
    }

    /// Returns what a person has to do, once it is known where.
    pub(crate) async fn wanted(&self) -> LoginNeeded {
        let mut login = self.0.login.subscribe();
        let known = login.wait_for(|login| login.is_told || !login.is_running);
        tokio::select! {
            _known = known => {}
            () = self.platform().clock.sleep(TIMEOUT) => {}
        }
        self.0.login.borrow().wanted.clone()
    }

    /// The person wants something again: a login that has failed begins anew.
    pub(crate) fn retry_login(&self) {
        let again = |login: &mut Login| std::mem::take(&mut login.has_failed);
        if self.0.login.send_if_modified(again) {
            self.log_in(None, None);
        }
    }

    /// Begins a login, unless one is under way or has failed.
    pub(super) fn log_in(&self, challenge: Option<Challenge>, scope: Option<Scope>) {
        let begins = self.0.login.send_if_modified(|login| {
            let begins = !login.is_running && !login.has_failed;
            if begins {
                let text = format!("login required: {} asks for one", self.url());
                let wanted = LoginNeeded { url: None, text };
                *login = Login {
                    is_running: true,
                    wanted,
                    ..Login::default()
                };
            }
            begins
        });
        if begins {
            let door = self.clone();
            let task = tokio::spawn(async move { door.run_login(challenge, scope).await });
            let mut work = self.0.work.lock().unwrap_or_else(PoisonError::into_inner);
            // One that has failed looks at the store no more.
            if let Some(failed) = work.replace(task.abort_handle()) {
                failed.abort();
            }
        }
    }

    /// After a login that has failed: somebody may have logged in elsewhere since.
    pub(crate) async fn look(&self) {
        if self.0.login.borrow().has_failed
            && let Ok(Some(session)) = self.found_elsewhere(None).await
        {
            self.close();
            self.logged_in(session);
        }
    }

    async fn run_login(&self, challenge: Option<Challenge>, scope: Option<Scope>) {
        let asked = Box::pin(self.session_by_login(challenge, scope.as_ref())).await;
        let session = match asked {
            Ok(session) => session,
            Err(error) => {
                self.has_failed(error);
                self.found_later(scope.as_ref(), RARE_GLANCE).await
            }
        };
        self.logged_in(session);
    }

    fn logged_in(&self, session: Session) {
        self.go_on_with(session);
        self.0.terms.ui.progress("logged in");
        self.0.login.send_modify(|login| {
            login.is_running = false;
            login.has_failed = false;
        });
        self.0.logins.send_modify(|done| *done += 1);
    }

    fn has_failed(&self, error: Error) {
        let told = Failure::from(error).told(Some(&self.0.terms.subject));
        self.0.terms.ui.warn(&told.message);
        self.0.login.send_modify(|login| {
            login.is_running = false;
            login.has_failed = true;
            let hint = told.hint.map(|hint| format!(" ({hint})"));
            let hint = hint.unwrap_or_default();
            login.wanted = LoginNeeded {
                url: None,
                text: format!("login required: {}{hint}", told.message),
            };
        });
    }

    /// Of several processes that want it at once, one asks the person, and the others wait for what
    /// that brings.
    async fn session_by_login(
        &self,
        challenge: Option<Challenge>,
        scope: Option<&Scope>,
    ) -> Result<Session, Error> {
        let _ours = loop {
            let lock = self.0.terms.lock.as_deref().map(try_lock);
            if let Some(session) = self.found_elsewhere(scope).await? {
                return Ok(session);
            }
            match lock {
                Some(Lock::Taken) => {
                    let text = "login required: it is under way in another window";
                    self.want(None, text.to_owned());
                    self.platform().clock.sleep(POLL_INTERVAL).await;
                }
                Some(Lock::Ours(file)) => break Some(file),
                // Where no file can be locked, everybody asks for himself.
                Some(Lock::Impossible) | None => break None,
            }
        };
        let terms = &self.0.terms;
        let mut options = terms.options.clone();
        options.discovery.challenge = challenge;
        let known = self
            .0
            .pass
            .load()
            .as_ref()
            .and_then(|pass| pass.session.record().known_scope());
        let wider = Scope::union_of(known.as_ref(), scope);
        options.scope = Scope::union_of(options.scope.as_ref(), wider.as_ref());
        let herald = LoginNotifier {
            terminal: Terminal::new(terms.ui.clone(), terms.browser),
            door: self.clone(),
        };
        let platform = self.platform().clone().with_interaction(Arc::new(herald));
        let asking = LoginFlow {
            platform: &platform,
            store: &terms.store,
            url: terms.key.server(),
            anew: true,
        };
        tokio::select! {
            asked = asking.ask_as_it_fits(&options, terms.browser, terms.no_browser) => {
                asked.map(Ensured::into_session)
            }
            found = self.found_later(scope, GLANCE_ASIDE) => Ok(found),
        }
    }

    /// Returns a login that somebody else does. Nothing but the store is asked, as this goes on for long; a
    /// store that cannot be read is not asked again.
    async fn found_later(&self, scope: Option<&Scope>, pause: Duration) -> Session {
        let token = |session: &Session| session.record().tokens.access_token;
        let before = self.0.pass.load().as_ref().map(|pass| token(&pass.session));
        loop {
            self.platform().clock.sleep(pause).await;
            match self.stored().await {
                Ok(Some(session))
                    if is_wide(&session, scope) && Some(token(&session)) != before =>
                {
                    return session;
                }
                Ok(_) => {}
                Err(_) => std::future::pending().await,
            }
        }
    }

    /// Returns a login that somebody else has done since we looked, if it has what we lack.
    async fn found_elsewhere(&self, scope: Option<&Scope>) -> Result<Option<Session>, Error> {
        let Some(session) = self.stored().await? else {
            return Ok(None);
        };
        let refused = self
            .0
            .pass
            .load()
            .as_ref()
            .and_then(|pass| pass.session.cached_token());
        let token = session.token().await.ok();
        let is_other = token.is_some() && token != refused;
        Ok((is_wide(&session, scope) && is_other).then_some(session))
    }

    fn want(&self, url: Option<Url>, text: String) {
        let wanted = LoginNeeded { url, text };
        self.0.login.send_modify(|login| {
            login.wanted = wanted;
            login.is_told = true;
        });
    }
}

fn is_wide(session: &Session, scope: Option<&Scope>) -> bool {
    let known = session.record().known_scope();
    scope.is_none_or(|scope| known.is_some_and(|known| scope.missing_from(&known).is_none()))
}

enum Lock {
    Ours(File),
    Taken,
    Impossible,
}

fn try_lock(path: &Path) -> Lock {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let opened = options.create(true).append(true).open(path);
    let locked = opened.map(|file| file.try_lock().map(|()| file));
    match locked {
        Ok(Ok(file)) => Lock::Ours(file),
        Ok(Err(std::fs::TryLockError::WouldBlock)) => Lock::Taken,
        Ok(Err(std::fs::TryLockError::Error(error))) if error.kind() == ErrorKind::WouldBlock => {
            Lock::Taken
        }
        Ok(Err(_)) | Err(_) => Lock::Impossible,
    }
}

/// Tells the person on stderr and in their browser, and the client in its answers.
struct LoginNotifier {
    terminal: Terminal,
    door: ServerConnection,
}

#[async_trait]
impl Interaction for LoginNotifier {
    async fn open(&self, url: &Url) {
        let elsewhere = if self.door.0.terms.browser {
            ""
        } else {
            ", and if that is on another machine, hand the URL that it ends on to `mcp-oauth paste` \
             on this one"
        };
        let text = format!("login required: open this URL in a browser{elsewhere}: {url}");
        self.door.want(Some(url.clone()), text);
        self.terminal.open(url).await;
    }

    async fn show_code(&self, prompt: &DevicePrompt) {
        let at = &prompt.verification_uri;
        let text = format!(
            "login required: open {at} and enter the code {}",
            prompt.user_code
        );
        let complete = prompt.verification_uri_complete.as_ref();
        self.door.want(Some(complete.unwrap_or(at).clone()), text);
        self.terminal.show_code(prompt).await;
    }

    // Stdin is the client's, so nothing is pasted there; `mcp-oauth paste` is for that.
}

impl Drop for LoginNotifier {
    fn drop(&mut self) {
        self.terminal.rest();
    }
}
