//! The state of a background login.

use url::Url;

/// The instructions for the user to log in.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoginNeeded {
    /// The URL of the login, once it is known.
    pub(crate) url: Option<Url>,
    /// The message to the user.
    pub(crate) text: String,
}

/// The login in progress, and the outcome of the last one.
#[derive(Debug, Default)]
pub(super) struct Login {
    pub(super) is_running: bool,
    pub(super) has_failed: bool,
    /// Is true if `needed` has the URL or another instruction for the user.
    pub(super) is_ready: bool,
    pub(super) needed: LoginNeeded,
}
