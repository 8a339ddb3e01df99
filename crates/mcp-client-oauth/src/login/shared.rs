//! A login that is there already, and may do for another resource of its issuer.

use crate::{
    discovery::Discovery,
    error::{Error, TokenRefreshError},
    platform::{Platform, TOKEN_DEADLINE},
    proto::scope::Scope,
    session::{Borrowed, Target, borrow},
    store::{LoginKey, Record, TokenStore},
};

/// Returns a record for `key` with the login of the same account at another resource of the issuer; none if
/// there is no such login, or the issuer does not give all that is `wanted` for it. Its tokens are bound to a key if, and
/// only if, `bound` ones are wanted.
///
/// # Errors
/// [`Error::TokenStorage`] only.
pub(super) async fn shared_login(
    platform: &Platform,
    store: &TokenStore,
    key: &LoginKey,
    discovery: &Discovery,
    (wanted, bound): (Option<&Scope>, bool),
) -> Result<Option<Record>, Error> {
    for lender in store.keys().await? {
        if lender == *key || lender.account() != key.account() {
            continue;
        }
        // One that cannot be read cannot be shared, and is told where it is used.
        let Ok(Some((login, _))) = store.load(&lender).await else {
            continue;
        };
        if login.discovery.issuer() != discovery.issuer()
            || login.tokens.refresh_token.is_none()
            || login.dpop.is_some() != bound
        {
            continue;
        }
        match borrow_surely(platform, store, &lender, discovery).await? {
            Ok(Borrowed { tokens, dpop }) => {
                let (identity, wanted) = (login.identity, wanted.cloned());
                let mut record = Record::new(discovery.clone(), identity, wanted, tokens);
                if record.missing_scope().is_some() {
                    tracing::info!(server = %key, %lender, "the login there has not all of the scope");
                    continue;
                }
                record.lender = Some(lender);
                record.dpop = dpop;
                return Ok(Some(record));
            }
            Err(error) => {
                tracing::info!(server = %key, %lender, %error, "the login there does not do here");
            }
        }
    }
    Ok(None)
}

/// In a task of its own: whoever gives up a login must not lose the refresh token of another one
/// between the server's answer and the store.
async fn borrow_surely(
    platform: &Platform,
    store: &TokenStore,
    lender: &LoginKey,
    discovery: &Discovery,
) -> Result<Result<Borrowed, TokenRefreshError>, Error> {
    let (platform, store) = (platform.clone(), store.clone());
    let (lender, discovery) = (lender.clone(), discovery.clone());
    let borrowing = tokio::spawn(async move {
        let target = Target {
            server: &discovery.server,
            resource: &discovery.resource,
            issuer: discovery.issuer(),
        };
        borrow(&platform, &store, &lender, target, TOKEN_DEADLINE).await
    });
    borrowing
        .await
        .unwrap_or_else(|aborted| Ok(Err(TokenRefreshError::Aborted(aborted.to_string()))))
}
