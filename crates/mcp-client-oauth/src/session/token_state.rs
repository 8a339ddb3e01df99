//! What a session hands out, and until when.

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

/// Holds what is handed out now. Replaced as a whole.
pub(super) struct Current {
    pub(super) record: Record,
    /// Holds what the store has, as far as we know; less than what is here after a save that failed.
    pub(super) revision: Option<Revision>,
    /// Holds what proves that we have the key of the tokens, if they are bound to one.
    pub(super) prover: Option<Arc<ProofGenerator>>,
    windows: Option<RefreshWindows>,
    /// Says whether somebody has seen to it that this is renewed ahead of its time.
    seen_to: AtomicBool,
}

/// When a token is renewed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct RefreshWindows {
    /// From when on a new one is got while this one is still handed out.
    advisory: SystemTime,
    /// From when on everybody waits for a new one.
    mandatory: SystemTime,
}

/// Says how far the life of a token has gone.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Freshness {
    /// It is handed out.
    Fresh,
    /// It is handed out, and a new one is got meanwhile.
    Advisory,
    /// It is not handed out any more.
    Mandatory,
}

/// Holds what somebody needs.
#[derive(Clone, Debug)]
pub(super) enum TokenRequirement {
    /// A token that is good now.
    Good,
    /// One that is not near its end.
    Fresh,
    /// A good one other than this, which was refused.
    Other(AccessToken),
    /// The same, for this scope; nobody need be asked for it.
    Wider(AccessToken, Scope),
}

impl TokenRequirement {
    /// Returns the record to renew by. A refresh brings no wider scope (RFC 6749 §6), so it is not tried.
    pub(super) fn applied_to(&self, mut record: Record) -> Record {
        if let Self::Wider(_, scope) = self {
            record.requested = Scope::union_of(record.requested.as_ref(), Some(scope));
            record.tokens.refresh_token = None;
        }
        record
    }
}

impl Current {
    /// `before` is what proved until now: it goes on if the key is still the same.
    pub(super) fn new(
        record: Record,
        revision: Option<Revision>,
        before: Option<Arc<ProofGenerator>>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let windows = RefreshWindows::of(&record.tokens);
        let prover = record.dpop.as_ref().map(|key| {
            before
                .filter(|before| before.key() == key)
                .unwrap_or_else(|| Arc::new(ProofGenerator::new(key.clone(), Arc::clone(clock))))
        });
        Self {
            record,
            revision,
            prover,
            windows,
            seen_to: AtomicBool::new(false),
        }
    }

    pub(super) fn age(&self, now: SystemTime) -> Freshness {
        match self.windows {
            Some(windows) if now >= windows.mandatory => Freshness::Mandatory,
            Some(windows) if now >= windows.advisory => Freshness::Advisory,
            _ => Freshness::Fresh,
        }
    }

    pub(super) fn meets(&self, wish: &TokenRequirement, now: SystemTime) -> bool {
        let age = self.age(now);
        match wish {
            TokenRequirement::Good => age < Freshness::Mandatory,
            TokenRequirement::Fresh => age == Freshness::Fresh,
            TokenRequirement::Other(refused) | TokenRequirement::Wider(refused, _) => {
                age < Freshness::Mandatory && self.record.tokens.access_token != *refused
            }
        }
    }

    /// Returns whether the caller is the one who renews this ahead of its time. If that fails, all is left
    /// to the time when it must be done.
    pub(super) fn may_renew_ahead(&self) -> bool {
        !self.seen_to.swap(true, Ordering::Relaxed)
    }
}

impl RefreshWindows {
    /// Returns the last quarter of a token's life, a minute at most, is when it is renewed (H117); in the
    /// last quarter of that nobody gets it any more. A token that is said to have no life at all is
    /// tried for half a minute; a server that means it refuses it, and that renews it too (H82).
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
    fn a_token_is_renewed_shortly_before_its_end_and_withheld_right_before_it() {
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
                "the server does not say when"
            );
            tokens.expires_at = Some(issued_at + Duration::from_secs(life));
            let windows = RefreshWindows::of(&tokens).unwrap();
            assert_eq!(windows.advisory, after(advisory), "{life}");
            let late = windows.mandatory.duration_since(after(mandatory));
            assert!(late.unwrap() < Duration::from_millis(1), "{life}");
        }
    }
}
