//! The DPoP nonces of the servers, and the `jti` values that were used.

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
    /// Creates a nonce for each server that requires one.
    pub(crate) fn new(peers: &[Peer]) -> Self {
        let current = peers.iter().map(|peer| (*peer, random("nonce")));
        Self {
            current: current.collect(),
            used: HashSet::new(),
        }
    }

    /// Returns the nonce of a server; none if it requires none.
    pub(crate) fn current(&self, peer: Peer) -> Option<String> {
        self.current.get(&peer).cloned()
    }

    /// Replaces all nonces; the old ones become invalid.
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
