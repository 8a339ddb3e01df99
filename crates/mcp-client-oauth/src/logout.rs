//! The way back: the tokens are forgotten here, and given back to the server (RFC 7009).

use std::{sync::Arc, time::Duration};

use url::Url;

use crate::{
    client_registration::ClientIdentity,
    discovery::Discovery,
    dpop::ProofGenerator,
    error::{Error, RegistrationError, RevocationError, TokenStorageError},
    platform::Platform,
    proto::{
        client_auth::ClientAuth,
        revocation::{self, TokenTypeHint},
    },
    store::{LoginKey, Record, TokenStore},
    token_request,
};

/// Says how long a server may take to revoke what it is given (H98).
const TIMEOUT: Duration = Duration::from_secs(5);

/// Holds what a logout did. The local part is done in any case.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Logout {
    /// Says whether there were tokens here.
    pub forgotten: bool,
    /// Holds what became of them at the server.
    pub remote: RevocationOutcome,
}

/// Holds what became of the tokens at the authorization server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RevocationOutcome {
    /// The server has taken them back.
    Revoked,
    /// The server has taken the refresh token back, and takes no access token: this one lives until
    /// it expires.
    AccessTokenLives,
    /// There was nothing to give back.
    NothingThere,
    /// The server has no revocation endpoint: the tokens live until they expire.
    NotOffered,
    /// The server could not be told: the tokens may live until they expire.
    Failed(Error),
}

/// Forgets the tokens of `key`, then tells the server, refresh token first. A server that is gone
/// does not keep them alive here; [`Logout::remote`] says what it did.
///
/// # Errors
/// [`Error::TokenStorage`] only: the store is locked, or opens with another key, and is as it was.
pub async fn logout(
    platform: &Platform,
    store: &TokenStore,
    key: &LoginKey,
) -> Result<Logout, Error> {
    // Read with the lock held: a refresh that is under way ends first, and its tokens are the ones
    // to give back.
    let (forgotten, remote) = match store.lock(key).await {
        Ok(mut lock) => {
            let record = lock.record().cloned();
            let forgotten = store.delete(&mut lock).await?;
            drop(lock);
            (forgotten, give_back(platform, record.as_ref()).await)
        }
        // Nobody will ever read it; one that only we cannot read stays as it is.
        Err(damaged @ TokenStorageError::Corrupt { .. }) => {
            let forgotten = store.forget(key).await?;
            (forgotten, RevocationOutcome::Failed(damaged.into()))
        }
        Err(unreadable) => return Err(unreadable.into()),
    };
    Ok(Logout { forgotten, remote })
}

async fn give_back(platform: &Platform, record: Option<&Record>) -> RevocationOutcome {
    let Some(record) = record else {
        return RevocationOutcome::NothingThere;
    };
    if record.discovery.metadata.revocation_endpoint.is_none() {
        return RevocationOutcome::NotOffered;
    }
    let tokens = &record.tokens;
    let refresh = tokens
        .refresh_token
        .as_ref()
        .map(|token| (token.expose().as_str(), TokenTypeHint::Refresh));
    let access = Some((tokens.access_token.expose(), TokenTypeHint::Access));
    // Some servers give a public client's revocation a hearing only with the key of its tokens.
    let key = record.dpop.clone();
    let prover = key.map(|key| ProofGenerator::new(key, Arc::clone(&platform.clock)));
    let end = platform.clock.now() + TIMEOUT;
    let mut failure = None;
    let mut refresh_is_revoked = false;
    // The second is given back even if the first is refused, because some servers take only one
    // kind; a server that does not answer is not asked again.
    for (token, kind) in [refresh, access].into_iter().flatten() {
        let left = end.duration_since(platform.clock.now()).unwrap_or_default();
        let (discovery, identity) = (&record.discovery, &record.identity);
        let prover = prover.as_ref();
        match revoke_within(platform, discovery, identity, token, kind, prover, left).await {
            Ok(()) => refresh_is_revoked |= kind == TokenTypeHint::Refresh,
            Err(error @ Error::Http(_)) => return RevocationOutcome::Failed(error),
            Err(error) if refresh_is_revoked && takes_no_such_token(&error) => {
                return RevocationOutcome::AccessTokenLives;
            }
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    failure.map_or(RevocationOutcome::Revoked, RevocationOutcome::Failed)
}

/// RFC 7009 §2.2.1. Servers whose access tokens are JWT say so of these: nobody asks them whether
/// one is still good.
fn takes_no_such_token(error: &Error) -> bool {
    match error {
        Error::Revocation(RevocationError::Answer { cause, .. }) => cause
            .error
            .as_ref()
            .is_some_and(|error| error.code.as_raw() == "unsupported_token_type"),
        _ => false,
    }
}

/// Gives one token back, within five seconds.
///
/// # Errors
/// [`Error::Revocation`] if the server refused or has no endpoint for it, or [`Error::Http`].
pub async fn revoke(
    platform: &Platform,
    discovery: &Discovery,
    identity: &ClientIdentity,
    token: &str,
    kind: TokenTypeHint,
) -> Result<(), Error> {
    revoke_within(platform, discovery, identity, token, kind, None, TIMEOUT).await
}

async fn revoke_within(
    platform: &Platform,
    discovery: &Discovery,
    identity: &ClientIdentity,
    token: &str,
    kind: TokenTypeHint,
    prover: Option<&ProofGenerator>,
    deadline: Duration,
) -> Result<(), Error> {
    let server = &discovery.metadata;
    let endpoint = server.revocation_endpoint.as_ref();
    let endpoint = endpoint.ok_or_else(|| RevocationError::NotOffered(server.issuer.clone()))?;
    let client = identity.authenticate_for_revocation(server);
    let client = client.ok_or_else(|| RevocationError::OtherIssuer(server.issuer.clone()))?;
    let client = client.with_time(platform.clock.now());
    let client = client.map_err(RegistrationError::from)?;
    let request = |client: &ClientAuth<'_>| {
        let mut request = revocation::request(endpoint, discovery.reach, client, token, kind);
        request.deadline = deadline;
        request
    };
    let url: Url = endpoint.as_url().clone();
    // On the heap: up to three requests make it large.
    let answer = token_request::revoke(platform, &client, request, prover, deadline);
    let answer = Box::pin(answer).await?;
    let secrets: Vec<&str> = client.secrets().chain([token]).collect();
    revocation::response(&answer, &secrets)
        .map_err(|cause| RevocationError::Answer { url, cause }.into())
}
