//! Step 6: a token that is good now, renewed by one task at a time, in one process at a time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::HeaderValue;
use tokio::sync::Mutex;

use crate::{
    error::{AuthorizationError, Error, TokenRefreshError},
    platform::Platform,
    proto::{
        challenge::Challenge,
        resource_metadata::Resource,
        scope::Scope,
        token::{AccessToken, TokenSet},
    },
    server_url::ServerUrl,
    store::{Record, RecordKey, Revision, TokenStore},
};

mod renewal;

pub use renewal::refresh;

/// Anything that can give a token for one resource.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// Where its tokens may be sent; none if it has no token yet.
    fn resource(&self) -> Option<Resource>;

    /// The server whose tokens these are.
    fn server(&self) -> &ServerUrl;

    /// A token that is at hand and good now: no I/O, no waiting. None if it takes more than that.
    fn ready(&self) -> Option<AccessToken>;

    /// A token that is good now.
    async fn token(&self) -> Result<AccessToken, Error>;

    /// A token other than `refused`, which the server would not take. It is a compare-and-swap: if
    /// `refused` is no longer the current token, the current one is the answer.
    async fn replace(
        &self,
        refused: &AccessToken,
        challenge: &Challenge,
    ) -> Result<AccessToken, Error>;
}

/// The tokens of one login. Cloning shares it.
///
/// It never asks a person: [`Interactive`](crate::Interactive) does. A token that is still good is
/// handed out without a lock. When it nears its end, one task of one process renews it, and that
/// task is not stopped when its caller gives up: with rotation, a refresh that is dropped between
/// "sent" and "saved" loses the login.
///
/// It needs a tokio runtime.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    platform: Platform,
    store: TokenStore,
    key: RecordKey,
    current: ArcSwap<Current>,
    /// Held by the one task that renews; behind it wait those who need the outcome.
    gate: Arc<Mutex<LastAttempt>>,
    /// How many attempts have ended.
    attempts: AtomicU64,
}

/// What is handed out now. Replaced as a whole.
struct Current {
    record: Record,
    /// What the store has, as far as we know; less than what is here after a save that failed.
    revision: Option<Revision>,
    /// From when on a new token is got; none if the server names no end.
    renew_at: Option<SystemTime>,
}

/// How the last attempt to renew ended, for those who were waiting for it.
#[derive(Default)]
struct LastAttempt {
    number: u64,
    failure: Option<Error>,
}

impl Current {
    fn new(record: Record, revision: Option<Revision>) -> Self {
        let renew_at = renewal_time(&record.tokens);
        Self {
            record,
            revision,
            renew_at,
        }
    }

    fn is_good(&self, now: SystemTime) -> bool {
        self.renew_at.is_none_or(|at| now < at)
    }
}

/// When a token is renewed: a quarter of its life before its end, at most a minute, so that a token
/// of five seconds is not renewed for ever (H117). A token that is said to have no life at all is
/// tried for half a minute; a server that means it refuses it, and that renews it too (H82).
fn renewal_time(tokens: &TokenSet) -> Option<SystemTime> {
    const LONGEST_MARGIN: Duration = Duration::from_secs(60);
    const TRIED_FOR: Duration = Duration::from_secs(30);
    match (tokens.expires_at?, tokens.lifetime()?) {
        (_, Duration::ZERO) => tokens.issued_at.checked_add(TRIED_FOR),
        (end, life) => end.checked_sub((life / 4).min(LONGEST_MARGIN)),
    }
}

impl Session {
    /// Starts with a record that has just been stored with `revision`.
    pub fn new(
        platform: Platform,
        store: TokenStore,
        key: RecordKey,
        record: Record,
        revision: Revision,
    ) -> Self {
        Self(Arc::new(Inner {
            platform,
            store,
            key,
            current: ArcSwap::from_pointee(Current::new(record, Some(revision))),
            gate: Arc::default(),
            attempts: AtomicU64::new(0),
        }))
    }

    /// Goes on with what the store has, if anything.
    ///
    /// # Errors
    /// [`Error::TokenStorage`].
    pub async fn open(
        platform: Platform,
        store: TokenStore,
        key: RecordKey,
    ) -> Result<Option<Self>, Error> {
        let stored = store.load(&key).await?;
        Ok(stored.map(|(record, revision)| Self::new(platform, store, key, record, revision)))
    }

    /// Whose tokens these are.
    pub fn key(&self) -> &RecordKey {
        &self.0.key
    }

    /// What is known of the login at this moment.
    pub fn record(&self) -> Record {
        self.0.current.load().record.clone()
    }

    /// The scope that was asked for and not granted.
    pub fn missing_scope(&self) -> Option<Scope> {
        self.0.current.load().record.missing_scope()
    }

    /// The `Authorization` header if it is at hand and good now: no I/O, no lock, no allocation.
    /// None once the token nears its end; [`header`](Self::header) gets a fresh one then.
    pub fn ready_header(&self) -> Option<HeaderValue> {
        let current = self.0.current.load();
        let good = current.is_good(self.0.platform.clock.now());
        good.then(|| current.record.tokens.authorization_header())
    }

    /// The `Authorization` header with a token that is good now, renewed if need be.
    ///
    /// # Errors
    /// As [`token`](TokenSource::token).
    pub async fn header(&self) -> Result<HeaderValue, Error> {
        match self.ready_header() {
            Some(header) => Ok(header),
            None => self.token().await.map(|token| token.header()),
        }
    }

    /// Renews the token now, however good it still looks.
    ///
    /// # Errors
    /// As [`token`](TokenSource::token).
    pub async fn refresh(&self) -> Result<AccessToken, Error> {
        let current = self.0.current.load().record.tokens.access_token.clone();
        self.renew(Some(current)).await
    }

    /// Renews unless the current token is good and is not `refused`.
    ///
    /// Behind the gate stand those who found the token wanting at the same time. The first renews;
    /// the others find a good token, or the failure of the attempt that they waited for.
    async fn renew(&self, refused: Option<AccessToken>) -> Result<AccessToken, Error> {
        let seen = self.0.attempts.load(Ordering::Acquire);
        let mut gate = Arc::clone(&self.0.gate).lock_owned().await;
        if let Some(token) = self.0.good_token(refused.as_ref()) {
            return Ok(token);
        }
        if gate.number > seen
            && let Some(failure) = &gate.failure
        {
            return Err(failure.clone());
        }
        let inner = Arc::clone(&self.0);
        // Owned by nobody who could give up. The gate goes with it, so that it opens when the work
        // is done, and not when the caller is gone.
        let renewal = tokio::spawn(async move {
            let outcome = inner.renew(refused).await;
            let number = inner.attempts.fetch_add(1, Ordering::AcqRel) + 1;
            *gate = LastAttempt {
                number,
                failure: outcome.as_ref().err().cloned(),
            };
            outcome
        });
        renewal
            .await
            .unwrap_or_else(|aborted| Err(TokenRefreshError::Aborted(aborted.to_string()).into()))
    }
}

impl Inner {
    fn good_token(&self, refused: Option<&AccessToken>) -> Option<AccessToken> {
        let current = self.current.load();
        let token = &current.record.tokens.access_token;
        let good = refused != Some(token) && current.is_good(self.platform.clock.now());
        good.then(|| token.clone())
    }

    fn login_required(&self) -> Error {
        AuthorizationError::LoginRequired(self.key.server().clone()).into()
    }
}

#[async_trait]
impl TokenSource for Session {
    fn resource(&self) -> Option<Resource> {
        Some(self.0.current.load().record.discovery.resource.clone())
    }

    fn server(&self) -> &ServerUrl {
        self.0.key.server()
    }

    fn ready(&self) -> Option<AccessToken> {
        self.0.good_token(None)
    }

    async fn token(&self) -> Result<AccessToken, Error> {
        match self.0.good_token(None) {
            Some(token) => Ok(token),
            None => self.renew(None).await,
        }
    }

    /// A refresh brings no wider scope (RFC 6749 §6), so `insufficient_scope` is answered with what
    /// another process may have got meanwhile, or [`AuthorizationError::ScopeNotGranted`].
    async fn replace(
        &self,
        refused: &AccessToken,
        challenge: &Challenge,
    ) -> Result<AccessToken, Error> {
        if let Some(token) = self.0.good_token(Some(refused)) {
            return Ok(token);
        }
        if challenge.is_insufficient_scope() {
            return self.0.adopt_wider(refused, challenge).await;
        }
        self.renew(Some(refused.clone())).await
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("key", &self.0.key)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_shortly_before_its_end() {
        let issued_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        for (life, renewed_after) in [(3600, 3540), (240, 180), (100, 75), (8, 6), (4, 3), (0, 30)]
        {
            let access_token = AccessToken::new("t").unwrap();
            let mut tokens = TokenSet::new(access_token, issued_at);
            assert_eq!(renewal_time(&tokens), None, "the server does not say when");
            tokens.expires_at = Some(issued_at + Duration::from_secs(life));
            let expected = issued_at + Duration::from_secs(renewed_after);
            assert_eq!(renewal_time(&tokens), Some(expected), "{life}");
        }
    }
}
