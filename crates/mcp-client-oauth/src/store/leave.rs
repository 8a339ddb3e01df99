//! Whose word it takes to read a file, a variable or what a command prints.
//!
//! A record says where the assertion of its login comes from. In a store that others can write,
//! that would let them have a program run, or a file sent off, on every machine that reads it.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use crate::machine::MachineGrant;

/// What our own caller has said.
#[derive(Debug, Default)]
pub(super) struct Leave {
    /// That every record may be believed.
    all: AtomicBool,
    /// That tokens may be got in these ways.
    named: Mutex<Vec<MachineGrant>>,
}

impl Leave {
    pub(super) fn give_all(&self) {
        self.all.store(true, Ordering::Relaxed);
    }

    pub(super) fn give(&self, machine: &MachineGrant) {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if !named.contains(machine) {
            named.push(machine.clone());
        }
    }

    pub(super) fn is_given(&self, machine: &MachineGrant) -> bool {
        let named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        self.all.load(Ordering::Relaxed) || named.contains(machine)
    }
}
