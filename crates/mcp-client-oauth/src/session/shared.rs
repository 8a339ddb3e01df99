//! One login for several resources of one issuer, for those who ask for it: a refresh names the
//! resource that the new access token is for (RFC 8707 §2.2), so the refresh token of one record can
//! serve another. It stays in the record of the login, its only place: with rotation, a copy would
//! be spent by one and sent again by the other.

use std::time::Duration;

use super::{
    pending_save::waits,
    refresh::{leaves_doubt, prover_of, refresh_with},
};
use crate::{
    error::{Error, TokenRefreshError, TokenStorageError},
    platform::Platform,
    proto::{dpop::DpopKey, resource_metadata::Resource, server_metadata::Issuer, token::TokenSet},
    server_url::ServerUrl,
    store::{LoginKey, Record, RecordLock, TokenStore},
};

/// Holds what a token is wanted for.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) server: &'a ServerUrl,
    pub(crate) resource: &'a Resource,
    /// Who has to issue it.
    pub(crate) issuer: &'a Issuer,
}

/// Holds what a login at another resource has brought for this one.
pub(crate) struct Borrowed {
    pub(crate) tokens: TokenSet,
    /// The key of that login: what it brings is bound to it.
    pub(crate) dpop: Option<DpopKey>,
}

/// Returns an access token for `resource` of `server`, by the refresh token of `lender`. The record of the
/// lender is held, read again, and saved before anybody gets the new tokens, as in its own
/// renewal; a record that borrows is held before the one that lends, and never the other way round.
pub(crate) async fn borrow(
    platform: &Platform,
    store: &TokenStore,
    lender: &LoginKey,
    target: Target<'_>,
    left: Duration,
) -> Result<Result<Borrowed, TokenRefreshError>, Error> {
    let mut lock = store.lock(lender).await?;
    // A login with another issuer since then has nothing to lend here, and where a request does not
    // say which resource it is for, what it brings may be for another one.
    let login = lock.record().cloned();
    let may_lend = |login: &Record| {
        let discovery = &login.discovery;
        discovery.issuer() == target.issuer && discovery.quirks.tells_resources_apart()
    };
    let Some(login) = login.filter(may_lend) else {
        let gone = TokenRefreshError::NoRefreshToken(target.server.clone());
        return Ok(Err(gone));
    };
    let was_in_doubt = lock.refresh_interrupted();
    lock.mark_refresh_started().await?;
    // To the endpoint of the login, whatever the other resource says of the issuer (H6).
    let proof_generator = prover_of(platform, &login);
    let renewed = refresh_with(
        platform,
        &login,
        target.resource,
        proof_generator.as_ref(),
        left,
    )
    .await;
    let mut tokens = match renewed {
        Ok(tokens) => tokens,
        Err(error) => {
            if !was_in_doubt && !leaves_doubt(&error) {
                lock.mark_refresh_finished().await;
            }
            return Ok(Err(error));
        }
    };
    let dpop = login.dpop.clone();
    let refresh_token = tokens.refresh_token.take();
    if refresh_token != login.tokens.refresh_token {
        let mut login = login;
        login.tokens.refresh_token = refresh_token;
        match store.save(&mut lock, &login).await {
            Ok(_) => {}
            Err(conflict @ TokenStorageError::Conflict { .. }) => return Err(conflict.into()),
            Err(error) => {
                tracing::error!(server = %lender, %error, "a renewed login could not be stored");
                store.go_on(save(platform.clone(), store.clone(), lock, login));
                return Ok(Ok(Borrowed { tokens, dpop }));
            }
        }
    }
    lock.mark_refresh_finished().await;
    Ok(Ok(Borrowed { tokens, dpop }))
}

/// Returns what was replaced is spent, so nobody else may have the record before this is stored.
async fn save(platform: Platform, store: TokenStore, mut lock: RecordLock, login: Record) {
    for wait in waits() {
        platform.clock.sleep(wait).await;
        if let Err(TokenStorageError::Conflict { .. }) = lock.mark_refresh_started().await {
            return;
        }
        match store.save(&mut lock, &login).await {
            Ok(_) => return lock.mark_refresh_finished().await,
            Err(TokenStorageError::Conflict { .. }) => return,
            Err(error) => tracing::warn!(%error, "a renewed login is still not stored"),
        }
    }
    tracing::error!(server = %login.discovery.server, "a renewed login was never stored");
}
