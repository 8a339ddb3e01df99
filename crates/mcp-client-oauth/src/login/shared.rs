//! Reuses an existing login for another resource of the same issuer.

use crate::{
    discovery::Discovery,
    error::{Error, TokenRefreshError},
    platform::{Platform, TOKEN_DEADLINE},
    proto::scope::Scope,
    store::{LoginKey, Record, TokenStore},
    stored_session::{SharedTokens, Target, refresh_shared_login},
};

/// Returns a record for `key` that reuses the login of the same account at another resource of the
/// issuer; none if there is no such login, or the issuer does not grant all of `scope` for it. Its tokens are
/// bound to a key if, and only if, `is_bound` is true.
///
/// # Errors
/// [`Error::TokenStorage`] only.
pub(super) async fn shared_login(
    platform: &Platform,
    store: &TokenStore,
    key: &LoginKey,
    discovery: &Discovery,
    (scope, is_bound): (Option<&Scope>, bool),
) -> Result<Option<Record>, Error> {
    for other in store.keys().await? {
        if other == *key || other.account() != key.account() {
            continue;
        }
        // A login that cannot be read cannot be reused. The error is reported when that login is used.
        let Ok(Some((login, _))) = store.load(&other).await else {
            continue;
        };
        if login.discovery.issuer() != discovery.issuer()
            || login.tokens.refresh_token.is_none()
            || login.dpop.is_some() != is_bound
        {
            continue;
        }
        match refresh_shared_login_in_task(platform, store, &other, discovery).await? {
            Ok(SharedTokens { tokens, dpop }) => {
                let (identity, requested) = (login.identity, scope.cloned());
                let mut record = Record::new(discovery.clone(), identity, requested, tokens);
                if record.missing_scope().is_some() {
                    tracing::info!(
                        server = %key,
                        shared_from = %other,
                        "cannot reuse this login: it lacks a part of the scope"
                    );
                    continue;
                }
                record.shared_from = Some(other);
                record.dpop = dpop;
                return Ok(Some(record));
            }
            Err(error) => {
                tracing::info!(server = %key, shared_from = %other, %error, "cannot reuse this login");
            }
        }
    }
    Ok(None)
}

/// Calls [`refresh_shared_login`] in a task of its own: if this login is cancelled between the server's
/// response and the save, the new refresh token of the other login must not be lost.
async fn refresh_shared_login_in_task(
    platform: &Platform,
    store: &TokenStore,
    other: &LoginKey,
    discovery: &Discovery,
) -> Result<Result<SharedTokens, TokenRefreshError>, Error> {
    let (platform, store) = (platform.clone(), store.clone());
    let (other, discovery) = (other.clone(), discovery.clone());
    let task = tokio::spawn(async move {
        let target = Target {
            server: &discovery.server,
            resource: &discovery.resource,
            issuer: discovery.issuer(),
        };
        refresh_shared_login(&platform, &store, &other, target, TOKEN_DEADLINE).await
    });
    task.await
        .unwrap_or_else(|aborted| Ok(Err(TokenRefreshError::Aborted(aborted.to_string()))))
}
