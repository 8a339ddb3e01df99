//! The refresh transaction as a state machine without I/O: events go in, the next step comes out
//! (docs/hostile.md H99 to H107). [`refresh_task`](super::refresh_task) runs it against the store and the
//! server; the tests run a model of three processes that crash or pause at any step, in every order of
//! events.
//!
//! ```text
//! lock -> read -+- good ------------------------------------> return the stored token
//!               +- nothing ---------------------------------> log in
//!               +- not good -> begin -> send -+- new -> save -> return the new token
//!                    ^                        +- refused -> read again -+- the same: delete it, log in
//!                    |                        +- failed: no change      |
//!                    +---------------------- another one ---------------+
//! ```

use crate::store::Revision;

#[cfg(test)]
mod model;

/// The number of refresh tokens that are sent in one transaction, if other processes replace the record
/// each time. The next call starts a new transaction.
const MOST_SENT: u8 = 3;

/// The part of the stored record that the transaction needs.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Seen {
    pub(super) revision: Revision,
    /// Says whether its token meets the caller's requirement: it is valid, and not the refused one.
    pub(super) meets_requirement: bool,
}

/// The next step.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Step {
    /// Note that the refresh token is about to be used, and check that the record is still locked.
    Begin,
    /// Send the refresh token of the record that was read last.
    Send,
    /// Replace the record that was read last by the new tokens.
    Save,
    /// Read the record again.
    ReadAgain,
    /// Delete the record, if it is still the one that was refused.
    Delete,
    /// End the transaction.
    End(Ending),
}

/// The result of a transaction.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Ending {
    /// The store had a token that meets the requirement.
    Adopted,
    /// There are new tokens, and they are stored.
    Refreshed,
    /// There are new tokens, and only this process has them.
    Unsaved,
    /// Nothing has changed, and a later attempt may succeed.
    Failed,
    /// Another process took the record over, before anything was sent. The transaction may start again.
    TakenOver,
    /// The user must log in.
    LogIn,
}

/// The result of a change that expected the record that was read last.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Change {
    Done,
    /// The record was another one.
    Conflict,
    Failed,
}

/// The state of one transaction.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct Transaction {
    read: Option<Revision>,
    /// The record with the refresh token that the server refused.
    refused: Option<Revision>,
    sent: u8,
}

impl Transaction {
    /// Returns the step after the first read, with the record locked, and after [`Step::ReadAgain`].
    pub(super) fn read(&mut self, seen: Option<Seen>) -> Step {
        self.read = seen.map(|seen| seen.revision);
        match seen {
            None => Step::End(Ending::LogIn),
            Some(seen) if seen.meets_requirement => Step::End(Ending::Adopted),
            // Only the refused record is dead; another one may be that of a process that won the race
            // (docs/hostile.md H103).
            Some(_) if self.read == self.refused => Step::Delete,
            Some(_) if self.sent == MOST_SENT => Step::End(Ending::Failed),
            Some(_) => Step::Begin,
        }
    }

    /// Returns the step after [`Step::Begin`]; `is_held` says whether the record is still locked.
    pub(super) fn begun(&mut self, is_held: bool) -> Step {
        if is_held {
            self.sent += 1;
            Step::Send
        } else {
            Step::End(Ending::TakenOver)
        }
    }

    /// Returns the step after [`Step::Send`] if there are new tokens.
    pub(super) fn refreshed() -> Step {
        Step::Save
    }

    /// Returns the step after [`Step::Send`] if the server refused the refresh token.
    pub(super) fn refused(&mut self) -> Step {
        self.refused = self.read;
        Step::ReadAgain
    }

    /// Returns the step after [`Step::Send`] for any other error.
    pub(super) fn failed() -> Step {
        Step::End(Ending::Failed)
    }

    /// Returns the step after [`Step::Save`]. A process that has written in between has logged in or out,
    /// or has taken the lease over: its record counts.
    pub(super) fn saved(change: Change) -> Step {
        match change {
            Change::Done => Step::End(Ending::Refreshed),
            Change::Conflict => Step::ReadAgain,
            Change::Failed => Step::End(Ending::Unsaved),
        }
    }

    /// Returns the step after [`Step::Delete`]. If the deletion fails, the dead record stays, and the next
    /// transaction deletes it after another refusal.
    pub(super) fn deleted(change: Change) -> Step {
        match change {
            Change::Done | Change::Failed => Step::End(Ending::LogIn),
            Change::Conflict => Step::ReadAgain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(revision: u64, meets_requirement: bool) -> Seen {
        Seen {
            revision: Revision::new(revision),
            meets_requirement,
        }
    }

    fn sent(transaction: &mut Transaction, revision: u64) {
        assert_eq!(transaction.read(Some(seen(revision, false))), Step::Begin);
        assert_eq!(transaction.begun(true), Step::Send);
    }

    #[test]
    fn a_valid_stored_token_is_adopted_and_nothing_is_sent() {
        let step = Transaction::default().read(Some(seen(1, true)));
        assert_eq!(step, Step::End(Ending::Adopted));
    }

    #[test]
    fn a_refusal_deletes_the_record_that_was_sent() {
        let mut transaction = Transaction::default();
        sent(&mut transaction, 1);
        assert_eq!(transaction.refused(), Step::ReadAgain);
        assert_eq!(transaction.read(Some(seen(1, false))), Step::Delete);
        assert_eq!(Transaction::deleted(Change::Done), Step::End(Ending::LogIn));
    }

    #[test]
    fn a_refusal_does_not_delete_a_record_written_in_between() {
        let mut transaction = Transaction::default();
        sent(&mut transaction, 1);
        transaction.refused();
        assert_eq!(transaction.read(Some(seen(2, false))), Step::Begin);
        assert_eq!(
            transaction.read(Some(seen(2, true))),
            Step::End(Ending::Adopted)
        );
        assert_eq!(transaction.read(None), Step::End(Ending::LogIn));
    }

    #[test]
    fn the_refresh_token_of_a_record_that_was_taken_over_is_not_sent() {
        let mut transaction = Transaction::default();
        transaction.read(Some(seen(1, false)));
        assert_eq!(transaction.begun(false), Step::End(Ending::TakenOver));
    }

    #[test]
    fn a_record_that_keeps_changing_is_sent_three_times_at_most() {
        let mut transaction = Transaction::default();
        for revision in 1..=3 {
            sent(&mut transaction, revision);
            transaction.refused();
        }
        assert_eq!(
            transaction.read(Some(seen(4, false))),
            Step::End(Ending::Failed)
        );
    }
}
