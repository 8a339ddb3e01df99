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

/// Holds what the copies of a session share.
pub(super) struct Inner {
    pub(super) platform: Platform,
    pub(super) store: TokenStore,
    pub(super) key: LoginKey,
    pub(super) current: ArcSwap<Current>,
    pub(super) given: ArcSwapOption<GivenGrant>,
    pub(super) unsaved: UnsavedTokens,
    /// Held by the one task that renews; behind it wait those who need the outcome.
    pub(super) gate: Arc<Mutex<LastAttempt>>,
    /// Says how many attempts have ended.
    pub(super) attempts: AtomicU64,
    /// Says how often a wider scope was asked for without a person, and not granted.
    pub(super) widenings: AtomicUsize,
}

/// Says how the last attempt to renew ended, for those who were waiting for it.
#[derive(Default)]
pub(super) struct LastAttempt {
    pub(super) number: u64,
    pub(super) failure: Option<Error>,
}

impl Inner {
    pub(super) fn token_for(&self, wish: &TokenRequirement) -> Option<AccessToken> {
        let current = self.current.load();
        let is_met = current.meets(wish, self.platform.clock.now());
        is_met.then(|| current.record.tokens.access_token.clone())
    }

    /// Replaces the `error` of a token without a refresh token where the token has not expired, by what
    /// `otherwise` makes of the server and the time that is left.
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
