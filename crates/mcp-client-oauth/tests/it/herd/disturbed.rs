//! The same with members that are killed and stopped, at any moment of a refresh (H104-H107).

use std::{collections::HashSet, fmt, time::Duration};

use super::{
    chance::{Dice, moment, timed},
    rounds, sealed_files,
    troop::{Herd, Trouble, sender_of},
};

/// What befalls a member, by its place in the herd.
#[derive(Clone, Copy)]
enum Event {
    Stop(usize),
    GoOn(usize),
    Kill(usize),
}

/// What happened, for whoever reads the output.
#[derive(Default)]
struct Tally {
    rounds: usize,
    /// How long it takes from a refresh that is sent until its sender has stored what came.
    usual: Duration,
    killed: usize,
    killed_with_the_lock: usize,
    stopped: usize,
    lost: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rounds of a refresh of {:?}: {} stopped, {} killed, {} of them after they had sent, {} \
             logins lost, each between the answer and the save",
            self.rounds,
            self.usual,
            self.stopped,
            self.killed,
            self.killed_with_the_lock,
            self.lost
        )
    }
}

struct Disturbed {
    herd: Herd,
    dice: Dice,
    tally: Tally,
    /// Who died in this round, by name.
    dead: HashSet<String>,
    stopped: HashSet<usize>,
    lost: bool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_is_lost_only_between_the_answer_and_the_save() {
    let mut herd = sealed_files().await;
    let usual = time_of_a_refresh(&mut herd).await;
    let mut disturbed = Disturbed {
        herd,
        dice: Dice::new(1),
        tally: Tally {
            usual,
            ..Tally::default()
        },
        dead: HashSet::new(),
        stopped: HashSet::new(),
        lost: false,
    };
    for round in 0..rounds() {
        let trouble = match round % 2 {
            0 => Trouble::Expired,
            _ => Trouble::Refused,
        };
        disturbed.round(trouble).await;
    }
    eprintln!("{}", disturbed.tally);
}

/// The mean of some rounds in which nobody is disturbed.
async fn time_of_a_refresh(herd: &mut Herd) -> Duration {
    const ROUNDS: u32 = 4;
    let mut all = Duration::ZERO;
    for _ in 0..ROUNDS {
        herd.meet(Trouble::Expired).await;
        let sender = herd.sender().await;
        let (first, time) = timed(herd.members[sender].process.hear()).await;
        let (before, after) = herd.members.split_at_mut(sender);
        let mut answers = vec![first.unwrap()];
        for member in before.iter_mut().chain(&mut after[1..]) {
            answers.extend(member.process.hear().await);
        }
        herd.assert_agreed(&answers).await;
        herd.fixture.testbed.forget_requests();
        all += time;
    }
    all / ROUNDS
}

impl Disturbed {
    async fn round(&mut self, trouble: Trouble) {
        self.tally.rounds += 1;
        self.dead.clear();
        self.lost = false;
        self.herd.meet(trouble).await;
        let mut now = Duration::ZERO;
        for (at, event) in self.events().await {
            moment(at.saturating_sub(now)).await;
            now = at;
            self.happen(event).await;
        }
        let mut answers = self.herd.answers().await;
        if answers.iter().any(|response| response.starts_with("error")) {
            self.explain(&answers);
            self.log_in().await;
            self.herd.tell("again").await;
            answers = self.herd.answers().await;
        }
        self.herd.assert_agreed(&answers).await;
        self.assert_nobody_alive_spent_a_token_twice();
        let logins = self.herd.fixture.person.opened().len();
        assert_eq!(logins, 1 + self.tally.lost, "a login for nothing");
        self.herd.fixture.testbed.forget_requests();
        self.replace_the_dead().await;
    }

    /// Some are stopped for a while. The victim, who is the one that refreshes every second time,
    /// is killed, or stopped too: with the lock in its hands.
    async fn events(&mut self) -> Vec<(Duration, Event)> {
        let (victim, spread) = if self.dice.below(2) == 0 {
            (self.herd.sender().await, self.tally.usual)
        } else {
            (self.any(), 3 * self.tally.usual)
        };
        let mut events = Vec::new();
        let bystanders = [self.any(), self.any(), self.any()];
        for who in bystanders {
            self.stop_for_a_while(who, spread, &mut events);
        }
        if self.dice.below(3) > 0 {
            events.push((self.dice.within(spread), Event::Kill(victim)));
        } else {
            self.stop_for_a_while(victim, spread, &mut events);
        }
        events.sort_by_key(|(at, _)| *at);
        events
    }

    fn any(&mut self) -> usize {
        let size = u64::try_from(self.herd.members.len()).unwrap();
        usize::try_from(self.dice.below(size)).unwrap()
    }

    fn stop_for_a_while(
        &mut self,
        who: usize,
        spread: Duration,
        events: &mut Vec<(Duration, Event)>,
    ) {
        let at = self.dice.within(spread);
        events.push((at, Event::Stop(who)));
        events.push((at + self.dice.within(spread), Event::GoOn(who)));
    }

    async fn happen(&mut self, event: Event) {
        match event {
            Event::Stop(who) => {
                self.herd.members[who].process.stop();
                self.stopped.insert(who);
                self.tally.stopped += 1;
            }
            Event::GoOn(who) => {
                self.herd.members[who].process.go_on();
                self.stopped.remove(&who);
            }
            Event::Kill(who) => {
                self.herd.members[who].process.kill().await;
                let name = self.herd.members[who].name.clone();
                let refreshes = self.herd.refreshes();
                self.tally.killed += 1;
                self.tally.killed_with_the_lock +=
                    usize::from(refreshes.iter().any(|sent| sender_of(sent) == name));
                self.dead.insert(name);
                self.look().await;
            }
        }
    }

    /// Everything stands still for a look at what the dead one left. If it has spent the refresh
    /// token that is stored, nobody has another one, and its note says so.
    async fn look(&mut self) {
        /// A member may have taken the lock in the moment before it was stopped.
        const TIMEOUT: Duration = Duration::from_millis(50);
        for member in &self.herd.members {
            member.process.stop();
        }
        let (store, key) = (self.herd.store(), self.herd.fixture.key());
        if let Ok(lock) = tokio::time::timeout(TIMEOUT, store.lock(&key)).await {
            let lock = lock.unwrap();
            let tokens = &lock.record().expect("nobody logs out").tokens;
            let spent = tokens.refresh_token.as_ref().unwrap().expose();
            if self.herd.fixture.testbed.is_spent(spent) {
                assert!(
                    lock.refresh_interrupted(),
                    "a refresh token was spent without a note"
                );
                drop(lock);
                self.log_in().await;
            }
        }
        for (who, member) in self.herd.members.iter().enumerate() {
            if !self.stopped.contains(&who) {
                member.process.go_on();
            }
        }
    }

    async fn log_in(&mut self) {
        assert!(!self.lost, "lost twice in one round with one death");
        self.lost = true;
        self.tally.lost += 1;
        self.herd.log_in().await;
    }

    /// The login was lost, and nobody had looked in time: the first who spent the token is dead.
    fn explain(&self, answers: &[String]) {
        let refreshes = self.herd.refreshes();
        let lost = refreshes.iter().find(|sent| sent.status == 400);
        let lost = lost.and_then(|refused| refused.form("refresh_token"));
        let first = refreshes
            .iter()
            .find(|sent| lost.is_some() && sent.form("refresh_token") == lost);
        let explained = first.is_some_and(|first| self.dead.contains(sender_of(first)));
        assert!(explained, "a login was lost: {answers:?}");
    }

    /// Whoever sends a refresh token that somebody has sent before has found the lock of a dead one.
    fn assert_nobody_alive_spent_a_token_twice(&self) {
        let refreshes = self.herd.refreshes();
        for (number, sent) in refreshes.iter().enumerate() {
            let token = sent.form("refresh_token");
            let before = refreshes[..number]
                .iter()
                .filter(|earlier| earlier.form("refresh_token") == token);
            for earlier in before {
                assert!(
                    self.dead.contains(sender_of(earlier)),
                    "{} and {} sent the same refresh token",
                    sender_of(earlier),
                    sender_of(sent)
                );
            }
        }
    }

    async fn replace_the_dead(&mut self) {
        let dead = &self.dead;
        self.herd
            .members
            .retain(|member| !dead.contains(&member.name));
        self.stopped.clear();
        for _ in 0..self.dead.len() {
            self.herd.bear();
        }
        self.herd.awake().await;
    }
}
