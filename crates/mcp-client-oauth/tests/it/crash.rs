//! Processes that are killed, and disks that fail, at any moment of a save, a deletion or a refresh: the
//! store contains the old record or the new one, and every reported save is in the store
//! (docs/hostile.md H105, H140, H142).
//!
//! `MCP_OAUTH_TEST_CRASHES` sets the total number of killed children: 10,000 gives a reliable result, the
//! default is a quick check.

use std::time::Duration;

use mcp_client_oauth::store::Record;
use mcp_oauth_testbed::Testbed;
use tokio::task::JoinSet;

use self::{
    child::Work,
    fixture::{StoreFixture, testbed},
};
use crate::concurrent_refresh::{
    process::{Process, env_number},
    random_kill::{Random, timed, wait_precisely},
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

/// The number of parallel stores for each kind of work.
const LANES: u64 = 2;
const KINDS: u64 = 3;

/// One store and its children, which are killed one after the other.
struct Lane {
    setup: StoreFixture,
    work: Work,
    random: Random,
    /// The time that the work takes once.
    mean: Duration,
    cycles: u64,
    lost: u64,
    interrupted: u64,
    /// The refresh token that the last child may have spent: the request had not reached the server yet.
    possibly_spent: Option<String>,
}

/// Kills the children of all lanes, and prints the results.
async fn kill(work: Work) {
    let cycles = env_number("MCP_OAUTH_TEST_CRASHES", 240).div_ceil(LANES * KINDS);
    let lanes = (0..LANES).map(|lane| async move {
        let mut lane = Lane::new(work, lane).await;
        for _ in 0..cycles {
            lane.cycle().await;
        }
        lane
    });
    for lane in lanes.collect::<JoinSet<_>>().join_all().await {
        eprintln!(
            "{work:?}: {} killed within {:?}; {} logins lost, each between the response and the save; \
             {} more left a note",
            lane.cycles, lane.mean, lane.lost, lane.interrupted
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
            setup: StoreFixture::new(&testbed, work).await,
            work,
            random: Random::new(100 * (number + 1) + work as u64),
            mean: Duration::ZERO,
            cycles: 0,
            lost: 0,
            interrupted: 0,
            possibly_spent: None,
        }
    }

    fn testbed(&self) -> &Testbed {
        &self.setup.fixture.testbed
    }

    async fn cycle(&mut self) {
        self.cycles += 1;
        let name = (1_000_000 * self.cycles).to_string();
        let mut child = Process::start(self.setup.job(self.work, &name).until_killed());
        let mut reports = vec![child.receive().await.expect("the child works")];
        for _ in 0..=self.random.below(2) {
            if reports[0].starts_with("error") {
                break;
            }
            let (report, time) = timed(child.receive()).await;
            reports.extend(report);
            // A moving average: other programs slow this one down for a while.
            self.mean = if self.mean.is_zero() {
                time
            } else {
                (7 * self.mean + time) / 8
            };
        }
        wait_precisely(self.random.within(self.mean + self.mean / 4)).await;
        child.kill().await;
        // Its last reports are still in the pipe.
        while let Some(report) = child.receive().await {
            reports.push(report);
        }
        match self.work {
            Work::Save => self.check_save(&reports).await,
            Work::Delete | Work::DeleteAndInsert => self.check_deletion(&reports).await,
            Work::Refresh => self.check_refresh(&reports).await,
            Work::Begin | Work::Rekey => panic!("no check for {:?}", self.work),
        }
        self.setup.assert_next_write_cleans_up().await;
        self.testbed().clear_requests();
    }

    async fn check_save(&self, reports: &[String]) {
        let last = saved(reports.last().unwrap()).expect("the child saves");
        let found = self
            .setup
            .number()
            .await
            .expect("the child deletes nothing");
        assert!(
            found == last || found == last + 1,
            "{last} was reported as saved, but {found} is stored"
        );
    }

    async fn check_deletion(&self, reports: &[String]) {
        let found = self.setup.number().await;
        let last = reports.last().unwrap();
        // After a save the child may have started to delete it; after a deletion it may have saved the next.
        let next = saved(last).unwrap_or_else(|| {
            assert_eq!(last, "deleted");
            saved(&reports[reports.len() - 2]).expect("the child alternates") + 1
        });
        assert!(
            found.is_none_or(|found| found == next),
            "after {reports:?} the store has {found:?}"
        );
    }

    /// Checks that the login is lost only if the stored refresh token is spent, and that the store then
    /// contains the note.
    async fn check_refresh(&mut self, reports: &[String]) {
        let last = reports.last().unwrap();
        let Some(last) = last.strip_prefix("refreshed ") else {
            return self.check_late_loss(reports).await;
        };
        let lock = self.setup.lock().await;
        let record = lock.record().expect("no test logs out");
        let token = record.tokens.access_token.expose();
        for report in &reports[..reports.len() - 1] {
            assert_ne!(
                report.strip_prefix("refreshed "),
                Some(token),
                "{reports:?}"
            );
        }
        let is_lost = self.setup.is_lost(record);
        assert!(!is_lost || last == token, "a reported save is not stored");
        assert!(
            !is_lost || lock.refresh_interrupted(),
            "a refresh token was spent without a note"
        );
        self.possibly_spent = lock.refresh_interrupted().then(|| refresh_token(record));
        drop(lock);
        if is_lost {
            self.log_in().await;
        } else if self.possibly_spent.is_some() {
            self.interrupted += 1;
        }
    }

    /// Checks a loss that the next child finds: the request of a killed child may reach the server after
    /// `check_refresh`. Then that child has spent the token, and no other.
    async fn check_late_loss(&mut self, reports: &[String]) {
        let refreshes = self.testbed().requests();
        let sent = refreshes.iter().find_map(|sent| sent.form("refresh_token"));
        let explained = sent.is_some() && sent == self.possibly_spent;
        assert!(
            explained && reports.len() == 1,
            "a login was lost: {reports:?}"
        );
        self.log_in().await;
    }

    async fn log_in(&mut self) {
        self.lost += 1;
        self.possibly_spent = None;
        self.setup.fixture.login().await.unwrap();
    }
}

fn refresh_token(record: &Record) -> String {
    let token = record.tokens.refresh_token.as_ref().unwrap();
    token.expose().clone()
}

fn saved(report: &str) -> Option<u64> {
    report.strip_prefix("saved ")?.parse().ok()
}
