//! The same tests with worker processes that are killed or stopped at random moments of a refresh
//! (docs/hostile.md H104 to H107).

use std::{collections::HashSet, fmt, time::Duration};

use super::{
    harness::{Harness, TokenProblem, sender_of},
    random_kill::{Random, timed, wait_precisely},
    rounds, with_encrypted_files,
};

/// An action on a worker process, by its index in the harness.
#[derive(Clone, Copy)]
enum Event {
    Stop(usize),
    Resume(usize),
    Kill(usize),
}

/// The counters that the test prints.
#[derive(Default)]
struct Tally {
    rounds: usize,
    /// The time from sending a refresh until its response is stored.
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
             logins lost, each between the response and the save",
            self.rounds,
            self.usual,
            self.stopped,
            self.killed,
            self.killed_with_the_lock,
            self.lost
        )
    }
}

struct CrashTest {
    harness: Harness,
    random: Random,
    tally: Tally,
    /// The names of the workers that were killed in this round.
    killed: HashSet<String>,
    stopped: HashSet<usize>,
    lost: bool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_is_lost_only_between_the_response_and_the_save() {
    let mut harness = with_encrypted_files().await;
    let usual = time_of_a_refresh(&mut harness).await;
    let mut test = CrashTest {
        harness,
        random: Random::new(1),
        tally: Tally {
            usual,
            ..Tally::default()
        },
        killed: HashSet::new(),
        stopped: HashSet::new(),
        lost: false,
    };
    for round in 0..rounds() {
        let problem = match round % 2 {
            0 => TokenProblem::Expired,
            _ => TokenProblem::Refused,
        };
        test.round(problem).await;
    }
    eprintln!("{}", test.tally);
}

/// Returns the mean time of some rounds without any crash.
async fn time_of_a_refresh(harness: &mut Harness) -> Duration {
    const ROUNDS: u32 = 4;
    let mut all = Duration::ZERO;
    for _ in 0..ROUNDS {
        harness.invalidate_token(TokenProblem::Expired).await;
        let sender = harness.sender().await;
        let (first, time) = timed(harness.workers[sender].process.receive()).await;
        let (before, after) = harness.workers.split_at_mut(sender);
        let mut responses = vec![first.unwrap()];
        for worker in before.iter_mut().chain(&mut after[1..]) {
            responses.extend(worker.process.receive().await);
        }
        harness.assert_all_got_one_new_token(&responses).await;
        harness.fixture.testbed.clear_requests();
        all += time;
    }
    all / ROUNDS
}

impl CrashTest {
    async fn round(&mut self, problem: TokenProblem) {
        self.tally.rounds += 1;
        self.killed.clear();
        self.lost = false;
        self.harness.invalidate_token(problem).await;
        let mut now = Duration::ZERO;
        for (at, event) in self.events().await {
            wait_precisely(at.saturating_sub(now)).await;
            now = at;
            self.apply(event).await;
        }
        let mut responses = self.harness.responses().await;
        if responses
            .iter()
            .any(|response| response.starts_with("error"))
        {
            self.assert_loss_is_explained(&responses);
            self.log_in().await;
            self.harness.send_all("again").await;
            responses = self.harness.responses().await;
        }
        self.harness.assert_all_got_one_new_token(&responses).await;
        self.assert_no_live_worker_spent_a_token_twice();
        let logins = self.harness.fixture.user.opened_urls().len();
        assert_eq!(logins, 1 + self.tally.lost, "a login for nothing");
        self.harness.fixture.testbed.clear_requests();
        self.replace_killed_workers().await;
    }

    /// Stops some workers for a while. Kills the victim, or stops it too; in every second round the
    /// victim is the worker that refreshes and holds the lock.
    async fn events(&mut self) -> Vec<(Duration, Event)> {
        let (victim, spread) = if self.random.below(2) == 0 {
            (self.harness.sender().await, self.tally.usual)
        } else {
            (self.any(), 3 * self.tally.usual)
        };
        let mut events = Vec::new();
        let bystanders = [self.any(), self.any(), self.any()];
        for index in bystanders {
            self.stop_for_a_while(index, spread, &mut events);
        }
        if self.random.below(3) > 0 {
            events.push((self.random.within(spread), Event::Kill(victim)));
        } else {
            self.stop_for_a_while(victim, spread, &mut events);
        }
        events.sort_by_key(|(at, _)| *at);
        events
    }

    fn any(&mut self) -> usize {
        let size = u64::try_from(self.harness.workers.len()).unwrap();
        usize::try_from(self.random.below(size)).unwrap()
    }

    fn stop_for_a_while(
        &mut self,
        index: usize,
        spread: Duration,
        events: &mut Vec<(Duration, Event)>,
    ) {
        let at = self.random.within(spread);
        events.push((at, Event::Stop(index)));
        events.push((at + self.random.within(spread), Event::Resume(index)));
    }

    async fn apply(&mut self, event: Event) {
        match event {
            Event::Stop(index) => {
                self.harness.workers[index].process.stop();
                self.stopped.insert(index);
                self.tally.stopped += 1;
            }
            Event::Resume(index) => {
                self.harness.workers[index].process.resume();
                self.stopped.remove(&index);
            }
            Event::Kill(index) => {
                self.harness.workers[index].process.kill().await;
                let name = self.harness.workers[index].name.clone();
                let refreshes = self.harness.refreshes();
                self.tally.killed += 1;
                self.tally.killed_with_the_lock +=
                    usize::from(refreshes.iter().any(|sent| sender_of(sent) == name));
                self.killed.insert(name);
                self.check_stored_token().await;
            }
        }
    }

    /// Stops all workers and checks the state that the killed worker has left. If it has spent the stored
    /// refresh token, no worker has another one, and the store must contain its note.
    async fn check_stored_token(&mut self) {
        /// A worker may have acquired the lock just before it was stopped.
        const TIMEOUT: Duration = Duration::from_millis(50);
        for worker in &self.harness.workers {
            worker.process.stop();
        }
        let (store, key) = (self.harness.store(), self.harness.fixture.key());
        if let Ok(lock) = tokio::time::timeout(TIMEOUT, store.lock(&key)).await {
            let lock = lock.unwrap();
            let tokens = &lock.record().expect("no test logs out").tokens;
            let spent = tokens.refresh_token.as_ref().unwrap().expose();
            if self.harness.fixture.testbed.is_spent(spent) {
                assert!(
                    lock.refresh_interrupted(),
                    "a refresh token was spent without a note"
                );
                drop(lock);
                self.log_in().await;
            }
        }
        for (index, worker) in self.harness.workers.iter().enumerate() {
            if !self.stopped.contains(&index) {
                worker.process.resume();
            }
        }
    }

    async fn log_in(&mut self) {
        assert!(!self.lost, "lost twice in one round with one killed worker");
        self.lost = true;
        self.tally.lost += 1;
        self.harness.log_in().await;
    }

    /// Checks that the worker that spent the token of a lost login first was killed: it was spent after
    /// `check_stored_token` had looked.
    fn assert_loss_is_explained(&self, responses: &[String]) {
        let refreshes = self.harness.refreshes();
        let lost = refreshes.iter().find(|sent| sent.status == 400);
        let lost = lost.and_then(|refused| refused.form("refresh_token"));
        let first = refreshes
            .iter()
            .find(|sent| lost.is_some() && sent.form("refresh_token") == lost);
        let explained = first.is_some_and(|first| self.killed.contains(sender_of(first)));
        assert!(explained, "a login was lost: {responses:?}");
    }

    /// Checks that a refresh token was sent twice only if the first sender was killed: the second one
    /// has found its lock released.
    fn assert_no_live_worker_spent_a_token_twice(&self) {
        let refreshes = self.harness.refreshes();
        for (number, sent) in refreshes.iter().enumerate() {
            let token = sent.form("refresh_token");
            let before = refreshes[..number]
                .iter()
                .filter(|earlier| earlier.form("refresh_token") == token);
            for earlier in before {
                assert!(
                    self.killed.contains(sender_of(earlier)),
                    "{} and {} sent the same refresh token",
                    sender_of(earlier),
                    sender_of(sent)
                );
            }
        }
    }

    async fn replace_killed_workers(&mut self) {
        let killed = &self.killed;
        self.harness
            .workers
            .retain(|worker| !killed.contains(&worker.name));
        self.stopped.clear();
        for _ in 0..self.killed.len() {
            self.harness.spawn_worker();
        }
        self.harness.wait_until_ready().await;
    }
}
