//! Processes that die, and disks that fail, at any moment of a save, a deletion or a refresh: the
//! store has the old record or the new one, and what was said to be stored is there (H105, H140,
//! H142).
//!
//! `MCP_OAUTH_TEST_CRASHES` says how many children are killed in all; 10,000 is the figure to trust,
//! and the default is a quick look.

use std::time::Duration;

use mcp_client_oauth::store::Record;
use mcp_oauth_testbed::Testbed;
use tokio::task::JoinSet;

use self::{
    child::Work,
    fixture::{Place, testbed},
};
use crate::herd::{
    chance::{Dice, moment, timed},
    process::{Process, figure},
};

mod child;
mod conditions;
#[cfg(target_os = "linux")]
mod disk;
#[cfg(target_os = "linux")]
mod every_call;
mod fixture;
#[cfg(target_os = "linux")]
mod power_loss;
#[cfg(target_os = "linux")]
mod strace;

/// How many stores there are for each kind of work, side by side.
const LANES: u64 = 2;
const KINDS: u64 = 3;

/// One store, whose children are killed one after the other.
struct Lane {
    place: Place,
    work: Work,
    dice: Dice,
    /// How long the work takes once.
    usual: Duration,
    cycles: u64,
    lost: u64,
    in_doubt: u64,
    /// The refresh token that the last child may have spent: the server had not said so yet.
    doubtful: Option<String>,
}

/// Kills the children of all lanes, and says what came of it.
async fn kill(work: Work) {
    let cycles = figure("MCP_OAUTH_TEST_CRASHES", 240).div_ceil(LANES * KINDS);
    let lanes = (0..LANES).map(|lane| async move {
        let mut lane = Lane::new(work, lane).await;
        for _ in 0..cycles {
            lane.cycle().await;
        }
        lane
    });
    for lane in lanes.collect::<JoinSet<_>>().join_all().await {
        eprintln!(
            "{work:?}: {} killed within {:?}; {} logins lost, each between the answer and the save; \
             {} more left a note",
            lane.cycles, lane.usual, lane.lost, lane.in_doubt
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_while_it_saves_leaves_the_old_record_or_the_new_one() {
    kill(Work::Save).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_while_it_deletes_or_inserts_leaves_a_whole_record_or_none() {
    kill(Work::DeleteAndInsert).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_while_it_refreshes_loses_the_login_only_before_it_has_saved() {
    kill(Work::Refresh).await;
}

impl Lane {
    async fn new(work: Work, number: u64) -> Self {
        let testbed = testbed().await;
        Self {
            place: Place::new(&testbed, work).await,
            work,
            dice: Dice::new(100 * (number + 1) + work as u64),
            usual: Duration::ZERO,
            cycles: 0,
            lost: 0,
            in_doubt: 0,
            doubtful: None,
        }
    }

    fn testbed(&self) -> &Testbed {
        &self.place.fixture.testbed
    }

    async fn cycle(&mut self) {
        self.cycles += 1;
        let name = (1_000_000 * self.cycles).to_string();
        let mut child = Process::start(self.place.job(self.work, &name).for_ever());
        let mut said = vec![child.hear().await.expect("it works")];
        for _ in 0..=self.dice.below(2) {
            if said[0].starts_with("error") {
                break;
            }
            let (word, time) = timed(child.hear()).await;
            said.extend(word);
            // A mean that forgets: other programs slow this one down for a while.
            self.usual = if self.usual.is_zero() {
                time
            } else {
                (7 * self.usual + time) / 8
            };
        }
        moment(self.dice.within(self.usual + self.usual / 4)).await;
        child.kill().await;
        // What it said since is still in the pipe.
        while let Some(word) = child.hear().await {
            said.push(word);
        }
        match self.work {
            Work::Save => self.check_save(&said).await,
            Work::Delete | Work::DeleteAndInsert => self.check_deletion(&said).await,
            Work::Refresh => self.check_refresh(&said).await,
            Work::Begin | Work::Rekey => panic!("what comes of {:?}?", self.work),
        }
        self.place.assert_the_next_write_clears_up().await;
        self.testbed().forget_requests();
    }

    async fn check_save(&self, said: &[String]) {
        let last = saved(said.last().unwrap()).expect("it saves");
        let found = self.place.number().await.expect("it deletes nothing");
        assert!(
            found == last || found == last + 1,
            "{last} was said to be saved, and {found} is there"
        );
    }

    async fn check_deletion(&self, said: &[String]) {
        let found = self.place.number().await;
        let last = said.last().unwrap();
        // What was saved it may have begun to delete; after a deletion it may have saved the next.
        let next = saved(last).unwrap_or_else(|| {
            assert_eq!(last, "deleted");
            saved(&said[said.len() - 2]).expect("it does both in turn") + 1
        });
        assert!(
            found.is_none_or(|found| found == next),
            "after {said:?} there is {found:?}"
        );
    }

    /// The login is lost only if the refresh token that is stored is spent, and then the next
    /// holder finds the note.
    async fn check_refresh(&mut self, said: &[String]) {
        let last = said.last().unwrap();
        let Some(last) = last.strip_prefix("refreshed ") else {
            return self.check_late_loss(said).await;
        };
        let lock = self.place.lock().await;
        let record = lock.record().expect("nobody logs out");
        let token = record.tokens.access_token.expose();
        for word in &said[..said.len() - 1] {
            assert_ne!(word.strip_prefix("refreshed "), Some(token), "{said:?}");
        }
        let is_lost = self.place.is_lost(record);
        assert!(
            !is_lost || last == token,
            "what was said to be stored is not there"
        );
        assert!(
            !is_lost || lock.refresh_interrupted(),
            "a refresh token was spent without a note"
        );
        self.doubtful = lock.refresh_interrupted().then(|| refresh_token(record));
        drop(lock);
        if is_lost {
            self.log_in().await;
        } else if self.doubtful.is_some() {
            self.in_doubt += 1;
        }
    }

    /// The request of a child that is dead may reach the server after we have looked. Then the next
    /// one finds its login lost, and nobody but the dead has spent it.
    async fn check_late_loss(&mut self, said: &[String]) {
        let refreshes = self.testbed().requests();
        let sent = refreshes.iter().find_map(|sent| sent.form("refresh_token"));
        let explained = sent.is_some() && sent == self.doubtful;
        assert!(explained && said.len() == 1, "a login was lost: {said:?}");
        self.log_in().await;
    }

    async fn log_in(&mut self) {
        self.lost += 1;
        self.doubtful = None;
        self.place.fixture.login().await.unwrap();
    }
}

fn refresh_token(record: &Record) -> String {
    let token = record.tokens.refresh_token.as_ref().unwrap();
    token.expose().clone()
}

fn saved(word: &str) -> Option<u64> {
    word.strip_prefix("saved ")?.parse().ok()
}
