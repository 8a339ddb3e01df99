//! The stored token of a login, read without refreshing it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mcp_client_oauth::{Secret, flow::TokenSet};
use serde::{Deserialize, Serialize};

use crate::{
    context::{Context, Target},
    error::{Exit, Failure},
    shell::quoted,
};

/// The longest time before its expiry in which a token is renewed: it is used outside of this process, where
/// it is not refreshed.
const LONGEST_MARGIN: Duration = Duration::from_secs(60);

/// The time for which a token with a lifetime of zero is used, as in the sessions of the library.
const TRIED_FOR: Duration = Duration::from_secs(30);

/// Identifies a stored token without holding it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct TokenId {
    /// The revision of the record, which begins again after a logout.
    pub(super) revision: u64,
    /// The time of issue, in seconds since 1970.
    issued_at: u64,
}

/// The age of a token.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Freshness {
    Fresh,
    ExpiresSoon,
    Expired,
}

/// A bearer token, as it is stored.
pub(super) struct StoredToken {
    pub(super) id: TokenId,
    /// The value of `Authorization`.
    pub(super) header: Secret<String>,
    is_refreshable: bool,
    issued_at: SystemTime,
    expires_at: Option<SystemTime>,
}

impl StoredToken {
    /// Returns the token of the login, if there is one.
    ///
    /// # Errors
    /// The store cannot be read; the token is bound to a key.
    pub(super) async fn load(context: &Context, target: &Target) -> Result<Option<Self>, Failure> {
        let store = context.store().await?;
        let Some((record, revision)) = store.load(&target.key).await? else {
            return Ok(None);
        };
        if record.dpop.is_some() {
            return Err(bound_to_key(target));
        }
        let is_refreshable = record.is_refreshable();
        let TokenSet {
            access_token,
            issued_at,
            expires_at,
            ..
        } = record.tokens;
        Ok(Some(Self {
            id: TokenId {
                revision: revision.number(),
                issued_at: seconds(issued_at),
            },
            header: Secret::new(format!("Bearer {}", access_token.expose())),
            is_refreshable,
            issued_at,
            expires_at,
        }))
    }

    /// Returns whether a new token is needed. One that cannot be refreshed is used until it expires.
    pub(super) fn needs_renewal(&self, now: SystemTime) -> bool {
        match self.freshness(now) {
            Freshness::Fresh => false,
            Freshness::ExpiresSoon => self.is_refreshable,
            Freshness::Expired => true,
        }
    }

    /// Returns the age at `now`. The last quarter of the lifetime, a minute at most, is soon.
    pub(super) fn freshness(&self, now: SystemTime) -> Freshness {
        let Some(end) = self.expires_at else {
            return Freshness::Fresh;
        };
        let life = end.duration_since(self.issued_at).unwrap_or_default();
        let (end, margin) = if life.is_zero() {
            (end + TRIED_FOR, Duration::ZERO)
        } else {
            (end, (life / 4).min(LONGEST_MARGIN))
        };
        match end.duration_since(now) {
            Ok(left) if left > margin => Freshness::Fresh,
            Ok(left) if !left.is_zero() => Freshness::ExpiresSoon,
            _ => Freshness::Expired,
        }
    }
}

/// Returns whole seconds since 1970.
pub(super) fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Returns the failure of a token that is bound to a key (RFC 9449 §7.1).
fn bound_to_key(target: &Target) -> Failure {
    Failure::Other {
        code: "dpop_bound",
        message: format!(
            "the token of {} is bound to a key (DPoP): each request needs a proof of its own, which a fixed \
             header cannot have",
            target.typed
        ),
        hint: Some(format!(
            "use a proxy, which sends the proofs: mcp-oauth proxy {}",
            quoted(&target.typed)
        )),
        exit: Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(life: Option<u64>, is_refreshable: bool) -> StoredToken {
        let issued_at = UNIX_EPOCH + Duration::from_secs(1000);
        StoredToken {
            id: TokenId {
                revision: 1,
                issued_at: 1000,
            },
            header: Secret::new(String::new()),
            is_refreshable,
            issued_at,
            expires_at: life.map(|life| issued_at + Duration::from_secs(life)),
        }
    }

    #[test]
    fn a_token_is_renewed_before_it_expires_only_if_it_can_be_refreshed() {
        for (life, age, refreshable, not_refreshable) in [
            (None, 1_000_000, false, false),
            (Some(3600), 3539, false, false),
            (Some(3600), 3540, true, false),
            (Some(3600), 3600, true, true),
            (Some(40), 29, false, false),
            (Some(40), 30, true, false),
            (Some(40), 99, true, true),
            (Some(0), 29, false, false),
            (Some(0), 30, true, true),
        ] {
            let now = UNIX_EPOCH + Duration::from_secs(1000 + age);
            let needs = |is_refreshable| token(life, is_refreshable).needs_renewal(now);
            assert_eq!(needs(true), refreshable, "{life:?} {age}");
            assert_eq!(needs(false), not_refreshable, "{life:?} {age}");
        }
    }
}
