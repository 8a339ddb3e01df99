//! The open sessions of a client, in bounded memory: one process may serve millions of users.
//!
//! A key belongs to one of many small sets, by its hash. A set is replaced as a whole, so that a lookup
//! takes no lock, and an insertion copies one set only: its cost does not depend on the number of logins.
//! A crate for caches would bring its own clock (`moka`) or no eviction by time (`quick_cache`, `papaya`), and
//! this is smaller than what either would need around it.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;

use crate::{store::LoginKey, stored_session::StoredSession};

/// The number of sets, and of the sessions in each. Their product is the largest number of open sessions,
/// 10,240, of which about nine in ten are used when the keys are spread by chance.
const SETS: usize = 512;
const SET_CAPACITY: usize = 20;
/// The time since its last use after which a session is closed. Opening it again reads one record.
const LONGEST_IDLE: Duration = Duration::from_secs(30 * 60);

/// The open sessions, by their keys.
pub(super) struct OpenSessions {
    sets: Box<[ArcSwap<Set>]>,
    /// Seeded by chance, so that a user cannot choose keys that belong to one set.
    hasher: RandomState,
}

type Set = Vec<Slot>;

/// An entry of a set. The hash is beside the pointer, so that a lookup reads no other session.
#[derive(Clone)]
struct Slot {
    hash: u64,
    open: Arc<OpenSession>,
}

struct OpenSession {
    session: StoredSession,
    /// In seconds since 1970.
    last_used: AtomicU64,
}

impl Default for OpenSessions {
    fn default() -> Self {
        Self::with_sets(SETS)
    }
}

impl OpenSessions {
    fn with_sets(number: usize) -> Self {
        let empty = Arc::new(Set::new());
        let set = || ArcSwap::new(Arc::clone(&empty));
        Self {
            sets: std::iter::repeat_with(set).take(number).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Returns the open session of `key`: no lock, no allocation.
    pub(super) fn get(&self, key: &LoginKey, now: SystemTime) -> Option<StoredSession> {
        let hash = self.hasher.hash_one(key);
        let set = self.set(hash).load();
        let slot = set.iter().find(|slot| slot.is_of(hash, key))?;
        slot.open.note_use(seconds(now));
        Some(slot.open.session.clone())
    }

    /// Opens `session`, unless another one with its key is open and `replace` is false. Returns the open one.
    /// Closes sessions of the same set that are idle, or the one that was not used for the longest time if
    /// the set is full.
    pub(super) fn insert(
        &self,
        session: StoredSession,
        replace: bool,
        now: SystemTime,
    ) -> StoredSession {
        let (hash, now) = (self.hasher.hash_one(session.key()), seconds(now));
        let new = Slot {
            hash,
            open: Arc::new(OpenSession {
                session,
                last_used: AtomicU64::new(now),
            }),
        };
        let key = new.open.session.key();
        let mut opened = Arc::clone(&new.open);
        self.set(hash).rcu(|set| {
            let present = set.iter().find(|slot| slot.is_of(hash, key));
            if let Some(present) = present.filter(|_| !replace) {
                opened = Arc::clone(&present.open);
                return Arc::clone(set);
            }
            opened = Arc::clone(&new.open);
            let others = set.iter().filter(|slot| !slot.is_of(hash, key));
            let mut slots: Set = others
                .filter(|slot| !slot.open.is_idle(now))
                .cloned()
                .collect();
            evict(&mut slots);
            slots.push(new.clone());
            Arc::new(slots)
        });
        opened.session.clone()
    }

    /// Closes the session of `key`.
    pub(super) fn remove(&self, key: &LoginKey) {
        let hash = self.hasher.hash_one(key);
        self.set(hash).rcu(|set| {
            let others = set.iter().filter(|slot| !slot.is_of(hash, key));
            others.cloned().collect::<Set>()
        });
    }

    fn set(&self, hash: u64) -> &ArcSwap<Set> {
        // The remainder is smaller than the number of sets, which fits.
        #[expect(clippy::cast_possible_truncation, reason = "see above")]
        let number = (hash % self.sets.len() as u64) as usize;
        &self.sets[number]
    }
}

/// Closes the sessions that were not used for the longest time until one more fits, those first that no
/// caller holds. A session that has to stay enlarges the set.
fn evict(slots: &mut Set) {
    while slots.len() >= SET_CAPACITY {
        let last_used = |open: &OpenSession| open.last_used.load(Ordering::Relaxed);
        let oldest = slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| !slot.open.session.is_busy())
            .min_by_key(|(_, slot)| (slot.open.session.is_shared(), last_used(&slot.open)));
        let Some((number, _)) = oldest else { return };
        slots.swap_remove(number);
    }
}

impl Slot {
    fn is_of(&self, hash: u64, key: &LoginKey) -> bool {
        self.hash == hash && self.open.session.key() == key
    }
}

impl OpenSession {
    fn note_use(&self, now: u64) {
        // Written once a second at most: threads that use the same session share its cache line.
        if self.last_used.load(Ordering::Relaxed) < now {
            self.last_used.store(now, Ordering::Relaxed);
        }
    }

    /// Returns whether the session can be closed though there is room: nothing uses it.
    fn is_idle(&self, now: u64) -> bool {
        let idle = now.saturating_sub(self.last_used.load(Ordering::Relaxed));
        idle > LONGEST_IDLE.as_secs() && !self.session.is_shared() && !self.session.is_busy()
    }
}

fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
