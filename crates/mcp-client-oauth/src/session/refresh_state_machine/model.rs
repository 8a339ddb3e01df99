//! Three processes, one login, and a server that revokes the login when a refresh token comes
//! twice: every order of their steps, with deaths and stops at any of them. The processes run the
//! very [`Transaction`] that the library runs; store, lock and server are a few lines each.
//!
//! A process that stands still is one that takes no step for a while, so a stop needs no step of
//! its own. A death lets go of the kernel's lock. A lease ends when it likes: its holder may be dead,
//! or stopped, and then goes on later without knowing.

use stateright::{Checker, Model, Property};

use super::*;

const PROCESSES: usize = 3;

/// A generation of tokens: an access token, and the refresh token that came with it. That of the
/// first generation has expired.
type Generation = u8;

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Stored {
    revision: Revision,
    generation: Generation,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Exclusion {
    /// Ends with its holder, and not before.
    KernelLock,
    /// Ends by itself, and `Begin` finds that out.
    Lease { is_checked: bool },
}

/// Holds what is explored.
#[derive(Clone, Copy, Debug)]
struct Herd {
    exclusion: Exclusion,
    /// Says whether the store is read when the record is held.
    rereads: bool,
    /// Says whether a token that looks good may be refused by its server, once.
    refuses: bool,
    /// Says whether processes die.
    kills: bool,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct World {
    store: Option<Stored>,
    holder: Option<usize>,
    /// The generation whose refresh token the server takes.
    newest: Generation,
    is_alive: bool,
    processes: [Process; PROCESSES],
    requests: u8,
    /// Somebody died, or was taken for dead, between the server's answer and the save.
    window: bool,
    /// A lease ended between the check and the request.
    narrow_window: bool,
    a_person_was_asked: bool,
    a_token_was_refused: bool,
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
    /// The server has answered, and the answer is on its way: new tokens, or a refusal.
    Answered(Transaction, Option<Generation>),
    /// New tokens, not stored yet.
    Saving(Transaction, Generation),
    Done,
    Dead,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Action {
    Lock(usize),
    Step(usize),
    Die(usize),
    EndLease,
    /// The server refuses the token that this process has got.
    RefuseToken(usize),
}

impl Herd {
    fn see(self, world: &World, who: usize) -> Option<Stored> {
        if self.rereads {
            world.store
        } else {
            Some(world.processes[who].memory)
        }
    }

    /// Returns what was read becomes what the process knows.
    fn read(self, world: &mut World, who: usize, mut transaction: Transaction) {
        let found = self.see(world, who);
        let process = &mut world.processes[who];
        process.memory = found.unwrap_or(process.memory);
        let step = transaction.read(found.map(|stored| Seen {
            revision: stored.revision,
            is_wanted: stored.generation > process.refused,
        }));
        process.phase = Phase::Acting(transaction, step);
    }

    fn step(self, world: &mut World, who: usize) {
        match world.processes[who].phase.clone() {
            Phase::Acting(transaction, step) => self.act(world, who, transaction, step),
            Phase::Answered(transaction, Some(generation)) => {
                assert_eq!(Transaction::renewed(), Step::Save);
                world.processes[who].phase = Phase::Saving(transaction, generation);
            }
            Phase::Answered(mut transaction, None) => {
                let step = transaction.refused();
                world.processes[who].phase = Phase::Acting(transaction, step);
            }
            Phase::Saving(transaction, generation) => {
                let after = world.processes[who].memory.revision;
                let new = Stored {
                    revision: Revision::after(Some(after)),
                    generation,
                };
                let change = world.replace(who, Some(new));
                let process = &mut world.processes[who];
                if change == Change::Done {
                    process.memory = new;
                }
                process.phase = Phase::Acting(transaction, Transaction::saved(change));
            }
            Phase::Waiting | Phase::Done | Phase::Dead => {}
        }
    }

    fn act(self, world: &mut World, who: usize, mut transaction: Transaction, step: Step) {
        let next = match step {
            Step::Begin => {
                let is_checked = self.exclusion != Exclusion::Lease { is_checked: false };
                transaction.begun(!is_checked || world.holder == Some(who))
            }
            Step::Send => {
                let answer = world.answer(world.processes[who].memory.generation);
                world.processes[who].phase = Phase::Answered(transaction, answer);
                return;
            }
            Step::ReadAgain => return self.read(world, who, transaction),
            Step::Forget => Transaction::forgotten(world.replace(who, None)),
            Step::Save => unreachable!("it is a phase here"),
            Step::End(ending) => {
                world.end(who, ending);
                return;
            }
        };
        world.processes[who].phase = Phase::Acting(transaction, next);
    }
}

impl World {
    /// Rotation with reuse detection.
    fn answer(&mut self, generation: Generation) -> Option<Generation> {
        self.requests += 1;
        self.is_alive &= generation == self.newest;
        if !self.is_alive {
            return None;
        }
        self.newest += 1;
        Some(self.newest)
    }

    /// Compare-and-swap with what the process has read.
    fn replace(&mut self, who: usize, new: Option<Stored>) -> Change {
        let expected = self.processes[who].memory.revision;
        if self.store.map(|stored| stored.revision) != Some(expected) {
            return Change::Conflict;
        }
        self.store = new;
        Change::Done
    }

    fn end(&mut self, who: usize, ending: Ending) {
        if self.holder == Some(who) {
            self.holder = None;
        }
        self.a_person_was_asked |= ending == Ending::LogIn;
        self.processes[who].phase = match ending {
            Ending::TakenOver => Phase::Waiting,
            _ => Phase::Done,
        };
    }

    fn is_in_window(&self, who: usize) -> bool {
        matches!(
            self.processes[who].phase,
            Phase::Answered(_, Some(_)) | Phase::Saving(..)
        )
    }

    fn is_over(&self) -> bool {
        let mut phases = self.processes.iter().map(|process| &process.phase);
        phases.all(|phase| matches!(phase, Phase::Done | Phase::Dead))
    }

    fn is_lost(&self) -> bool {
        let is_stored = self.store.map(|stored| stored.generation) == Some(self.newest);
        self.a_person_was_asked || !self.is_alive || (self.is_over() && !is_stored)
    }

    fn may_be_lost(&self) -> bool {
        self.window || self.narrow_window
    }
}

impl Model for Herd {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let memory = Stored {
            revision: Revision::new(1),
            generation: 0,
        };
        let process = Process {
            memory,
            refused: 0,
            phase: Phase::Waiting,
        };
        vec![World {
            store: Some(memory),
            holder: None,
            newest: 0,
            is_alive: true,
            processes: [process.clone(), process.clone(), process],
            requests: 0,
            window: false,
            narrow_window: false,
            a_person_was_asked: false,
            a_token_was_refused: false,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for (who, process) in world.processes.iter().enumerate() {
            match process.phase {
                Phase::Waiting if world.holder.is_none() => actions.push(Action::Lock(who)),
                Phase::Done if self.refuses && !world.a_token_was_refused => {
                    actions.push(Action::RefuseToken(who));
                }
                Phase::Waiting | Phase::Done | Phase::Dead => {}
                Phase::Acting(..) | Phase::Answered(..) | Phase::Saving(..) => {
                    actions.push(Action::Step(who));
                    if self.kills {
                        actions.push(Action::Die(who));
                    }
                }
            }
        }
        if world.holder.is_some() && self.exclusion != Exclusion::KernelLock {
            actions.push(Action::EndLease);
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut world = world.clone();
        match action {
            Action::Lock(who) => {
                world.holder = Some(who);
                self.read(&mut world, who, Transaction::default());
            }
            Action::Step(who) => self.step(&mut world, who),
            Action::Die(who) => {
                world.window |= world.is_in_window(who);
                world.processes[who].phase = Phase::Dead;
                if self.exclusion == Exclusion::KernelLock && world.holder == Some(who) {
                    world.holder = None;
                }
            }
            Action::EndLease => {
                let who = world.holder.take()?;
                world.window |= world.is_in_window(who);
                let is_sending = matches!(world.processes[who].phase, Phase::Acting(_, Step::Send));
                let is_checked = self.exclusion == Exclusion::Lease { is_checked: true };
                world.narrow_window |= is_sending && is_checked;
            }
            Action::RefuseToken(who) => {
                world.a_token_was_refused = true;
                let process = &mut world.processes[who];
                process.refused = process.memory.generation;
                process.phase = Phase::Waiting;
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NEVER_LOST, |_, world: &World| {
                !world.is_lost() || world.may_be_lost()
            }),
            Property::always(ONE_REQUEST, |_, world: &World| {
                world.requests <= 1 + u8::from(world.a_token_was_refused) || world.may_be_lost()
            }),
            Property::sometimes(LOST_IN_THE_WINDOW, |_, world: &World| {
                world.is_lost() && world.window && !world.narrow_window
            }),
            Property::sometimes(ALL_SERVED, |_, world: &World| {
                let mut processes = world.processes.iter();
                processes.all(|process| process.phase == Phase::Done) && !world.is_lost()
            }),
        ]
    }
}

const NEVER_LOST: &str = "a login is lost only if somebody dies between the answer and the save";
const ONE_REQUEST: &str = "one expiry, and one refusal, cause one request";
const LOST_IN_THE_WINDOW: &str = "a login can be lost in that window";
const ALL_SERVED: &str = "all three get a token";

fn explore(herd: Herd) -> impl Checker<Herd> {
    let checker = herd.checker().threads(2).spawn_bfs().join();
    eprintln!("{herd:?}: {} states", checker.unique_state_count());
    checker
}

#[test]
fn no_order_of_events_loses_a_login_outside_the_window() {
    for exclusion in [Exclusion::KernelLock, Exclusion::Lease { is_checked: true }] {
        for refuses in [false, true] {
            let herd = Herd {
                exclusion,
                rereads: true,
                refuses,
                kills: true,
            };
            explore(herd).assert_properties();
        }
    }
}

/// A model that could find nothing would show nothing. Two processes that live are enough.
#[test]
fn without_the_second_reading_the_model_finds_a_lost_login() {
    let checker = explore(Herd {
        exclusion: Exclusion::KernelLock,
        rereads: false,
        refuses: false,
        kills: false,
    });
    checker.assert_any_discovery(NEVER_LOST);
}

#[test]
fn without_the_check_before_the_request_the_model_finds_a_lost_login() {
    let checker = explore(Herd {
        exclusion: Exclusion::Lease { is_checked: false },
        rereads: true,
        refuses: false,
        kills: false,
    });
    checker.assert_any_discovery(NEVER_LOST);
}
