//! The way back: the tokens are forgotten here, and given back to the server (RFC 7009).

use std::time::Duration;

use url::Url;

use crate::{
    discovery::Discovery,
    error::{AuthorizationError, Error, RegistrationError, TokenStorageError},
    identity::ClientIdentity,
    platform::Platform,
    proto::revocation::{self, TokenKind},
    store::{Record, RecordKey, TokenStore},
};

/// How long a server may take to revoke one token (H98).
const PATIENCE: Duration = Duration::from_secs(5);

/// What a logout did. The local part is done in any case.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Logout {
    /// Whether there were tokens here.
    pub forgotten: bool,
    /// What became of them at the server.
    pub remote: RemoteLogout,
}

/// What became of the tokens at the authorization server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RemoteLogout {
    /// The server has taken them back.
    Revoked,
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
    key: &RecordKey,
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
            (forgotten, RemoteLogout::Failed(damaged.into()))
        }
        Err(unreadable) => return Err(unreadable.into()),
    };
    Ok(Logout { forgotten, remote })
}

async fn give_back(platform: &Platform, record: Option<&Record>) -> RemoteLogout {
    let Some(record) = record else {
        return RemoteLogout::NothingThere;
    };
    if record.discovery.metadata.revocation_endpoint.is_none() {
        return RemoteLogout::NotOffered;
    }
    let tokens = &record.tokens;
    let refresh = tokens
        .refresh_token
        .as_ref()
        .map(|token| (token.expose().as_str(), TokenKind::Refresh));
    let access = Some((tokens.access_token.expose(), TokenKind::Access));
    let mut outcome = RemoteLogout::Revoked;
    for (token, kind) in [refresh, access].into_iter().flatten() {
        if let Err(error) = revoke(platform, &record.discovery, &record.identity, token, kind).await
        {
            outcome = RemoteLogout::Failed(error);
            break;
        }
    }
    outcome
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
    kind: TokenKind,
) -> Result<(), Error> {
    let server = &discovery.metadata;
    let Some(endpoint) = &server.revocation_endpoint else {
        let (issuer, wanted) = (server.issuer.clone(), Some("revocation".to_owned()));
        return Err(AuthorizationError::NoGrant { issuer, wanted }.into());
    };
    let Some(client) = identity.authenticate(server) else {
        return Err(RegistrationError::NoWay(server.issuer.clone()).into());
    };
    let mut request = revocation::request(endpoint, discovery.reach, &client, token, kind);
    request.deadline = PATIENCE;
    let url: Url = request.url.clone();
    let answer = platform.http.send(request).await?;
    let secret = client
        .client_secret
        .map_or("", |secret| secret.expose().as_str());
    revocation::response(&answer, &[token, secret])
        .map_err(|cause| Error::Revocation { url, cause })
}
