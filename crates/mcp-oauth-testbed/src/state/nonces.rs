//! What the servers remember of proofs: their nonces, and the `jti` that they have seen.

use std::collections::{HashMap, HashSet};

use crate::random::random;
use crate::request_log::Peer;

/// Nonces and used proofs.
#[derive(Debug, Default)]
pub(crate) struct Nonces {
    current: HashMap<Peer, String>,
    used: HashSet<(String, String)>,
}

impl Nonces {
    /// A nonce for each server that wants one.
    pub(crate) fn new(wanted: &[Peer]) -> Self {
        let current = wanted.iter().map(|party| (*party, random("nonce")));
        Self {
            current: current.collect(),
            used: HashSet::new(),
        }
    }

    /// Returns the nonce of a server; none if it wants none.
    pub(crate) fn current(&self, party: Peer) -> Option<String> {
        self.current.get(&party).cloned()
    }

    /// The nonces so far are good no more.
    pub(crate) fn renew(&mut self) {
        for nonce in self.current.values_mut() {
            *nonce = random("nonce");
        }
    }

    /// Returns whether this key uses this `jti` for the first time.
    pub(crate) fn is_first_use(&mut self, thumbprint: &str, jti: &str) -> bool {
        self.used.insert((thumbprint.to_owned(), jti.to_owned()))
    }
}
