//! Whose word it takes to read a file, a variable or what a command prints.
//!
//! A record says where the assertion of its login comes from, and where it is sent. In a store that
//! others can write, that would let them have a program run on every machine that reads it, or a
//! file sent to an endpoint of theirs.

use std::sync::Mutex;

use url::Url;

use crate::{machine::MachineGrant, mutex::lock, store::record::Record};

/// What our own caller has said, and what came of it: tokens were got in these ways, at the endpoint
/// that this process discovered itself.
#[derive(Debug, Default)]
pub(super) struct Leave(Mutex<Vec<(MachineGrant, Url)>>);

impl Leave {
    pub(super) fn give(&self, machine: &MachineGrant, record: &Record) {
        let given = (machine.clone(), endpoint(record).clone());
        let mut all = lock(&self.0);
        if !all.contains(&given) {
            all.push(given);
        }
    }

    pub(super) fn is_given(&self, machine: &MachineGrant, record: &Record) -> bool {
        let all = lock(&self.0);
        all.iter()
            .any(|(named, url)| named == machine && url == endpoint(record))
    }
}

fn endpoint(record: &Record) -> &Url {
    record.discovery.metadata.token_endpoint.as_url()
}
