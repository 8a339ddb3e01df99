//! A login that is requested through the client: one elicitation for all calls that need it.

use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use super::{
    login_state::{Declined, Elicited, Login, Opener},
    state::ServerConnection,
};
use crate::{
    elicitation::{Action, Elicitation},
    login_page::LoginPage,
    random::random_text,
};

/// The time for which a login that waits for the user is worth waiting for, from its elicitation.
const LOGIN_TIME: Duration = Duration::from_secs(5 * 60);
/// The time after which `log_in` opens the browser again: the user may have closed it.
const REOPEN_TIME: Duration = Duration::from_secs(30);

/// The next step of a call that needs a login.
pub(crate) enum Step {
    /// It requests the login from its client.
    Elicit(Elicitation, Waiting),
    /// It waits for the login that another call has requested.
    Wait(Waiting),
    /// It ends with this text.
    Refuse(String),
}

/// The outcome of waiting for a login.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Done,
    /// The user has declined, or the login has failed: the text for the client.
    Ended(String),
    TimedOut,
}

/// Counts a call among those that wait for an elicitation, until it is dropped.
#[must_use = "the call does not count any more when it is dropped"]
pub(crate) struct Waiting {
    connection: ServerConnection,
    id: Option<String>,
}

impl Waiting {
    /// Returns the id of the elicitation that the call waits for.
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let id = self.id.take();
        self.connection.change_elicited(id.as_deref(), |elicited| {
            elicited.calls = elicited.calls.saturating_sub(1);
        });
    }
}

impl ServerConnection {
    /// Returns whether the server requires a login that is not done.
    pub(crate) fn is_login_pending(&self) -> bool {
        let login = self.0.login.borrow();
        login.is_running || login.has_failed
    }

    /// Starts the login if necessary, and returns what a call does about it. `retry_time` is the time in
    /// which a client that got an elicitation in a result retries the call; none if the call itself waits.
    /// Waits for the URL of the login, at most `limit`.
    pub(crate) async fn request_login(
        &self,
        limit: Duration,
        retry_time: Option<Duration>,
    ) -> Step {
        if self.declined_text().is_some() {
            // The user may have run the command meanwhile.
            self.check_store().await;
            if let Some(text) = self.declined_text() {
                return Step::Refuse(text);
            }
        }
        self.request_start(Opener::Client);
        let mut login = self.0.login.subscribe();
        tokio::select! {
            _known = login.wait_for(|login| login.target.is_some() || !login.is_running) => {}
            () = self.platform().clock.sleep(limit) => {}
        }
        let now = self.platform().clock.now();
        let mut step = None;
        self.0.login.send_if_modified(|login| {
            step = Some(self.step(login, now, retry_time));
            false
        });
        step.unwrap_or_else(|| Step::Refuse(self.login_text()))
    }

    fn step(&self, login: &mut Login, now: SystemTime, retry_time: Option<Duration>) -> Step {
        let waiting = |id| Waiting {
            connection: self.clone(),
            id,
        };
        let Some(target) = &login.target else {
            return Step::Wait(waiting(None));
        };
        if let Some(elicited) = &mut login.elicited
            && elicited.is_shared(now, retry_time)
        {
            elicited.calls += 1;
            return Step::Wait(waiting(Some(elicited.id.clone())));
        }
        let link = login.page.as_ref().and_then(LoginPage::new_link);
        let (Some(link), Some(id)) = (link, random_text()) else {
            return Step::Refuse(self.text_with_command(&self.login_text()));
        };
        let server = self.url().host_str().unwrap_or_default();
        let why = match login.scope {
            Some(_) => "requires more access",
            None => "requires a login",
        };
        let message = format!(
            "{server} {why}. The link leads to the login page of {}.",
            target.host()
        );
        login.elicited = Some(Elicited {
            id: id.clone(),
            issued_at: now,
            calls: 1,
            is_accepted: false,
        });
        let elicitation = Elicitation {
            id: id.clone(),
            link,
            message,
        };
        Step::Elicit(elicitation, waiting(Some(id)))
    }

    /// Counts a call that its client has retried; none if the elicitation is not the current one.
    pub(crate) fn rejoin(&self, id: &str) -> Option<Waiting> {
        let joins = self.change_elicited(Some(id), |elicited| elicited.calls += 1);
        joins.then(|| Waiting {
            connection: self.clone(),
            id: Some(id.to_owned()),
        })
    }

    /// Records the action of the user. Anything but consent ends the login.
    pub(crate) fn record_action(&self, id: &str, action: Action) {
        if action == Action::Accept {
            self.change_elicited(Some(id), |elicited| elicited.is_accepted = true);
            return;
        }
        let at = self.platform().clock.now();
        self.0.login.send_if_modified(|login| {
            let is_current = login.elicited.as_ref().is_some_and(|it| it.id == id);
            if is_current {
                tracing::info!(?action, "the login was not agreed to");
                login.declined = Some(Declined { at, action });
            }
            is_current
        });
    }

    /// Returns whether a login that was requested by this elicitation is still worth waiting for.
    pub(crate) fn is_worth_waiting(&self, id: &str) -> bool {
        let now = self.platform().clock.now();
        let login = self.0.login.borrow();
        login.elicited.as_ref().is_some_and(|elicited| {
            let age = now.duration_since(elicited.issued_at);
            elicited.id == id && elicited.is_accepted && age.is_ok_and(|age| age < LOGIN_TIME)
        })
    }

    /// Waits for the end of the login, at most `limit`. `logins` was subscribed to before the request that
    /// needs it.
    pub(crate) async fn wait_for_login(
        &self,
        logins: &mut watch::Receiver<u64>,
        limit: Duration,
    ) -> Outcome {
        let mut login = self.0.login.subscribe();
        tokio::select! {
            biased;
            Ok(()) = logins.changed() => Outcome::Done,
            () = async { drop(login.wait_for(|login| !login.is_running).await) } => {
                if logins.has_changed().unwrap_or_default() {
                    return Outcome::Done;
                }
                let failed = self.0.login.borrow().text.clone();
                let ended = self.declined_text().or(failed);
                Outcome::Ended(ended.unwrap_or_else(|| self.login_text()))
            }
            () = self.platform().clock.sleep(limit) => Outcome::TimedOut,
        }
    }

    /// Returns the message while a login that the user has declined is not requested again.
    pub(crate) fn declined_text(&self) -> Option<String> {
        let now = self.platform().clock.now();
        let declined = self.0.login.borrow().declined(now)?;
        let what = match declined.action {
            Action::Accept | Action::Decline => "login declined",
            Action::Cancel => "login cancelled",
            Action::Unsupported => "login required, and the application did not show its link",
        };
        Some(self.text_with_command(what))
    }

    /// Returns the message that a login is required, without its URL.
    pub(crate) fn text_without_url(&self) -> String {
        let text = self.0.login.borrow().text.clone();
        self.text_with_command(&text.unwrap_or_else(|| self.login_text()))
    }

    /// Adds the command that logs in, if there is one.
    fn text_with_command(&self, text: &str) -> String {
        // A plain login would use the stored one, while its access token has not expired.
        match self.host().login_command(self.has_session()) {
            Some(command) => format!("{text}; to log in, run `{command}` in a terminal"),
            None => text.to_owned(),
        }
    }

    /// Opens the login in the browser again, if the host has opened it some time ago.
    pub(crate) async fn reopen_login(&self) {
        let now = self.platform().clock.now();
        let mut target = None;
        self.0.login.send_if_modified(|login| {
            let is_old = login
                .opened_at
                .is_some_and(|at| now.duration_since(at).is_ok_and(|age| age >= REOPEN_TIME));
            if is_old {
                login.opened_at = Some(now);
                target.clone_from(&login.target);
            }
            false
        });
        if let Some(target) = target {
            target.open_by(&*self.platform().interaction).await;
        }
    }

    /// Changes the current elicitation, if it has this id. Returns whether it has.
    fn change_elicited(&self, id: Option<&str>, change: impl FnOnce(&mut Elicited)) -> bool {
        let mut is_current = false;
        self.0.login.send_if_modified(|login| {
            if let Some(elicited) = &mut login.elicited
                && Some(elicited.id.as_str()) == id
            {
                is_current = true;
                change(elicited);
            }
            false
        });
        is_current
    }
}
