//! The refresh transaction: lock, read again, adopt or refresh, store, and only then hand out
//! (H99-H113). It runs in a task of its own.

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};

use super::{Current, Inner};
use crate::{
    error::{AuthorizationError, Error, HttpErrorCause, TokenRefreshError},
    platform::{Platform, TOKEN_DEADLINE},
    proto::{
        challenge::Challenge,
        token::{self, AccessToken, TokenError, TokenSet},
    },
    store::{Record, RecordLock},
};

/// The waits before the second, third and fourth try, doubled each time and jittered.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const RETRIES: usize = 3;
/// How long one renewal may hold the record, with all its tries. It is shorter than others wait for
/// the record, so that they see what came of it (H106).
const LONGEST_HOLD: Duration = Duration::from_secs(45);

impl Inner {
    /// Gets a token other than `refused`, or other than one that has expired.
    pub(super) async fn renew(&self, refused: Option<AccessToken>) -> Result<AccessToken, Error> {
        let mut lock = self.store.lock(&self.key).await?;
        self.adopt(&lock)?;
        if let Some(token) = self.good_token(refused.as_ref()) {
            return Ok(token);
        }
        let record = self.current.load_full().record.clone();
        match self.refresh_with_patience(&lock, &record).await {
            Ok(tokens) => self.keep(&mut lock, Record { tokens, ..record }).await,
            Err(error) => {
                if let Err(also) = self.bury(&mut lock, &record, &error).await {
                    tracing::error!(server = %self.key, error = %also, "a dead login stays stored");
                }
                Err(error)
            }
        }
    }

    /// Takes what the store has, if it is not what we have: another process has renewed it, or a
    /// person has logged in again, or out.
    fn adopt(&self, lock: &RecordLock) -> Result<(), Error> {
        let ours = self.current.load().revision;
        match (lock.record(), lock.revision()) {
            (Some(stored), Some(revision)) if ours != Some(revision) => {
                let stored = Current::new(stored.clone(), Some(revision));
                self.current.store(Arc::new(stored));
                Ok(())
            }
            (Some(_), _) => Ok(()),
            (None, _) => Err(self.login_required()),
        }
    }

    /// After 403 `insufficient_scope`: what the store has may be wider.
    pub(super) async fn adopt_wider(
        &self,
        refused: &AccessToken,
        challenge: &Challenge,
    ) -> Result<AccessToken, Error> {
        let lock = self.store.lock(&self.key).await?;
        self.adopt(&lock)?;
        if let Some(token) = self.good_token(Some(refused)) {
            return Ok(token);
        }
        let server = self.key.server().clone();
        match self.current.load().record.widened_scope(challenge) {
            Some(scope) => Err(AuthorizationError::ScopeNotGranted { server, scope }.into()),
            None => Err(self.login_required()),
        }
    }

    /// Stores the new tokens, then hands them out. When they cannot be stored the caller is told;
    /// they stay usable in this process, because the old ones may be spent (H142).
    async fn keep(&self, lock: &mut RecordLock, record: Record) -> Result<AccessToken, Error> {
        let token = record.tokens.access_token.clone();
        let before = lock.revision();
        let saved = self.store.save(lock, &record).await;
        let revision = saved.as_ref().ok().copied().or(before);
        self.current.store(Arc::new(Current::new(record, revision)));
        if let Err(error) = saved {
            tracing::error!(server = %self.key, %error, "renewed tokens could not be stored");
            return Err(error.into());
        }
        Ok(token)
    }

    /// After a definitive refusal the record that was tried is dead: it is deleted, and no other
    /// one (H103): the lock has been held since it was read, and the store compares revisions. A
    /// client that the server no longer knows is forgotten too, so that the next login registers
    /// anew (H173), and what was discovered is not believed again (H22).
    async fn bury(
        &self,
        lock: &mut RecordLock,
        record: &Record,
        error: &Error,
    ) -> Result<(), Error> {
        let Error::TokenRefresh(TokenRefreshError::Answer { cause, .. }) = error else {
            return Ok(());
        };
        if cause.is("invalid_grant") {
            self.store.delete(lock).await?;
        }
        if cause.is("invalid_client") && !record.identity.is_by_hand() {
            self.store
                .forget_registration(record.discovery.issuer())
                .await?;
        }
        if cause.is("invalid_client") || cause.is_gone() {
            let discovery = record.discovery.clone().distrusted();
            let record = Record {
                discovery,
                ..record.clone()
            };
            self.store.save(lock, &record).await?;
        }
        Ok(())
    }

    /// Sends the refresh, and again while that may help and the time allows it. A server that asks
    /// for more patience than that gets it from the caller, whom the error tells.
    async fn refresh_with_patience(
        &self,
        lock: &RecordLock,
        record: &Record,
    ) -> Result<TokenSet, Error> {
        let mut waits = ExponentialBuilder::default()
            .with_min_delay(FIRST_WAIT)
            .with_factor(2.0)
            .with_max_times(RETRIES)
            .with_jitter()
            .build();
        let clock = &self.platform.clock;
        let end = clock.now() + LONGEST_HOLD;
        let mut in_doubt = false;
        loop {
            lock.begin().await?;
            let left = end.duration_since(clock.now()).unwrap_or_default();
            let error = match refresh_within(&self.platform, record, left).await {
                Ok(tokens) => return Ok(tokens),
                Err(error) => error,
            };
            let wait = waits.next().filter(|_| may_help(&error, &mut in_doubt));
            let Some(wait) = wait else {
                return Err(error.into());
            };
            let wait = asked_wait(&error).map_or(wait, |asked| asked.max(wait));
            if clock.now() + wait >= end {
                return Err(error.into());
            }
            tracing::debug!(server = %self.key, %error, ?wait, "the refresh is tried again");
            clock.sleep(wait).await;
        }
    }
}

/// Sends one refresh request: no lock, no retry, nothing stored. [`Session`](crate::Session) does
/// all that; this is the bare step, for callers that keep their own tokens.
///
/// The result has the refresh token and the scope of the answer, or the old ones where the answer
/// has none (RFC 6749 §6, spec-checklist H5). The request goes to the endpoint of the record and
/// to no other (H6).
///
/// # Errors
/// [`TokenRefreshError`], which tells a dead token from a failing network.
pub async fn refresh(platform: &Platform, record: &Record) -> Result<TokenSet, TokenRefreshError> {
    refresh_within(platform, record, TOKEN_DEADLINE).await
}

async fn refresh_within(
    platform: &Platform,
    record: &Record,
    left: Duration,
) -> Result<TokenSet, TokenRefreshError> {
    let (discovery, server) = (&record.discovery, &record.discovery.metadata);
    let Some(refresh_token) = &record.tokens.refresh_token else {
        return Err(TokenRefreshError::NoRefreshToken(discovery.server.clone()));
    };
    let client = record
        .identity
        .authenticate(server)
        .ok_or(TokenRefreshError::OtherIssuer)?;
    let endpoint = &server.token_endpoint;
    let resource = Some(&discovery.resource);
    let mut request =
        token::refresh_request(endpoint, discovery.reach, &client, resource, refresh_token);
    request.deadline = request.deadline.min(left);
    let now = platform.clock.now();
    let answer = platform
        .http
        .send(request)
        .await
        .map_err(TokenRefreshError::Http)?;
    let secret = client
        .client_secret
        .map_or("", |secret| secret.expose().as_str());
    let mut tokens =
        token::response(&answer, now, &[refresh_token.expose(), secret]).map_err(|cause| {
            TokenRefreshError::Answer {
                url: endpoint.as_url().clone(),
                cause,
            }
        })?;
    tokens.refresh_token = tokens.refresh_token.or_else(|| Some(refresh_token.clone()));
    tokens.scope = tokens.scope.or_else(|| record.tokens.scope.clone());
    Ok(tokens)
}

/// Whether another try may help. A request whose answer was lost may have spent the refresh token:
/// it is tried again once, for servers that allow a moment of grace, and no more (H104).
fn may_help(error: &TokenRefreshError, in_doubt: &mut bool) -> bool {
    match error {
        TokenRefreshError::Answer {
            cause: TokenError::Unavailable { .. },
            ..
        } => true,
        TokenRefreshError::Http(error) => match error.cause {
            HttpErrorCause::Connect(_) => true,
            HttpErrorCause::Interrupted(_) | HttpErrorCause::TimedOut(_) => {
                !std::mem::replace(in_doubt, true)
            }
            HttpErrorCause::Forbidden(_)
            | HttpErrorCause::TooLarge(_)
            | HttpErrorCause::Setup(_) => false,
        },
        TokenRefreshError::Answer { .. }
        | TokenRefreshError::NoRefreshToken(_)
        | TokenRefreshError::OtherIssuer
        | TokenRefreshError::Aborted(_) => false,
    }
}

/// `Retry-After`, already bounded (H85).
fn asked_wait(error: &TokenRefreshError) -> Option<Duration> {
    match error {
        TokenRefreshError::Answer {
            cause: TokenError::Unavailable { retry_after, .. },
            ..
        } => *retry_after,
        _ => None,
    }
}
