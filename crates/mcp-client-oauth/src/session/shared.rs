//! One login for several resources of one issuer, for those who ask for it: a refresh names the
//! resource that the new access token is for (RFC 8707 §2.2), so the refresh token of one record can
//! serve another. It stays in the record of the login, its only place: with rotation, a copy would
//! be spent by one and sent again by the other.

use std::time::Duration;

use super::refresh::{leaves_doubt, refresh_with};
use crate::{
    discovery::Discovery,
    error::{Error, TokenRefreshError, TokenStorageError},
    platform::{Platform, TOKEN_DEADLINE},
    proto::token::TokenSet,
    store::{Record, RecordKey, RecordLock, TokenStore},
};

/// How often, and after which pause, the storing of a rotated refresh token is tried again.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// A record for `key` with the login of the same account at another resource of the issuer; none if
/// there is no such login, or the issuer gives nothing for it.
///
/// # Errors
/// [`Error::TokenStorage`] only.
pub(crate) async fn shared_login(
    platform: &Platform,
    store: &TokenStore,
    key: &RecordKey,
    discovery: &Discovery,
) -> Result<Option<Record>, Error> {
    for lender in store.keys().await? {
        if lender == *key || lender.account() != key.account() {
            continue;
        }
        // One that cannot be read cannot be shared, and is told where it is used.
        let Ok(Some((login, _))) = store.load(&lender).await else {
            continue;
        };
        if login.discovery.issuer() != discovery.issuer() || login.tokens.refresh_token.is_none() {
            continue;
        }
        match borrow(platform, store, &lender, discovery, TOKEN_DEADLINE).await? {
            Ok(tokens) => {
                let mut record = Record::new(discovery.clone(), login.identity, None, tokens);
                record.lender = Some(lender);
                return Ok(Some(record));
            }
            Err(error) => {
                tracing::info!(server = %key, %lender, %error, "the login there does not do here");
            }
        }
    }
    Ok(None)
}

/// An access token for the resource of `discovery`, by the refresh token of `lender`. The record of
/// the lender is held, read again, and saved before anybody gets the new tokens, as in its own
/// renewal; a record that borrows is held before the one that lends, and never the other way round.
pub(super) async fn borrow(
    platform: &Platform,
    store: &TokenStore,
    lender: &RecordKey,
    discovery: &Discovery,
    left: Duration,
) -> Result<Result<TokenSet, TokenRefreshError>, Error> {
    let mut lock = store.lock(lender).await?;
    let Some(login) = lock.record().cloned() else {
        let gone = TokenRefreshError::NoRefreshToken(discovery.server.clone());
        return Ok(Err(gone));
    };
    lock.begin().await?;
    // To the endpoint of the login, whatever the other resource says of the issuer (H6).
    let renewed = refresh_with(platform, &login, &discovery.resource, left).await;
    let mut tokens = match renewed {
        Ok(tokens) => tokens,
        Err(error) => {
            if !leaves_doubt(&error) {
                lock.end().await;
            }
            return Ok(Err(error));
        }
    };
    let refresh_token = tokens.refresh_token.take();
    if refresh_token != login.tokens.refresh_token {
        let mut login = login;
        login.tokens.refresh_token = refresh_token;
        save(platform, store, &mut lock, &login).await?;
    }
    lock.end().await;
    Ok(Ok(tokens))
}

/// What was replaced is spent, so this is worth some patience.
async fn save(
    platform: &Platform,
    store: &TokenStore,
    lock: &mut RecordLock,
    login: &Record,
) -> Result<(), TokenStorageError> {
    let mut waits = std::iter::repeat_n(PAUSE, TRIES);
    loop {
        match store.save(lock, login).await {
            Ok(_) => return Ok(()),
            Err(conflict @ TokenStorageError::Conflict { .. }) => return Err(conflict),
            Err(error) => match waits.next() {
                Some(pause) => platform.clock.sleep(pause).await,
                None => return Err(error),
            },
        }
    }
}
