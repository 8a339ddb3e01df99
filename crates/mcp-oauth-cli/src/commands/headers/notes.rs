//! What one run of the command leaves for the next: which token was handed out when, and when a login
//! failed. No token is in it. A note that cannot be read or written changes nothing else.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use mcp_client_oauth::store::LoginKey;
use mcp_oauth_proxy::LoginFiles;
use mcp_oauth_support::atomic_file::WriteOptions;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::stored_token::{TokenId, seconds};
use crate::context::Context;

/// The time after a token was handed out in which a second request for it is a sign that it was refused.
const TESTED_FOR: Duration = Duration::from_secs(60);

/// The time after a failed login in which none is started: an application that connects again and again
/// would open as many browser tabs, also after the user has declined.
const NO_LOGIN_FOR: Duration = Duration::from_secs(5 * 60);

const HANDED_OUT: &str = "headers.json";
const FAILED_LOGIN: &str = "failed-login.json";

/// The notes of one login.
pub(super) struct Notes(pub(super) Option<LoginFiles>);

#[derive(Debug, Deserialize, Serialize)]
struct HandedOut {
    token: TokenId,
    at: u64,
}

#[derive(Debug, Deserialize, Serialize)]
struct FailedLogin {
    message: String,
    at: u64,
}

impl Notes {
    pub(super) fn of(context: &Context, key: &LoginKey) -> Self {
        let directory = context.config.proxy_directory();
        Self(directory.and_then(|directory| LoginFiles::create(&directory, key)))
    }

    /// Returns whether this token was handed out a short time ago.
    pub(super) fn was_handed_out(&self, token: TokenId, now: SystemTime) -> bool {
        let note: Option<HandedOut> = self.read(HANDED_OUT);
        note.is_some_and(|note| note.token == token && is_within(note.at, TESTED_FOR, now))
    }

    pub(super) fn note_handed_out(&self, token: TokenId, now: SystemTime) {
        let at = seconds(now);
        self.write(HANDED_OUT, &HandedOut { token, at });
    }

    /// Returns the message of a login that failed a short time ago.
    pub(super) fn failed_login(&self, now: SystemTime) -> Option<String> {
        let note: FailedLogin = self.read(FAILED_LOGIN)?;
        is_within(note.at, NO_LOGIN_FOR, now).then_some(note.message)
    }

    pub(super) fn note_failed_login(&self, message: String, now: SystemTime) {
        let at = seconds(now);
        self.write(FAILED_LOGIN, &FailedLogin { message, at });
    }

    pub(super) fn remove_failed_login(&self) {
        if let Some(files) = &self.0 {
            // Usually there is none.
            let _absent = fs::remove_file(files.path(FAILED_LOGIN));
        }
    }

    fn read<T: DeserializeOwned>(&self, extension: &str) -> Option<T> {
        let bytes = fs::read(self.0.as_ref()?.path(extension)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    fn write<T: Serialize>(&self, extension: &str, note: &T) {
        let Some(files) = &self.0 else { return };
        let path = files.path(extension);
        let options = WriteOptions::default().without_retry();
        let bytes = serde_json::to_vec(note).map_err(Into::into);
        if let Err(error) = bytes.and_then(|bytes| options.write(&path, &bytes)) {
            tracing::debug!(path = %path.display(), %error, "cannot write a note");
        }
    }
}

/// Returns whether `at` is at most `period` before `now`. A time in the future is that of another clock.
fn is_within(at: u64, period: Duration, now: SystemTime) -> bool {
    let age = seconds(now).checked_sub(at);
    age.is_some_and(|age| age <= period.as_secs())
}
