//! Logout: removes the stored tokens and revokes them at the server (RFC 7009).

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

/// The time limit of all revocation requests of one logout.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The outcome of a logout. The local tokens are removed in any case.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Logout {
    /// Says whether there were stored tokens.
    pub removed: bool,
    /// The outcome of the revocation at the server.
    pub remote: RevocationOutcome,
}

/// The outcome of the revocation at the authorization server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RevocationOutcome {
    /// The server has revoked the tokens.
    Revoked,
    /// The server has revoked the refresh token. It does not support the revocation of access tokens,
    /// so this one stays valid until it expires.
    AccessTokenNotRevoked,
    /// There was nothing to revoke.
    NothingToRevoke,
    /// The server has no revocation endpoint: the tokens stay valid until they expire.
    NotSupported,
    /// The revocation failed: the tokens may stay valid until they expire.
    Failed(Error),
}

/// Removes the stored tokens of `key`, then revokes them at the server, the refresh token first. They are
/// removed also if the server cannot be reached; [`Logout::remote`] has the outcome of the revocation.
///
/// # Errors
/// [`Error::TokenStorage`] only: the store is locked or encrypted with another key, and is unchanged.
pub(crate) async fn logout(
    platform: &Platform,
    store: &TokenStore,
    key: &LoginKey,
) -> Result<Logout, Error> {
    // The record is read with the lock held: a pending refresh ends first, and its tokens are revoked.
    let (removed, remote) = match store.lock(key).await {
        Ok(mut lock) => {
            let record = lock.record().cloned();
            let removed = store.delete(&mut lock).await?;
            drop(lock);
            (removed, revoke_tokens(platform, record.as_ref()).await)
        }
        // No process can read a corrupt record. One that only this process cannot read stays unchanged.
        Err(corrupt @ TokenStorageError::Corrupt { .. }) => {
            let removed = store.remove(key).await?;
            (removed, RevocationOutcome::Failed(corrupt.into()))
        }
        Err(unreadable) => return Err(unreadable.into()),
    };
    Ok(Logout { removed, remote })
}

async fn revoke_tokens(platform: &Platform, record: Option<&Record>) -> RevocationOutcome {
    let Some(record) = record else {
        return RevocationOutcome::NothingToRevoke;
    };
    if record.discovery.metadata.revocation_endpoint.is_none() {
        return RevocationOutcome::NotSupported;
    }
    let tokens = &record.tokens;
    let refresh = tokens
        .refresh_token
        .as_ref()
        .map(|token| (token.expose().as_str(), TokenTypeHint::Refresh));
    let access = Some((tokens.access_token.expose(), TokenTypeHint::Access));
    // Some servers accept the revocation of a public client only with a proof of its tokens' key.
    let key = record.dpop.clone();
    let proof_generator = key.map(|key| ProofGenerator::new(key, Arc::clone(&platform.clock)));
    let end = platform.clock.now() + TIMEOUT;
    let mut failure = None;
    let mut refresh_is_revoked = false;
    // The second token is revoked even if the first one is refused, because some servers accept only
    // one kind. After a network error no further request is sent.
    for (token, kind) in [refresh, access].into_iter().flatten() {
        let left = end.duration_since(platform.clock.now()).unwrap_or_default();
        let (discovery, identity) = (&record.discovery, &record.identity);
        let proof_generator = proof_generator.as_ref();
        match revoke_within(
            platform,
            discovery,
            identity,
            token,
            kind,
            proof_generator,
            left,
        )
        .await
        {
            Ok(()) => refresh_is_revoked |= kind == TokenTypeHint::Refresh,
            Err(error @ Error::Http(_)) => return RevocationOutcome::Failed(error),
            Err(error) if refresh_is_revoked && is_unsupported_token_type(&error) => {
                return RevocationOutcome::AccessTokenNotRevoked;
            }
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    failure.map_or(RevocationOutcome::Revoked, RevocationOutcome::Failed)
}

/// Returns whether the server does not support the revocation of this kind of token (RFC 7009 §2.2.1).
/// Servers that issue JWT access tokens respond so, because a resource server validates these locally.
fn is_unsupported_token_type(error: &Error) -> bool {
    match error {
        Error::Revocation(RevocationError::Response { cause, .. }) => cause
            .error
            .as_ref()
            .is_some_and(|error| error.code.as_raw() == "unsupported_token_type"),
        _ => false,
    }
}

/// Revokes one token, within five seconds.
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
    proof_generator: Option<&ProofGenerator>,
    deadline: Duration,
) -> Result<(), Error> {
    let server = &discovery.metadata;
    let endpoint = server.revocation_endpoint.as_ref();
    let endpoint = endpoint.ok_or_else(|| RevocationError::NotOffered(server.issuer.clone()))?;
    let client = identity.authenticate_for_revocation(server);
    let client = client.ok_or_else(|| RevocationError::IssuerMismatch(server.issuer.clone()))?;
    let client = client.with_time(platform.clock.now());
    let client = client.map_err(RegistrationError::from)?;
    let request = |client: &ClientAuth<'_>| {
        let mut request =
            revocation::request(endpoint, discovery.address_space, client, token, kind);
        request.deadline = deadline;
        request
    };
    let url: Url = endpoint.as_url().clone();
    // On the heap: up to three requests make it large.
    let response = token_request::revoke(platform, &client, request, proof_generator, deadline);
    let response = Box::pin(response).await?;
    let secrets: Vec<&str> = client.secrets().chain([token]).collect();
    revocation::response(&response, &secrets)
        .map_err(|cause| RevocationError::Response { url, cause }.into())
}
