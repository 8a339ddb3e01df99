//! One login for several resources of one issuer, where the caller allows it: a refresh names the
//! resource that the new access token is for (RFC 8707 §2.2), so the refresh token of one record can be
//! used for another. It stays in the record of its login only: with rotation, one record would use a copy
//! and the other would send it again.

use std::time::Duration;

use super::{
    pending_save::waits,
    refresh::{leaves_doubt, proof_generator_of, refresh_with},
};
use crate::{
    error::{Error, TokenRefreshError, TokenStorageError},
    platform::Platform,
    proto::{dpop::DpopKey, resource_metadata::Resource, server_metadata::Issuer, token::TokenSet},
    server_url::ServerUrl,
    store::{LoginKey, Record, RecordLock, TokenStore},
};

/// The resource that a token is requested for.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) server: &'a ServerUrl,
    pub(crate) resource: &'a Resource,
    /// The required issuer.
    pub(crate) issuer: &'a Issuer,
}

/// The tokens that the login at another resource got for this one.
pub(crate) struct SharedTokens {
    pub(crate) tokens: TokenSet,
    /// The key of that login, which the tokens are bound to.
    pub(crate) dpop: Option<DpopKey>,
}

/// Gets an access token for a target resource with the refresh token of the login `shared_from`. The record
/// of that login is locked, read again, and saved before the new token is returned, as in its own refresh.
/// The record that uses another login is always locked before the record of that login, so that no
/// deadlock is possible.
pub(crate) async fn refresh_shared_login(
    platform: &Platform,
    store: &TokenStore,
    shared_from: &LoginKey,
    target: Target<'_>,
    left: Duration,
) -> Result<Result<SharedTokens, TokenRefreshError>, Error> {
    let mut lock = store.lock(shared_from).await?;
    // A login that has changed to another issuer since then cannot be used. If its requests do not name the
    // resource, the token may be for another one.
    let login = lock.record().cloned();
    let is_usable = |login: &Record| {
        let discovery = &login.discovery;
        discovery.issuer() == target.issuer && discovery.quirks.tells_resources_apart()
    };
    let Some(login) = login.filter(is_usable) else {
        let gone = TokenRefreshError::NoRefreshToken(target.server.clone());
        return Ok(Err(gone));
    };
    let was_in_doubt = lock.refresh_interrupted();
    lock.mark_refresh_started().await?;
    // The refresh token goes to the endpoint of its login, whatever the metadata of the other resource
    // says about the issuer (docs/hostile.md H6).
    let proof_generator = proof_generator_of(platform, &login);
    let outcome = refresh_with(
        platform,
        &login,
        target.resource,
        proof_generator.as_ref(),
        left,
    )
    .await;
    let mut tokens = match outcome {
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
                tracing::error!(server = %shared_from, %error, "a refreshed login could not be saved");
                store.spawn(save(platform.clone(), store.clone(), lock, login));
                return Ok(Ok(SharedTokens { tokens, dpop }));
            }
        }
    }
    lock.mark_refresh_finished().await;
    Ok(Ok(SharedTokens { tokens, dpop }))
}

/// Retries to save a login: its old refresh token is used up, so the record stays locked until then.
async fn save(platform: Platform, store: TokenStore, mut lock: RecordLock, login: Record) {
    for wait in waits() {
        platform.clock.sleep(wait).await;
        if let Err(TokenStorageError::Conflict { .. }) = lock.mark_refresh_started().await {
            return;
        }
        match store.save(&mut lock, &login).await {
            Ok(_) => return lock.mark_refresh_finished().await,
            Err(TokenStorageError::Conflict { .. }) => return,
            Err(error) => tracing::warn!(%error, "a refreshed login is still not saved"),
        }
    }
    tracing::error!(server = %login.discovery.server, "a refreshed login was never saved");
}
