//! Runs the refresh [`Transaction`] against the store and the server, in a task of its own.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};

use super::{
    inner::Inner,
    pending_save::Unsaved,
    refresh::{leaves_doubt, may_retry, refresh_within, retry_after},
    refresh_state_machine::{Change, Ending, Seen, Step, Transaction},
    shared_login::{SharedTokens, Target, refresh_shared_login},
    token_state::{Current, TokenRequirement},
};
use crate::{
    dpop::ProofGenerator,
    error::{AuthorizationError, Error, TokenRefreshError, TokenStorageError},
    grant::flow_of_record,
    proto::{challenge::Challenge, scope::Scope, token::AccessToken},
    store::{Record, RecordLock, Revision},
};

/// The waits before the second, third and fourth attempt, doubled each time, with jitter.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const RETRIES: usize = 3;
/// The longest time that one refresh may lock the record, with all its attempts. It is shorter than other
/// processes wait for the record, so that they see the result.
const LONGEST_HOLD: Duration = Duration::from_secs(45);
/// The number of times that a refresh starts again because another process took the record over while
/// this one was paused.
const MOST_TAKEOVERS: usize = 3;

/// The number of times that a wider scope is requested non-interactively if it is not granted.
const MOST_WIDENINGS: usize = 3;

/// One running transaction.
struct Attempt<'a> {
    inner: &'a Inner,
    requirement: &'a TokenRequirement,
    lock: RecordLock,
    transaction: Transaction,
    /// The new tokens, until they are saved.
    unsaved: Option<Record>,
    /// The error to return if the transaction fails.
    failure: Option<Error>,
    /// Says whether a refresh token that was sent may be used up.
    in_doubt: bool,
}

impl Inner {
    /// Gets a token that meets the requirement, and saves it before it is returned.
    pub(super) async fn refresh(
        &self,
        requirement: &TokenRequirement,
    ) -> Result<AccessToken, Error> {
        for _ in 0..MOST_TAKEOVERS {
            let (lock, unsaved) = self.lock().await?;
            let attempt = Attempt {
                inner: self,
                requirement,
                lock,
                transaction: Transaction::default(),
                unsaved,
                failure: None,
                in_doubt: false,
            };
            if let Some(outcome) = Box::pin(attempt.run()).await {
                return outcome;
            }
        }
        let location = format!("the record of {}", self.key);
        Err(TokenStorageError::Conflict { location }.into())
    }

    /// Locks the record. Tokens that could not be saved before are saved now, or returned if that fails.
    async fn lock(&self) -> Result<(RecordLock, Option<Record>), Error> {
        let Some(Unsaved { mut lock, record }) = self.unsaved.take().await else {
            return Ok((self.store.lock(&self.key).await?, None));
        };
        match self.save(&mut lock, record.clone()).await {
            Ok(()) => Ok((lock, None)),
            // The record is not the one that these tokens were to replace: a save that returned an
            // error may have succeeded all the same, and then it has these tokens.
            Err(TokenStorageError::Conflict { .. }) => {
                self.store.reload(&mut lock).await?;
                Ok((lock, None))
            }
            Err(error) => {
                tracing::warn!(server = %self.key, %error, "refreshed tokens are still not saved");
                Ok((lock, Some(record)))
            }
        }
    }

    /// Saves tokens, and returns them to callers from then on. If they cannot be saved they are returned
    /// all the same, because the old ones may be used up.
    pub(super) async fn save(
        &self,
        lock: &mut RecordLock,
        record: Record,
    ) -> Result<(), TokenStorageError> {
        let before = lock.revision();
        let saved = self.store.save(lock, &record).await;
        if matches!(saved, Err(TokenStorageError::Conflict { .. })) {
            return saved.map(drop);
        }
        let revision = saved.as_ref().ok().copied().or(before);
        self.replace_current(record, revision);
        saved?;
        lock.mark_refresh_finished().await;
        Ok(())
    }

    /// Replaces the current record. The nonces of DPoP proofs are kept as long as the key is the same.
    fn replace_current(&self, record: Record, revision: Option<Revision>) {
        let before = self.current.load().proof_generator.clone();
        let current = Current::new(record, revision, before, &self.platform.clock);
        self.current.store(Arc::new(current));
    }

    /// Takes the stored record over if it is a newer one: another process has refreshed it, or the user
    /// has logged in again. Returns whether the store has a record.
    fn adopt(&self, lock: &RecordLock) -> bool {
        let (Some(stored), Some(revision)) = (lock.record(), lock.revision()) else {
            return false;
        };
        if self.current.load().revision != Some(revision) {
            self.replace_current(stored.clone(), Some(revision));
        }
        true
    }

    /// Returns the stored token after 403 `insufficient_scope`, if its scope may be wider. Only while no
    /// refresh runs.
    pub(super) async fn adopt_wider(
        &self,
        refused: &AccessToken,
        challenge: &Challenge,
    ) -> Result<AccessToken, Error> {
        let Some((stored, revision)) = self.store.load(&self.key).await? else {
            return Err(self.login_required());
        };
        if self.current.load().revision != Some(revision) {
            self.replace_current(stored, Some(revision));
        }
        if let Some(token) = self.token_for(&TokenRequirement::Other(refused.clone())) {
            return Ok(token);
        }
        let server = self.key.server().clone();
        match self.current.load().record.widened_scope(challenge) {
            Some(scope) => Err(AuthorizationError::ScopeNotGranted { server, scope }.into()),
            None => Err(self.login_required()),
        }
    }

    /// Returns the scope that a non-interactive login may request when `challenge` requires more (MCP
    /// authorization, "Step-Up Authorization Flow"): one that was not requested before, a few times at most.
    pub(super) fn scope_to_request(&self, challenge: &Challenge) -> Option<Scope> {
        let current = self.current.load();
        let record = &current.record;
        let given = self.given.load();
        let given = given.as_ref().map(|given| &given.grant);
        flow_of_record(record.non_interactive.as_ref()?, given).ok()?;
        let requested = record.widened_scope(challenge);
        if record.missing_scope().is_none() {
            self.widenings.store(0, Ordering::Relaxed);
        }
        let is_new = requested != record.known_scope();
        requested
            .filter(|_| is_new && self.widenings.fetch_add(1, Ordering::Relaxed) < MOST_WIDENINGS)
    }

    /// Invalidates the stored data that led to a refusal. A client that the server no longer knows (RFC 6749
    /// §5.2, `invalid_client`) is deleted, so that the next login registers again; discovered metadata that
    /// is out of date is marked, so that the next login discovers again.
    async fn invalidate(&self, lock: &mut RecordLock, error: &Error) -> Result<(), Error> {
        let Error::TokenRefresh(TokenRefreshError::Response { cause, .. }) = error else {
            return Ok(());
        };
        let record = self.current.load().record.clone();
        if cause.refuses_client()
            && let Some(own) = record
                .identity
                .registration()
                .filter(|own| !own.is_preregistered)
            && self.store.has_registration(own).await?
        {
            self.store.remove_registration(&own.issuer).await?;
        }
        if cause.refuses_client() || cause.is_gone() {
            let discovery = record.discovery.clone().invalidated();
            self.store
                .save(
                    lock,
                    &Record {
                        discovery,
                        ..record
                    },
                )
                .await?;
        }
        Ok(())
    }
}

impl Attempt<'_> {
    /// Returns `None` if the record was taken over before anything was sent.
    async fn run(mut self) -> Option<Result<AccessToken, Error>> {
        let mut step = self.read();
        loop {
            step = match step {
                Step::Begin => match self.lock.mark_refresh_started().await {
                    Ok(()) => self.transaction.begun(true),
                    Err(error) => {
                        let is_taken = matches!(error, TokenStorageError::Conflict { .. });
                        self.failure = Some(error.into());
                        if is_taken {
                            self.transaction.begun(false)
                        } else {
                            Transaction::failed()
                        }
                    }
                },
                Step::Send => self.send().await,
                Step::Save => self.save().await,
                Step::ReadAgain => match self.inner.store.reload(&mut self.lock).await {
                    Ok(()) => self.read(),
                    Err(error) => {
                        self.failure.get_or_insert(error.into());
                        Transaction::failed()
                    }
                },
                Step::Delete => self.delete().await,
                // Unsaved tokens are not dropped for another transaction.
                Step::End(Ending::TakenOver) if self.unsaved.is_none() => return None,
                Step::End(ending) => return Some(self.end(ending).await),
            };
        }
    }

    fn read(&mut self) -> Step {
        let is_there = self.inner.adopt(&self.lock);
        let seen = self.lock.revision().filter(|_| is_there);
        self.transaction.read(seen.map(|revision| Seen {
            revision,
            meets_requirement: self.inner.token_for(self.requirement).is_some(),
        }))
    }

    async fn send(&mut self) -> Step {
        let current = self.inner.current.load_full();
        let record = self.requirement.applied_to(current.record.clone());
        self.in_doubt |= self.lock.refresh_interrupted();
        let proof_generator = current.proof_generator.as_deref();
        let error = match self.send_with_retries(&record, proof_generator).await {
            Ok(SharedTokens { tokens, dpop }) => {
                self.unsaved = Some(Record {
                    tokens,
                    dpop,
                    ..record
                });
                return Transaction::refreshed();
            }
            Err(error) => error,
        };
        let is_refused = matches!(&error,
            Error::TokenRefresh(TokenRefreshError::Response { cause, .. })
                if cause.has_code("invalid_grant"));
        self.failure = Some(error);
        if is_refused {
            self.transaction.refused()
        } else {
            Transaction::failed()
        }
    }

    /// Retries temporary failures, as long as the record may be locked. If `Retry-After` is longer than
    /// that, the error is returned, and the caller may retry.
    async fn send_with_retries(
        &mut self,
        record: &Record,
        proof_generator: Option<&ProofGenerator>,
    ) -> Result<SharedTokens, Error> {
        let mut waits = ExponentialBuilder::default()
            .with_min_delay(FIRST_WAIT)
            .with_factor(2.0)
            .with_max_times(RETRIES)
            .with_jitter()
            .build();
        let platform = &self.inner.platform;
        let end = platform.clock.now() + LONGEST_HOLD;
        let given = self.inner.given.load_full();
        let mut was_lost = false;
        loop {
            let left = end.duration_since(platform.clock.now()).unwrap_or_default();
            let outcome = match &record.shared_from {
                None => refresh_within(platform, record, proof_generator, given.as_deref(), left)
                    .await
                    .map(|tokens| SharedTokens {
                        tokens,
                        dpop: record.dpop.clone(),
                    }),
                Some(shared_from) => {
                    let target = Target {
                        server: &record.discovery.server,
                        resource: &record.discovery.resource,
                        issuer: record.discovery.issuer(),
                    };
                    refresh_shared_login(platform, &self.inner.store, shared_from, target, left)
                        .await?
                }
            };
            let error = match outcome {
                Ok(tokens) => return Ok(tokens),
                Err(error) => error,
            };
            self.in_doubt |= leaves_doubt(&error);
            let wait = waits.next().filter(|_| may_retry(&error, &mut was_lost));
            let Some(wait) = wait else {
                return Err(error.into());
            };
            let wait = retry_after(&error).map_or(wait, |required| required.max(wait));
            if platform.clock.now() + wait >= end {
                return Err(error.into());
            }
            tracing::debug!(server = %self.inner.key, %error, ?wait, "the refresh is retried");
            platform.clock.sleep(wait).await;
            self.lock.mark_refresh_started().await?;
        }
    }

    async fn save(&mut self) -> Step {
        let Some(record) = self.unsaved.clone() else {
            return Transaction::failed();
        };
        let saved = self.inner.save(&mut self.lock, record).await;
        let change = change(&saved);
        if change != Change::Failed {
            self.unsaved = None;
        }
        self.failure = saved.err().map(Error::from);
        Transaction::saved(change)
    }

    async fn delete(&mut self) -> Step {
        let deleted = self.inner.store.delete(&mut self.lock).await;
        if let Err(error) = &deleted {
            tracing::error!(server = %self.inner.key, %error, "cannot delete a dead login");
        }
        Transaction::deleted(change(&deleted))
    }

    async fn end(mut self, ending: Ending) -> Result<AccessToken, Error> {
        let failure = self.failure.take().map(|error| self.explained(error));
        let outcome = match (ending, failure) {
            (Ending::Adopted | Ending::Refreshed, _) => {
                let current = self.inner.current.load();
                Ok(current.record.tokens.access_token.clone())
            }
            (_, Some(error)) => Err(error),
            (_, None) => Err(self.inner.login_required()),
        };
        if let (Ending::Failed | Ending::LogIn, Err(error)) = (ending, &outcome)
            && let Err(also) = self.inner.invalidate(&mut self.lock, error).await
        {
            tracing::error!(server = %self.inner.key, error = %also, "cannot store a refusal");
        }
        // If the login is dead, tokens that were not saved are dead too.
        if let Some(record) = self.unsaved.filter(|_| ending != Ending::LogIn) {
            self.inner.unsaved.put(self.lock, record).await;
        } else if !(self.in_doubt && ending == Ending::Failed) {
            self.lock.mark_refresh_finished().await;
        }
        outcome
    }

    /// Explains a refusal after an interrupted refresh: the token was used up, and not revoked.
    fn explained(&self, error: Error) -> Error {
        match error {
            Error::TokenRefresh(TokenRefreshError::Response { url, cause })
                if self.in_doubt && cause.has_code("invalid_grant") =>
            {
                TokenRefreshError::Interrupted { url, cause }.into()
            }
            error => error,
        }
    }
}

fn change<T>(result: &Result<T, TokenStorageError>) -> Change {
    match result {
        Ok(_) => Change::Done,
        Err(TokenStorageError::Conflict { .. }) => Change::Conflict,
        Err(_) => Change::Failed,
    }
}
