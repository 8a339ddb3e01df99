//! Whether a stored login satisfies the options of a new one.

use crate::{
    error::{Error, Remedy},
    grant::RecordedGrant,
    login::{DpopPolicy, LoginOptions},
    stored_session::StoredSession,
    token_source::TokenSource as _,
};

/// Returns the stored session with a valid token if it satisfies the options; none if a login is needed.
pub(super) async fn reuse(
    session: &StoredSession,
    options: &LoginOptions,
) -> Result<Option<StoredSession>, Error> {
    if is_insufficient(session, options) {
        return Ok(None);
    }
    let session = options.apply_grant(session.clone());
    match session.token().await {
        Ok(_) => Ok(Some(session)),
        Err(error) if error.remedy() == Remedy::LogIn => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns whether `session` does not satisfy `options`: they need a scope that was not requested yet, the
/// other kind of token, another client, other quirks or another grant.
fn is_insufficient(session: &StoredSession, options: &LoginOptions) -> bool {
    let record = session.record();
    let missing = match (&options.scope, record.known_scope()) {
        (Some(requested), Some(known)) => requested.missing_from(&known).is_some(),
        (Some(_), None) => true,
        (None, _) => false,
    };
    let preregistered = options.identity.preregistered.as_ref();
    let bound = record.dpop.is_some();
    let is_other_kind = match options.dpop {
        DpopPolicy::Auto => false,
        DpopPolicy::Always => !bound,
        DpopPolicy::Never => bound,
    };
    let quirks = &options.discovery.quirks;
    let discovery = &record.discovery;
    let has_other_quirks =
        !quirks.is_empty() && discovery.clone().with_quirks(quirks).quirks != discovery.quirks;
    let recorded = record.non_interactive.as_ref().map(RecordedGrant::name);
    missing
        || is_other_kind
        || has_other_quirks
        || preregistered.is_some_and(|client| record.identity.client_id() != client.client_id)
        || options.grant.is_non_interactive()
            && (recorded != Some(options.grant.name()) || session.has_other_grant(&options.grant))
}
