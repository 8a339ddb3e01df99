//! One login for several resources of one issuer, for those who ask for it: a refresh names the
//! resource that the new access token is for (RFC 8707 §2.2), so the refresh token of one record can
//! serve another. It stays in the record of the login, its only place: with rotation, a copy would
//! be spent by one and sent again by the other.

use std::time::Duration;

use super::refresh::{leaves_doubt, prover_of, refresh_with};
use crate::{
    error::{Error, TokenRefreshError, TokenStorageError},
    platform::Platform,
    proto::{dpop::DpopKey, resource_metadata::Resource, token::TokenSet},
    server_url::ServerUrl,
    store::{Record, RecordKey, RecordLock, TokenStore},
};

/// How often, and after which pause, the storing of a rotated refresh token is tried again.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// What a login at another resource has brought for this one.
pub(crate) struct Borrowed {
    pub(crate) tokens: TokenSet,
    /// The key of that login: what it brings is bound to it.
    pub(crate) dpop: Option<DpopKey>,
}

/// An access token for `resource` of `server`, by the refresh token of `lender`. The record of the
/// lender is held, read again, and saved before anybody gets the new tokens, as in its own
/// renewal; a record that borrows is held before the one that lends, and never the other way round.
pub(crate) async fn borrow(
    platform: &Platform,
    store: &TokenStore,
    lender: &RecordKey,
    (server, resource): (&ServerUrl, &Resource),
    left: Duration,
) -> Result<Result<Borrowed, TokenRefreshError>, Error> {
    let mut lock = store.lock(lender).await?;
    let Some(login) = lock.record().cloned() else {
        let gone = TokenRefreshError::NoRefreshToken(server.clone());
        return Ok(Err(gone));
    };
    lock.begin().await?;
    // To the endpoint of the login, whatever the other resource says of the issuer (H6).
    let prover = prover_of(platform, &login);
    let renewed = refresh_with(platform, &login, resource, prover.as_ref(), left).await;
    let mut tokens = match renewed {
        Ok(tokens) => tokens,
        Err(error) => {
            if !leaves_doubt(&error) {
                lock.end().await;
            }
            return Ok(Err(error));
        }
    };
    let dpop = login.dpop.clone();
    let refresh_token = tokens.refresh_token.take();
    if refresh_token != login.tokens.refresh_token {
        let mut login = login;
        login.tokens.refresh_token = refresh_token;
        save(platform, store, &mut lock, &login).await?;
    }
    lock.end().await;
    Ok(Ok(Borrowed { tokens, dpop }))
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
