//! A login beside the calls, as the client is told of it.

use url::Url;

/// A login that a person has to do.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoginNeeded {
    /// Says where, once that is known.
    pub(crate) url: Option<Url>,
    /// Holds what to say about it.
    pub(crate) text: String,
}

/// The login that is under way, and how the last one ended.
#[derive(Debug, Default)]
pub(super) struct Login {
    pub(super) is_running: bool,
    pub(super) has_failed: bool,
    /// Says whether it is known what the person has to do.
    pub(super) is_told: bool,
    pub(super) wanted: LoginNeeded,
}
