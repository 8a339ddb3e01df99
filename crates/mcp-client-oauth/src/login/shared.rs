//! A login that is there already, and may do for another resource of its issuer.

use crate::{
    discovery::Discovery,
    error::Error,
    platform::{Platform, TOKEN_DEADLINE},
    session::{Borrowed, borrow},
    store::{Record, RecordKey, TokenStore},
};

/// A record for `key` with the login of the same account at another resource of the issuer; none if
/// there is no such login, or the issuer gives nothing for it. Its tokens are bound to a key if, and
/// only if, `bound` ones are wanted.
///
/// # Errors
/// [`Error::TokenStorage`] only.
pub(super) async fn shared_login(
    platform: &Platform,
    store: &TokenStore,
    key: &RecordKey,
    discovery: &Discovery,
    bound: bool,
) -> Result<Option<Record>, Error> {
    let target = (&discovery.server, &discovery.resource);
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
        match borrow(platform, store, &lender, target, TOKEN_DEADLINE).await? {
            Ok(Borrowed { tokens, dpop }) => {
                let mut record = Record::new(discovery.clone(), login.identity, None, tokens);
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
