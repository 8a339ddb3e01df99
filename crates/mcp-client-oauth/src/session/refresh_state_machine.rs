//! The refresh transaction as a machine without I/O: what was learnt goes in, what to do next comes
//! out (H99-H107). [`renewal`](super::renewal) does it in the world; a model of three processes that
//! die or stop at any step does it in every order of events.
//!
//! ```text
//! lock -> read -+- good ------------------------------------> adopt what is there
//!               +- nothing ---------------------------------> log in
//!               +- not good -> begin -> send -+- new -> save -> hand out
//!                    ^                        +- refused -> read again -+- the same: forget it
//!                    |                        +- failed: all stays      |
//!                    +---------------------- another one ---------------+
//! ```

use crate::store::Revision;

#[cfg(test)]
mod model;

/// Says how often a record may turn out to be another one than was tried. Somebody who changes it that
/// often meets us again at the next call.
const MOST_SENT: u8 = 3;

/// Holds what the store has, as far as this matters here.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Seen {
    pub(super) revision: Revision,
    /// Says whether its token is what the caller needs: good now, and not the one that was refused.
    pub(super) is_wanted: bool,
}

/// Holds what is to be done next.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Step {
    /// Note that its refresh token is about to be spent, and make sure that it is still ours.
    Begin,
    /// Send the refresh token of what was read last.
    Send,
    /// Store the answer in place of what was read last.
    Save,
    /// Read the record once more.
    ReadAgain,
    /// Forget the record, if it is still the one that was refused.
    Forget,
    /// Nothing.
    End(Ending),
}

/// Says how it ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Ending {
    /// The store had what is wanted.
    Adopted,
    /// There are new tokens, and they are stored.
    Renewed,
    /// There are new tokens, and only this process has them.
    Unsaved,
    /// Nothing has changed, and a later try may help.
    Failed,
    /// Somebody else took the record over, before anything was sent. All may begin anew.
    TakenOver,
    /// A person must log in.
    LogIn,
}

/// Holds what became of a change that expected the record to be what was read last.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Change {
    Done,
    /// It was another one by then.
    Conflict,
    Failed,
}

/// Says where one transaction stands.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct Transaction {
    read: Option<Revision>,
    /// Says which content the server would not refresh.
    refused: Option<Revision>,
    sent: u8,
}

impl Transaction {
    /// First of all, with the record locked, and after [`Step::ReadAgain`].
    pub(super) fn read(&mut self, seen: Option<Seen>) -> Step {
        self.read = seen.map(|seen| seen.revision);
        match seen {
            None => Step::End(Ending::LogIn),
            Some(seen) if seen.is_wanted => Step::End(Ending::Adopted),
            // Only what was refused is dead; another one may be the winner's (H103).
            Some(_) if self.read == self.refused => Step::Forget,
            Some(_) if self.sent == MOST_SENT => Step::End(Ending::Failed),
            Some(_) => Step::Begin,
        }
    }

    /// After [`Step::Begin`]: whether the record was still ours.
    pub(super) fn begun(&mut self, is_ours: bool) -> Step {
        if is_ours {
            self.sent += 1;
            Step::Send
        } else {
            Step::End(Ending::TakenOver)
        }
    }

    /// After [`Step::Send`]: there are new tokens.
    pub(super) fn renewed() -> Step {
        Step::Save
    }

    /// After [`Step::Send`]: the server says that the refresh token is no good.
    pub(super) fn refused(&mut self) -> Step {
        self.refused = self.read;
        Step::ReadAgain
    }

    /// After [`Step::Send`]: anything else.
    pub(super) fn failed() -> Step {
        Step::End(Ending::Failed)
    }

    /// After [`Step::Save`]. Who has written in between has logged in, or out, or has taken us for
    /// dead: what they have left is what holds.
    pub(super) fn saved(change: Change) -> Step {
        match change {
            Change::Done => Step::End(Ending::Renewed),
            Change::Conflict => Step::ReadAgain,
            Change::Failed => Step::End(Ending::Unsaved),
        }
    }

    /// After [`Step::Forget`]. A dead record that stays is found to be dead by the next one.
    pub(super) fn forgotten(change: Change) -> Step {
        match change {
            Change::Done | Change::Failed => Step::End(Ending::LogIn),
            Change::Conflict => Step::ReadAgain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(revision: u64, is_wanted: bool) -> Seen {
        Seen {
            revision: Revision::new(revision),
            is_wanted,
        }
    }

    fn sent(transaction: &mut Transaction, revision: u64) {
        assert_eq!(transaction.read(Some(seen(revision, false))), Step::Begin);
        assert_eq!(transaction.begun(true), Step::Send);
    }

    #[test]
    fn what_is_good_is_adopted_and_nothing_is_sent() {
        let step = Transaction::default().read(Some(seen(1, true)));
        assert_eq!(step, Step::End(Ending::Adopted));
    }

    #[test]
    fn a_refusal_forgets_what_was_tried() {
        let mut transaction = Transaction::default();
        sent(&mut transaction, 1);
        assert_eq!(transaction.refused(), Step::ReadAgain);
        assert_eq!(transaction.read(Some(seen(1, false))), Step::Forget);
        assert_eq!(
            Transaction::forgotten(Change::Done),
            Step::End(Ending::LogIn)
        );
    }

    #[test]
    fn a_refusal_forgets_nothing_that_came_meanwhile() {
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
    fn a_record_that_was_taken_over_is_not_spent() {
        let mut transaction = Transaction::default();
        transaction.read(Some(seen(1, false)));
        assert_eq!(transaction.begun(false), Step::End(Ending::TakenOver));
    }

    #[test]
    fn a_record_that_changes_for_ever_is_given_up() {
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
