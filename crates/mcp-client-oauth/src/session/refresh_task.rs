//! Renewing: the [`Transaction`] against the store and the server. It runs in a task of its own.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};

use super::{
    inner::Inner,
    pending_save::Unsaved,
    refresh::{asked_wait, leaves_doubt, may_help, refresh_within},
    refresh_state_machine::{Change, Ending, Seen, Step, Transaction},
    shared::{Borrowed, Target, borrow},
    token_state::{Current, TokenRequirement},
};
use crate::{
    dpop::ProofGenerator,
    error::{AuthorizationError, Error, TokenRefreshError, TokenStorageError},
    proto::{challenge::Challenge, scope::Scope, token::AccessToken},
    store::{Record, RecordLock, Revision},
};

/// The waits before the second, third and fourth try, doubled each time and jittered.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const RETRIES: usize = 3;
/// Says how long one renewal may hold the record, with all its tries. It is shorter than others wait for
/// the record, so that they see what came of it (H106).
const LONGEST_HOLD: Duration = Duration::from_secs(45);
/// Says how often a renewal begins anew because somebody took the record over while we were stopped.
const MOST_TAKEOVERS: usize = 3;

/// Says how often a wider scope is asked for without a person, if it is not granted.
const MOST_WIDENINGS: usize = 3;

/// One transaction under way.
struct Attempt<'a> {
    inner: &'a Inner,
    wish: &'a TokenRequirement,
    lock: RecordLock,
    transaction: Transaction,
    /// Holds what the server has given, and the store has not got.
    unsaved: Option<Record>,
    /// Says why it will have failed, if it does.
    failure: Option<Error>,
    /// Says whether it is unknown what became of a refresh token that was sent.
    in_doubt: bool,
}

impl Inner {
    /// Gets a token that meets the wish, and stores it before anybody has it.
    pub(super) async fn renew(&self, wish: &TokenRequirement) -> Result<AccessToken, Error> {
        for _ in 0..MOST_TAKEOVERS {
            let (lock, unsaved) = self.lock().await?;
            let attempt = Attempt {
                inner: self,
                wish,
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
        let place = format!("the record of {}", self.key);
        Err(TokenStorageError::Conflict { place }.into())
    }

    /// Holds the record. What could not be stored before is stored now; else it comes along.
    async fn lock(&self) -> Result<(RecordLock, Option<Record>), Error> {
        let Some(Unsaved { mut lock, record }) = self.unsaved.take().await else {
            return Ok((self.store.lock(&self.key).await?, None));
        };
        match self.save(&mut lock, record.clone()).await {
            Ok(()) => Ok((lock, None)),
            // Another content is there than the one that these were to replace: a save that was
            // said to fail may have failed after it had happened, and then these are they.
            Err(TokenStorageError::Conflict { .. }) => {
                self.store.reload(&mut lock).await?;
                Ok((lock, None))
            }
            Err(error) => {
                tracing::warn!(server = %self.key, %error, "renewed tokens are still not stored");
                Ok((lock, Some(record)))
            }
        }
    }

    /// Stores tokens, and hands them out from then on. When they cannot be stored they are handed
    /// out all the same, because the old ones may be spent (H142).
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

    /// Returns what servers gave us to repeat in proofs stays with us, as long as the key does.
    fn replace_current(&self, record: Record, revision: Option<Revision>) {
        let before = self.current.load().prover.clone();
        let current = Current::new(record, revision, before, &self.platform.clock);
        self.current.store(Arc::new(current));
    }

    /// Takes what the store has, if it is not what we have: another process has renewed it, or a
    /// person has logged in again. Whether it has anything.
    fn adopt(&self, lock: &RecordLock) -> bool {
        let (Some(stored), Some(revision)) = (lock.record(), lock.revision()) else {
            return false;
        };
        if self.current.load().revision != Some(revision) {
            self.replace_current(stored.clone(), Some(revision));
        }
        true
    }

    /// After 403 `insufficient_scope`: what the store has may be wider. Only while nobody renews.
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

    /// Returns what a login without a person may ask for when `challenge` wants more (spec-checklist G5b):
    /// only what was not asked for before, and not for ever.
    pub(super) fn scope_to_ask_for(&self, challenge: &Challenge) -> Option<Scope> {
        let current = self.current.load();
        let record = &current.record;
        let given = self.given.load();
        let given = given.as_ref().map(|given| &given.grant);
        record.machine.as_ref()?.with_source(given).ok()?;
        let wanted = record.widened_scope(challenge);
        if record.missing_scope().is_none() {
            self.widenings.store(0, Ordering::Relaxed);
        }
        let is_new = wanted != record.known_scope();
        wanted.filter(|_| is_new && self.widenings.fetch_add(1, Ordering::Relaxed) < MOST_WIDENINGS)
    }

    /// After some refusals, what led to them is not used again. A client that the server no longer
    /// knows is forgotten, so that the next login registers anew (H173), and what was discovered is
    /// not believed again (H22).
    async fn distrust(&self, lock: &mut RecordLock, error: &Error) -> Result<(), Error> {
        let Error::TokenRefresh(TokenRefreshError::Answer { cause, .. }) = error else {
            return Ok(());
        };
        let record = self.current.load().record.clone();
        if cause.refuses_client()
            && let Some(own) = record.identity.registration().filter(|own| !own.by_hand)
            && self.store.keeps(own).await?
        {
            self.store.forget_registration(&own.issuer).await?;
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
    /// Returns none if the record was taken over before anything was sent.
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
                Step::Forget => self.forget().await,
                // What is unsaved is not let go for another try.
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
            is_wanted: self.inner.token_for(self.wish).is_some(),
        }))
    }

    async fn send(&mut self) -> Step {
        let current = self.inner.current.load_full();
        let asked = self.wish.applied_to(current.record.clone());
        self.in_doubt |= self.lock.refresh_interrupted();
        let prover = current.prover.as_deref();
        let error = match self.send_with_patience(&asked, prover).await {
            Ok(Borrowed { tokens, dpop }) => {
                self.unsaved = Some(Record {
                    tokens,
                    dpop,
                    ..asked
                });
                return Transaction::renewed();
            }
            Err(error) => error,
        };
        let is_refused = matches!(&error,
            Error::TokenRefresh(TokenRefreshError::Answer { cause, .. })
                if cause.is("invalid_grant"));
        self.failure = Some(error);
        if is_refused {
            self.transaction.refused()
        } else {
            Transaction::failed()
        }
    }

    /// Tries again what may work in a moment, as long as the hold allows it. A server that asks
    /// for more patience than that gets it from the caller, whom the error tells.
    async fn send_with_patience(
        &mut self,
        record: &Record,
        prover: Option<&ProofGenerator>,
    ) -> Result<Borrowed, Error> {
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
            let asked = match &record.lender {
                None => refresh_within(platform, record, prover, given.as_deref(), left)
                    .await
                    .map(|tokens| Borrowed {
                        tokens,
                        dpop: record.dpop.clone(),
                    }),
                Some(lender) => {
                    let target = Target {
                        server: &record.discovery.server,
                        resource: &record.discovery.resource,
                        issuer: record.discovery.issuer(),
                    };
                    borrow(platform, &self.inner.store, lender, target, left).await?
                }
            };
            let error = match asked {
                Ok(tokens) => return Ok(tokens),
                Err(error) => error,
            };
            self.in_doubt |= leaves_doubt(&error);
            let wait = waits.next().filter(|_| may_help(&error, &mut was_lost));
            let Some(wait) = wait else {
                return Err(error.into());
            };
            let wait = asked_wait(&error).map_or(wait, |asked| asked.max(wait));
            if platform.clock.now() + wait >= end {
                return Err(error.into());
            }
            tracing::debug!(server = %self.inner.key, %error, ?wait, "the refresh is tried again");
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

    async fn forget(&mut self) -> Step {
        let forgotten = self.inner.store.delete(&mut self.lock).await;
        if let Err(error) = &forgotten {
            tracing::error!(server = %self.inner.key, %error, "a dead login stays stored");
        }
        Transaction::forgotten(change(&forgotten))
    }

    async fn end(mut self, ending: Ending) -> Result<AccessToken, Error> {
        let failure = self.failure.take().map(|error| self.explained(error));
        let outcome = match (ending, failure) {
            (Ending::Adopted | Ending::Renewed, _) => {
                let current = self.inner.current.load();
                Ok(current.record.tokens.access_token.clone())
            }
            (_, Some(error)) => Err(error),
            (_, None) => Err(self.inner.login_required()),
        };
        if let (Ending::Failed | Ending::LogIn, Err(error)) = (ending, &outcome)
            && let Err(also) = self.inner.distrust(&mut self.lock, error).await
        {
            tracing::error!(server = %self.inner.key, error = %also, "a refusal is not remembered");
        }
        // A login that is dead is dead with whatever came of it.
        if let Some(record) = self.unsaved.filter(|_| ending != Ending::LogIn) {
            self.inner.unsaved.put(self.lock, record).await;
        } else if !(self.in_doubt && ending == Ending::Failed) {
            self.lock.mark_refresh_finished().await;
        }
        outcome
    }

    /// Returns a refusal after a refresh that was interrupted is no revocation: the token was spent (H104).
    fn explained(&self, error: Error) -> Error {
        match error {
            Error::TokenRefresh(TokenRefreshError::Answer { url, cause })
                if self.in_doubt && cause.is("invalid_grant") =>
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
