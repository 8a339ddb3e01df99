//! The state of a session.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::Mutex;

use super::{
    pending_save::UnsavedTokens,
    refresh::GivenGrant,
    token_state::{Current, TokenRequirement},
};
use crate::{
    error::{AuthorizationError, Error, TokenRefreshError},
    platform::Platform,
    proto::token::AccessToken,
    server_url::ServerUrl,
    store::{LoginKey, TokenStore},
};

/// The state that the clones of a session share.
pub(super) struct Inner {
    pub(super) platform: Platform,
    pub(super) store: TokenStore,
    pub(super) key: LoginKey,
    pub(super) current: ArcSwap<Current>,
    pub(super) given: ArcSwapOption<GivenGrant>,
    pub(super) unsaved: UnsavedTokens,
    /// Held by the task that refreshes; the tasks that need the result wait for it.
    pub(super) gate: Arc<Mutex<LastAttempt>>,
    /// The number of attempts that have ended.
    pub(super) attempts: AtomicU64,
    /// The number of times that a wider scope was requested non-interactively and not granted.
    pub(super) widenings: AtomicUsize,
}

/// The result of the last attempt to refresh, for the tasks that were waiting for it.
#[derive(Default)]
pub(super) struct LastAttempt {
    pub(super) number: u64,
    pub(super) failure: Option<Error>,
}

impl Inner {
    pub(super) fn token_for(&self, requirement: &TokenRequirement) -> Option<AccessToken> {
        let current = self.current.load();
        let is_met = current.meets(requirement, self.platform.clock.now());
        is_met.then(|| current.record.tokens.access_token.clone())
    }

    /// Returns the `error` of a login without a refresh token if the access token has expired, else the
    /// result of `otherwise` for the server and the remaining time.
    pub(super) fn unless_expired(
        &self,
        error: Error,
        otherwise: impl FnOnce(ServerUrl, Option<Duration>) -> TokenRefreshError,
    ) -> Error {
        let expires_at = self.current.load().record.tokens.expires_at;
        let now = self.platform.clock.now();
        let left = expires_at.map(|end| end.duration_since(now).unwrap_or_default());
        if left.is_some_and(|left| left.is_zero()) {
            return error;
        }
        otherwise(self.key.server().clone(), left).into()
    }

    pub(super) fn login_required(&self) -> Error {
        AuthorizationError::LoginRequired(self.key.server().clone()).into()
    }
}
