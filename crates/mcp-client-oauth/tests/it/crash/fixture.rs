//! A store with a login, on which a child works, and the checks of the store afterwards.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use mcp_client_oauth::{
    TokenStore,
    store::{Record, RecordLock},
};
use mcp_oauth_testbed::Testbed;

use super::child::{Job, Work, number_in, set_number, template};
use crate::{
    concurrent_refresh::shared_store::files,
    encrypted::{Home, contents},
    support::{Fixture, bounded},
};

/// A store, its testbed, and the files that belong there.
pub(crate) struct StoreFixture {
    pub(crate) fixture: Fixture,
    pub(crate) home: Home,
    directory: PathBuf,
    files: BTreeSet<PathBuf>,
}

/// Starts a testbed, which several stores may share.
pub(crate) async fn testbed() -> Arc<Testbed> {
    let testbed = Testbed::builder().manual_clock(true).start().await;
    Arc::new(testbed.unwrap())
}

impl StoreFixture {
    /// Logs in. Unless the work is a refresh, the record gets the number 0; a second record is the
    /// template for new ones.
    pub(crate) async fn new(testbed: &Arc<Testbed>, work: Work) -> Self {
        let home = Home::new();
        let mut fixture = Fixture::from_testbed(Arc::clone(testbed));
        fixture.store = files(&home.path());
        fixture.login().await.unwrap();
        let mut setup = Self {
            fixture,
            directory: home.path(),
            home,
            files: BTreeSet::new(),
        };
        let mut record = setup.record().await.unwrap();
        setup.write(&record).await;
        if work != Work::Refresh {
            set_number(&mut record, 0);
            let mut lock = setup.lock().await;
            setup.store().save(&mut lock, &record).await.unwrap();
        }
        setup.files = setup.found();
        setup
    }

    /// Opens the store again, without any cached state.
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

    /// Reads the record without any cached state.
    pub(crate) async fn record(&self) -> Option<Record> {
        let found = self.store().load(&self.fixture.key()).await.unwrap();
        found.map(|(record, _)| record)
    }

    pub(crate) async fn number(&self) -> Option<u64> {
        self.record().await.as_ref().map(number_in)
    }

    /// Says whether the login is lost: the stored refresh token is spent.
    pub(crate) fn is_lost(&self, record: &Record) -> bool {
        let token = record.tokens.refresh_token.as_ref().unwrap();
        self.fixture.testbed.is_spent(token.expose())
    }

    /// Checks that the next write, even of another record, removes the unfinished files.
    pub(crate) async fn assert_next_write_cleans_up(&self) {
        self.assert_listed_if_there().await;
        self.write(&self.template().await).await;
        self.assert_listed_if_there().await;
        let found = self.found();
        let left: Vec<_> = found.difference(&self.files).collect();
        assert!(left.is_empty(), "unfinished files are left: {left:?}");
        assert!(found.len() + 1 >= self.files.len(), "{found:?}");
    }

    /// Checks that the store lists the record exactly if its file exists.
    async fn assert_listed_if_there(&self) {
        let listed = self.store().keys().await.unwrap();
        let is_listed = listed.contains(&self.fixture.key());
        let is_there = self.record().await.is_some();
        assert_eq!(is_listed, is_there, "{listed:?}");
    }

    /// Reads the template record.
    pub(crate) async fn template(&self) -> Record {
        let key = template(&self.fixture.key());
        self.store().load(&key).await.unwrap().unwrap().0
    }

    /// Writes the template record.
    async fn write(&self, record: &Record) {
        let (store, key) = (self.store(), template(&self.fixture.key()));
        let mut lock = bounded(store.lock(&key)).await.unwrap();
        store.save(&mut lock, record).await.unwrap();
    }

    fn found(&self) -> BTreeSet<PathBuf> {
        contents(&self.home.path()).into_keys().collect()
    }
}
