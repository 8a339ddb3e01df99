//! The names and the expiry of the records, as this process last read them. A store with many records that
//! expire is listed, and searched for expired ones, for each further one: without this, each time all their
//! files would be opened.
//!
//! Nothing here is ever a reason to report a record: another process may have replaced or removed it. It only
//! says which files need not be opened.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Mutex,
};

use mcp_oauth_support::mutex::lock;

use super::record::RecordHeader;
use crate::{NameQuery, expiry::Expiry};

/// The records by the hash in their file name.
#[derive(Default)]
pub(super) struct KnownRecords(Mutex<HashMap<String, Known>>);

struct Known {
    name: String,
    expiry: Expiry,
}

impl KnownRecords {
    /// Keeps the first line of the record with this hash, which must be the hash of its name.
    pub(super) fn note(&self, hash: &str, header: &RecordHeader) {
        let (name, expiry) = (header.name.clone(), header.expiry());
        let known = Known { name, expiry };
        lock(&self.0).insert(hash.to_owned(), known);
    }

    /// Removes all records but these.
    pub(super) fn retain(&self, hashes: &BTreeSet<String>) {
        lock(&self.0).retain(|hash, _| hashes.contains(hash));
    }

    /// Returns whether the record belongs to another account than that of `query`. A name does not change: it is
    /// what the hash is of.
    pub(super) fn is_of_other_account(&self, hash: &str, query: &NameQuery) -> bool {
        let known = lock(&self.0);
        let known = known.get(hash);
        known.is_some_and(|known| !query.selects(&known.name))
    }

    /// Returns whether the record may have expired. One that another process has replaced by one with a shorter
    /// lifetime is found later than possible.
    pub(super) fn may_have_expired(&self, hash: &str) -> bool {
        let known = lock(&self.0);
        let known = known.get(hash);
        known.is_none_or(|known| known.expiry.is_over())
    }
}
