//! The state of a login in the background.

use std::time::{Duration, SystemTime};

use mcp_client_oauth::flow::{Challenge, Scope};
use url::Url;

use crate::{
    elicitation::Action,
    login_page::{LoginPage, LoginTarget},
};

/// The time for which a login is not requested again after the user has declined it.
pub(super) const DECLINE_TIME: Duration = Duration::from_secs(5 * 60);

/// The instructions for the user to log in.
#[derive(Clone, Default)]
pub(crate) struct LoginNeeded {
    /// The URL of the login, once it is known.
    pub(crate) url: Option<Url>,
    /// The message to the user.
    pub(crate) text: String,
}

/// The program that opens the URL of a login.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Opener {
    /// The host of the proxy.
    Host,
    /// The client, after the user has agreed to it.
    Client,
}

/// The login in progress, and the outcome of the last one.
#[derive(Default)]
pub(super) struct Login {
    pub(super) is_running: bool,
    pub(super) has_failed: bool,
    /// The login is not started before a request has set it.
    pub(super) opener: Option<Opener>,
    /// The page that the user opens, once it is known.
    pub(super) target: Option<LoginTarget>,
    /// The page that leads to it. It is closed with the login.
    pub(super) page: Option<LoginPage>,
    /// The time at which the host has opened it.
    pub(super) opened_at: Option<SystemTime>,
    /// The state of the login as a message without a URL; none if it is an ordinary one.
    pub(super) text: Option<String>,
    /// The requirements of the server since the last login.
    pub(super) challenge: Option<Challenge>,
    pub(super) scope: Option<Scope>,
    pub(super) elicited: Option<Elicited>,
    pub(super) declined: Option<Declined>,
}

/// An elicitation that the client has got.
pub(super) struct Elicited {
    pub(super) id: String,
    pub(super) issued_at: SystemTime,
    /// The number of calls that wait for it.
    pub(super) calls: usize,
    pub(super) is_accepted: bool,
}

/// A login that the user has declined.
#[derive(Clone, Copy, Debug)]
pub(super) struct Declined {
    pub(super) at: SystemTime,
    pub(super) action: Action,
}

impl Login {
    /// Adds what another response of the server requires.
    pub(super) fn require(&mut self, challenge: Option<Challenge>, scope: Option<&Scope>) {
        self.challenge = challenge.or(self.challenge.take());
        self.scope = Scope::union_of(self.scope.as_ref(), scope);
    }

    /// Begins a login with these requirements.
    pub(super) fn begin(&mut self, opener: Option<Opener>) {
        *self = Self {
            is_running: true,
            opener,
            challenge: self.challenge.take(),
            scope: self.scope.take(),
            ..Self::default()
        };
    }

    /// Ends a login without a session. The requirements stay for the next one.
    pub(super) fn fail(&mut self, text: Option<String>) {
        *self = Self {
            has_failed: true,
            text,
            challenge: self.challenge.take(),
            scope: self.scope.take(),
            declined: self.declined.take(),
            ..Self::default()
        };
    }

    /// Returns the refusal of the user, while it counts.
    pub(super) fn declined(&self, now: SystemTime) -> Option<Declined> {
        let is_recent = |declined: &Declined| {
            // A clock that was set back ends it.
            now.duration_since(declined.at)
                .is_ok_and(|age| age < DECLINE_TIME)
        };
        self.declined.filter(is_recent)
    }
}

impl Elicited {
    /// Returns whether another call can wait for it: the first call waits, or the client shows it and
    /// retries that call later (MCP 2026-07-28).
    pub(super) fn is_shared(&self, now: SystemTime, retry_time: Option<Duration>) -> bool {
        let is_shown = retry_time.is_some_and(|time| {
            !self.is_accepted
                && now
                    .duration_since(self.issued_at)
                    .is_ok_and(|age| age < time)
        });
        self.calls > 0 || is_shown
    }
}
