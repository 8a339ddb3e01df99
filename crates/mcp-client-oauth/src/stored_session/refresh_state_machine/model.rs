//! A model of three processes, one login, and a server that revokes the login when a refresh token is
//! used twice: every order of their steps, with a crash or a pause at each of them. The processes run the
//! same [`Transaction`] as the library; store, lock and server are a few lines each.
//!
//! A paused process takes no step for a while, so a pause needs no step of its own. A crash releases the
//! kernel's lock. A lease may expire at any time: its holder may be dead, or paused, and then goes on
//! later without knowing.

use stateright::{Checker, Model, Property};

use super::*;

const PROCESSES: usize = 3;

/// A generation of tokens: an access token, and the refresh token that was issued with it. The access
/// token of the first generation has expired.
type Generation = u8;

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Stored {
    revision: Revision,
    generation: Generation,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Exclusion {
    /// It is released when its holder dies, and not before.
    KernelLock,
    /// It expires; `Begin` checks that it is still held.
    Lease { is_checked: bool },
}

/// The settings of one exploration.
#[derive(Clone, Copy, Debug)]
struct Config {
    exclusion: Exclusion,
    /// Says whether the store is read again once the record is locked.
    rereads: bool,
    /// Says whether the server may refuse a token that has not expired, once.
    refuses: bool,
    /// Says whether processes crash.
    crashes: bool,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct SystemState {
    store: Option<Stored>,
    holder: Option<usize>,
    /// The generation of the refresh token that the server accepts.
    newest: Generation,
    is_alive: bool,
    processes: [Process; PROCESSES],
    requests: u8,
    /// A process crashed, or lost its lease, between the server's response and the save.
    crashed_before_save: bool,
    /// A lease expired between the check and the request.
    lease_expired_after_check: bool,
    login_was_required: bool,
    token_was_refused: bool,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Process {
    memory: Stored,
    /// It needs a token of a later generation than this.
    refused: Generation,
    phase: Phase,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Phase {
    Waiting,
    Acting(Transaction, Step),
    /// The server has responded, and the response is in transit: new tokens, or a refusal.
    Responded(Transaction, Option<Generation>),
    /// New tokens, not stored yet.
    Saving(Transaction, Generation),
    Done,
    Crashed,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Action {
    Lock(usize),
    Step(usize),
    Crash(usize),
    EndLease,
    /// The server refuses the token of this process.
    RefuseToken(usize),
}

impl Config {
    fn stored(self, system: &SystemState, index: usize) -> Option<Stored> {
        if self.rereads {
            system.store
        } else {
            Some(system.processes[index].memory)
        }
    }

    /// Reads the store into the memory of the process.
    fn read(self, system: &mut SystemState, index: usize, mut transaction: Transaction) {
        let found = self.stored(system, index);
        let process = &mut system.processes[index];
        process.memory = found.unwrap_or(process.memory);
        let step = transaction.read(found.map(|stored| Seen {
            revision: stored.revision,
            meets_requirement: stored.generation > process.refused,
        }));
        process.phase = Phase::Acting(transaction, step);
    }

    fn step(self, system: &mut SystemState, index: usize) {
        match system.processes[index].phase.clone() {
            Phase::Acting(transaction, step) => self.act(system, index, transaction, step),
            Phase::Responded(transaction, Some(generation)) => {
                assert_eq!(Transaction::refreshed(), Step::Save);
                system.processes[index].phase = Phase::Saving(transaction, generation);
            }
            Phase::Responded(mut transaction, None) => {
                let step = transaction.refused();
                system.processes[index].phase = Phase::Acting(transaction, step);
            }
            Phase::Saving(transaction, generation) => {
                let after = system.processes[index].memory.revision;
                let new = Stored {
                    revision: Revision::after(Some(after)),
                    generation,
                };
                let change = system.replace(index, Some(new));
                let process = &mut system.processes[index];
                if change == Change::Done {
                    process.memory = new;
                }
                process.phase = Phase::Acting(transaction, Transaction::saved(change));
            }
            Phase::Waiting | Phase::Done | Phase::Crashed => {}
        }
    }

    fn act(self, system: &mut SystemState, index: usize, mut transaction: Transaction, step: Step) {
        let next = match step {
            Step::Begin => {
                let is_checked = self.exclusion != Exclusion::Lease { is_checked: false };
                transaction.begun(!is_checked || system.holder == Some(index))
            }
            Step::Send => {
                let response = system.respond(system.processes[index].memory.generation);
                system.processes[index].phase = Phase::Responded(transaction, response);
                return;
            }
            Step::ReadAgain => return self.read(system, index, transaction),
            Step::Delete => Transaction::deleted(system.replace(index, None)),
            Step::Save => unreachable!("saving is a phase in the model"),
            Step::End(ending) => {
                system.end(index, ending);
                return;
            }
        };
        system.processes[index].phase = Phase::Acting(transaction, next);
    }
}

impl SystemState {
    /// Rotates the refresh token, and revokes the login if an old one is reused.
    fn respond(&mut self, generation: Generation) -> Option<Generation> {
        self.requests += 1;
        self.is_alive &= generation == self.newest;
        if !self.is_alive {
            return None;
        }
        self.newest += 1;
        Some(self.newest)
    }

    /// Replaces the record if it is the one that the process has read.
    fn replace(&mut self, index: usize, new: Option<Stored>) -> Change {
        let expected = self.processes[index].memory.revision;
        if self.store.map(|stored| stored.revision) != Some(expected) {
            return Change::Conflict;
        }
        self.store = new;
        Change::Done
    }

    fn end(&mut self, index: usize, ending: Ending) {
        if self.holder == Some(index) {
            self.holder = None;
        }
        self.login_was_required |= ending == Ending::LogIn;
        self.processes[index].phase = match ending {
            Ending::TakenOver => Phase::Waiting,
            _ => Phase::Done,
        };
    }

    fn is_in_window(&self, index: usize) -> bool {
        matches!(
            self.processes[index].phase,
            Phase::Responded(_, Some(_)) | Phase::Saving(..)
        )
    }

    fn is_over(&self) -> bool {
        let mut phases = self.processes.iter().map(|process| &process.phase);
        phases.all(|phase| matches!(phase, Phase::Done | Phase::Crashed))
    }

    fn is_lost(&self) -> bool {
        let is_stored = self.store.map(|stored| stored.generation) == Some(self.newest);
        self.login_was_required || !self.is_alive || (self.is_over() && !is_stored)
    }

    fn may_be_lost(&self) -> bool {
        self.crashed_before_save || self.lease_expired_after_check
    }
}

impl Model for Config {
    type State = SystemState;
    type Action = Action;

    fn init_states(&self) -> Vec<SystemState> {
        let memory = Stored {
            revision: Revision::new(1),
            generation: 0,
        };
        let process = Process {
            memory,
            refused: 0,
            phase: Phase::Waiting,
        };
        vec![SystemState {
            store: Some(memory),
            holder: None,
            newest: 0,
            is_alive: true,
            processes: [process.clone(), process.clone(), process],
            requests: 0,
            crashed_before_save: false,
            lease_expired_after_check: false,
            login_was_required: false,
            token_was_refused: false,
        }]
    }

    fn actions(&self, system: &SystemState, actions: &mut Vec<Action>) {
        for (index, process) in system.processes.iter().enumerate() {
            match process.phase {
                Phase::Waiting if system.holder.is_none() => actions.push(Action::Lock(index)),
                Phase::Done if self.refuses && !system.token_was_refused => {
                    actions.push(Action::RefuseToken(index));
                }
                Phase::Waiting | Phase::Done | Phase::Crashed => {}
                Phase::Acting(..) | Phase::Responded(..) | Phase::Saving(..) => {
                    actions.push(Action::Step(index));
                    if self.crashes {
                        actions.push(Action::Crash(index));
                    }
                }
            }
        }
        if system.holder.is_some() && self.exclusion != Exclusion::KernelLock {
            actions.push(Action::EndLease);
        }
    }

    fn next_state(&self, system: &SystemState, action: Action) -> Option<SystemState> {
        let mut system = system.clone();
        match action {
            Action::Lock(index) => {
                system.holder = Some(index);
                self.read(&mut system, index, Transaction::default());
            }
            Action::Step(index) => self.step(&mut system, index),
            Action::Crash(index) => {
                system.crashed_before_save |= system.is_in_window(index);
                system.processes[index].phase = Phase::Crashed;
                if self.exclusion == Exclusion::KernelLock && system.holder == Some(index) {
                    system.holder = None;
                }
            }
            Action::EndLease => {
                let index = system.holder.take()?;
                system.crashed_before_save |= system.is_in_window(index);
                let is_sending =
                    matches!(system.processes[index].phase, Phase::Acting(_, Step::Send));
                let is_checked = self.exclusion == Exclusion::Lease { is_checked: true };
                system.lease_expired_after_check |= is_sending && is_checked;
            }
            Action::RefuseToken(index) => {
                system.token_was_refused = true;
                let process = &mut system.processes[index];
                process.refused = process.memory.generation;
                process.phase = Phase::Waiting;
            }
        }
        Some(system)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NEVER_LOST, |_, system: &SystemState| {
                !system.is_lost() || system.may_be_lost()
            }),
            Property::always(ONE_REQUEST, |_, system: &SystemState| {
                system.requests <= 1 + u8::from(system.token_was_refused) || system.may_be_lost()
            }),
            Property::sometimes(LOST_IN_THE_WINDOW, |_, system: &SystemState| {
                system.is_lost() && system.crashed_before_save && !system.lease_expired_after_check
            }),
            Property::sometimes(ALL_SERVED, |_, system: &SystemState| {
                let mut processes = system.processes.iter();
                processes.all(|process| process.phase == Phase::Done) && !system.is_lost()
            }),
        ]
    }
}

const NEVER_LOST: &str = "a login is lost only by a crash between the response and the save";
const ONE_REQUEST: &str = "one expiry, and one refusal, cause one request";
const LOST_IN_THE_WINDOW: &str = "a login can be lost in that window";
const ALL_SERVED: &str = "all three processes get a token";

fn explore(config: Config) -> impl Checker<Config> {
    let checker = config.checker().threads(2).spawn_bfs().join();
    eprintln!("{config:?}: {} states", checker.unique_state_count());
    checker
}

#[test]
fn no_order_of_events_loses_a_login_outside_the_window() {
    for exclusion in [Exclusion::KernelLock, Exclusion::Lease { is_checked: true }] {
        for refuses in [false, true] {
            let config = Config {
                exclusion,
                rereads: true,
                refuses,
                crashes: true,
            };
            explore(config).assert_properties();
        }
    }
}

/// Checks that the model can find a lost login: without the second read, one is lost even without a crash.
#[test]
fn without_the_second_read_the_model_finds_a_lost_login() {
    let checker = explore(Config {
        exclusion: Exclusion::KernelLock,
        rereads: false,
        refuses: false,
        crashes: false,
    });
    checker.assert_any_discovery(NEVER_LOST);
}

#[test]
fn without_the_check_before_the_request_the_model_finds_a_lost_login() {
    let checker = explore(Config {
        exclusion: Exclusion::Lease { is_checked: false },
        rereads: true,
        refuses: false,
        crashes: false,
    });
    checker.assert_any_discovery(NEVER_LOST);
}
