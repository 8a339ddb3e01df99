//! The token that a session returns, and when it is refreshed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use crate::{
    dpop::ProofGenerator,
    platform::Clock,
    proto::{
        scope::Scope,
        token::{AccessToken, TokenSet},
    },
    store::{Record, Revision},
};

/// The current record of a session. It is replaced as a whole.
pub(super) struct Current {
    pub(super) record: Record,
    /// The last known revision in the store; older than `record` after a failed save.
    pub(super) revision: Option<Revision>,
    /// Creates the DPoP proofs, if the tokens are bound to a key.
    pub(super) proof_generator: Option<Arc<ProofGenerator>>,
    windows: Option<RefreshWindows>,
    /// Says whether a refresh before the expiry was started.
    refresh_scheduled: AtomicBool,
}

/// The times at which a token is refreshed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct RefreshWindows {
    /// From then on the token is refreshed in the background, and still returned.
    advisory: SystemTime,
    /// From then on every caller waits for a new token.
    mandatory: SystemTime,
}

/// The age of a token, compared with its lifetime.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Freshness {
    /// It is returned.
    Fresh,
    /// It is returned, and refreshed in the background.
    Advisory,
    /// It is not returned any more.
    Mandatory,
}

/// The requirement of a caller.
#[derive(Clone, Debug)]
pub(super) enum TokenRequirement {
    /// A valid token.
    Valid,
    /// A valid token that does not expire soon.
    Fresh,
    /// A valid token other than this one, which was refused.
    Other(AccessToken),
    /// A valid token other than this one, requested again with this scope by a non-interactive grant.
    Wider(AccessToken, Scope),
}

impl TokenRequirement {
    /// Returns the record to refresh with. A refresh cannot widen the scope (RFC 6749 §6), so the refresh
    /// token is not used then.
    pub(super) fn applied_to(&self, mut record: Record) -> Record {
        if let Self::Wider(_, scope) = self {
            record.requested = Scope::union_of(record.requested.as_ref(), Some(scope));
            record.tokens.refresh_token = None;
        }
        record
    }
}

impl Current {
    /// Creates the state for a new record. The proof generator `before` is kept if the key is the same,
    /// with the nonces that servers issued.
    pub(super) fn new(
        record: Record,
        revision: Option<Revision>,
        before: Option<Arc<ProofGenerator>>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let windows = RefreshWindows::of(&record.tokens);
        let proof_generator = record.dpop.as_ref().map(|key| {
            before
                .filter(|before| before.key() == key)
                .unwrap_or_else(|| Arc::new(ProofGenerator::new(key.clone(), Arc::clone(clock))))
        });
        Self {
            record,
            revision,
            proof_generator,
            windows,
            refresh_scheduled: AtomicBool::new(false),
        }
    }

    pub(super) fn freshness(&self, now: SystemTime) -> Freshness {
        match self.windows {
            Some(windows) if now >= windows.mandatory => Freshness::Mandatory,
            Some(windows) if now >= windows.advisory => Freshness::Advisory,
            _ => Freshness::Fresh,
        }
    }

    pub(super) fn meets(&self, requirement: &TokenRequirement, now: SystemTime) -> bool {
        let age = self.freshness(now);
        match requirement {
            TokenRequirement::Valid => age < Freshness::Mandatory,
            TokenRequirement::Fresh => age == Freshness::Fresh,
            TokenRequirement::Other(refused) | TokenRequirement::Wider(refused, _) => {
                age < Freshness::Mandatory && self.record.tokens.access_token != *refused
            }
        }
    }

    /// Returns `true` to the first caller only, which refreshes the token before it expires. If that fails,
    /// the token is refreshed when it has expired.
    pub(super) fn claim_background_refresh(&self) -> bool {
        !self.refresh_scheduled.swap(true, Ordering::Relaxed)
    }
}

impl RefreshWindows {
    /// Computes when a token is refreshed: in the last quarter of its lifetime, a minute at most; in the
    /// last quarter of that it is not returned any more. A token with a lifetime of zero is used for half
    /// a minute: if the server really refuses it, that response causes a refresh too.
    fn of(tokens: &TokenSet) -> Option<Self> {
        const LONGEST_MARGIN: Duration = Duration::from_secs(60);
        const TRIED_FOR: Duration = Duration::from_secs(30);
        let (end, life) = (tokens.expires_at?, tokens.lifetime()?);
        if life.is_zero() {
            let end = tokens.issued_at.checked_add(TRIED_FOR)?;
            return Some(Self {
                advisory: end,
                mandatory: end,
            });
        }
        let margin = (life / 4).min(LONGEST_MARGIN);
        Some(Self {
            advisory: end.checked_sub(margin)?,
            mandatory: end.checked_sub(margin / 4)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_refreshed_shortly_before_it_expires_and_not_returned_right_before() {
        let issued_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let after = |milliseconds| issued_at + Duration::from_millis(milliseconds);
        for (life, advisory, mandatory) in [
            (3600, 3_540_000, 3_585_000),
            (240, 180_000, 225_000),
            (80, 60_000, 75_000),
            (16, 12_000, 15_000),
            (1, 750, 937),
            (0, 30_000, 30_000),
        ] {
            let mut tokens = TokenSet::new(AccessToken::new("t").unwrap(), issued_at);
            assert_eq!(
                RefreshWindows::of(&tokens),
                None,
                "a token without an expiry is not refreshed early"
            );
            tokens.expires_at = Some(issued_at + Duration::from_secs(life));
            let windows = RefreshWindows::of(&tokens).unwrap();
            assert_eq!(windows.advisory, after(advisory), "{life}");
            let late = windows.mandatory.duration_since(after(mandatory));
            assert!(late.unwrap() < Duration::from_millis(1), "{life}");
        }
    }
}
