//! A store with a login in it, on which a child works, and what must be true of it afterwards.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use mcp_client_oauth::{
    TokenStore,
    store::{Record, RecordLock},
};
use mcp_oauth_testbed::Testbed;

use super::child::{Job, Work, number_in, set_number, template};
use crate::{
    herd::place::files,
    sealed::{Home, contents},
    support::{Fixture, bounded},
};

/// A store, its testbed, and the files that belong there.
pub(crate) struct Place {
    pub(crate) fixture: Fixture,
    pub(crate) home: Home,
    directory: PathBuf,
    files: BTreeSet<PathBuf>,
}

/// One testbed may serve several places.
pub(crate) async fn testbed() -> Arc<Testbed> {
    let testbed = Testbed::builder().clock_stands_still(true).start().await;
    Arc::new(testbed.unwrap())
}

impl Place {
    /// Somebody has logged in. Unless it is refreshed, the record has the number 0; and there is
    /// another one, from which it can be made again.
    pub(crate) async fn new(testbed: &Arc<Testbed>, work: Work) -> Self {
        let home = Home::new();
        let mut fixture = Fixture::of(Arc::clone(testbed));
        fixture.store = files(&home.path());
        fixture.login().await.unwrap();
        let mut place = Self {
            fixture,
            directory: home.path(),
            home,
            files: BTreeSet::new(),
        };
        let mut record = place.record().await.unwrap();
        place.write(&record).await;
        if work != Work::Refresh {
            set_number(&mut record, 0);
            let mut lock = place.lock().await;
            place.store().save(&mut lock, &record).await.unwrap();
        }
        place.files = place.found();
        place
    }

    /// The store, with nothing remembered of it.
    pub(crate) fn store(&self) -> TokenStore {
        files(&self.home.path())
    }

    pub(crate) fn job<'a>(&'a self, work: Work, name: &'a str) -> Job<'a> {
        Job {
            work,
            directory: &self.directory,
            server: self.fixture.server.as_str(),
            name,
        }
    }

    pub(crate) async fn lock(&self) -> RecordLock {
        let (store, key) = (self.store(), self.fixture.key());
        bounded(store.lock(&key)).await.unwrap()
    }

    /// The record, read by somebody who has never read it before.
    pub(crate) async fn record(&self) -> Option<Record> {
        let found = self.store().load(&self.fixture.key()).await.unwrap();
        found.map(|(record, _)| record)
    }

    pub(crate) async fn number(&self) -> Option<u64> {
        self.record().await.as_ref().map(number_in)
    }

    /// Whether nobody has the refresh token that the server would take: the record's is spent.
    pub(crate) fn is_lost(&self, record: &Record) -> bool {
        let token = record.tokens.refresh_token.as_ref().unwrap();
        self.fixture.testbed.is_spent(token.expose())
    }

    /// Whoever writes next, be it another record, removes what the dead have left.
    pub(crate) async fn assert_the_next_write_clears_up(&self) {
        self.assert_listed_if_there().await;
        self.write(&self.template().await).await;
        self.assert_listed_if_there().await;
        let found = self.found();
        let left: Vec<_> = found.difference(&self.files).collect();
        assert!(left.is_empty(), "something unfinished is left: {left:?}");
        assert!(found.len() + 1 >= self.files.len(), "{found:?}");
    }

    /// The list of the store and the record's file agree.
    async fn assert_listed_if_there(&self) {
        let listed = self.store().keys().await.unwrap();
        let is_listed = listed.contains(&self.fixture.key());
        let is_there = self.record().await.is_some();
        assert_eq!(is_listed, is_there, "{listed:?}");
    }

    /// The other record.
    pub(crate) async fn template(&self) -> Record {
        let key = template(&self.fixture.key());
        self.store().load(&key).await.unwrap().unwrap().0
    }

    /// Another record is written.
    async fn write(&self, record: &Record) {
        let (store, key) = (self.store(), template(&self.fixture.key()));
        let mut lock = bounded(store.lock(&key)).await.unwrap();
        store.save(&mut lock, record).await.unwrap();
    }

    fn found(&self) -> BTreeSet<PathBuf> {
        contents(&self.home.path()).into_keys().collect()
    }
}
